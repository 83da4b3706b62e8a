//! The errors for files that are broken, missing or of another kind.

use super::*;

/// A weights file in which `edit` has changed the header's entry of one tensor; the data are unchanged.
fn with_header(edit: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) -> Vec<u8> {
    let file = &files()["model.safetensors"];
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    edit(header.as_object_mut().unwrap());
    let header = serde_json::to_vec(&header).unwrap();
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend(header);
    changed.extend(&file[8 + length..]);
    changed
}

#[test]
fn bad_files_are_typed_errors_that_name_the_file_and_leave_nothing() {
    const BIAS: &str = "encoder.layer.0.output.dense.bias";
    let checkpoint = files()["model.safetensors"].clone();
    let cut = |length: usize| checkpoint[..length].to_vec();
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let (fetch, weights, unsupported) = (
        ErrorKind::FetchFailed,
        ErrorKind::InvalidWeights,
        ErrorKind::UnsupportedModel,
    );
    let cases: Vec<(&str, Option<Vec<u8>>, ErrorKind, &str)> = vec![
        ("config.json", None, fetch, "config.json"),
        ("config.json", text("<!doctype html>"), fetch, "config.json"),
        ("config.json", text("{"), weights, "config.json"),
        (
            "config.json",
            text(r#"{"model_type":"gpt2"}"#),
            unsupported,
            "gpt2",
        ),
        ("tokenizer.json", None, fetch, "tokenizer.json"),
        ("tokenizer.json", text("<html>"), fetch, "tokenizer.json"),
        ("tokenizer.json", text("{}"), weights, "tokenizer.json"),
        ("modules.json", text("{}"), weights, "modules.json"),
        (
            "1_Pooling/config.json",
            None,
            fetch,
            "1_Pooling/config.json",
        ),
        (
            "1_Pooling/config.json",
            text(r#"{"pooling_mode":[]}"#),
            unsupported,
            "1_Pooling/config.json",
        ),
        (
            "sentence_bert_config.json",
            text(r#"{"max_seq_length":"x"}"#),
            weights,
            "sentence_bert_config.json",
        ),
        (
            "sentence_bert_config.json",
            text(r#"{"max_seq_length":2}"#),
            weights,
            "tokenizer.json",
        ),
        ("model.safetensors", None, fetch, "model.safetensors"),
        ("model.safetensors", text("<!doctype html>"), fetch, "HTML"),
        ("model.safetensors", text(""), weights, "truncated"),
        ("model.safetensors", text("1234567"), weights, "truncated"),
        (
            "model.safetensors",
            Some(u64::MAX.to_le_bytes().to_vec()),
            weights,
            "header claims",
        ),
        (
            "model.safetensors",
            Some(cut(100)),
            weights,
            "header claims",
        ),
        (
            "model.safetensors",
            Some(cut(checkpoint.len() - 1)),
            weights,
            "bytes",
        ),
        (
            "model.safetensors",
            Some([checkpoint.clone(), vec![0]].concat()),
            weights,
            "bytes",
        ),
        (
            "model.safetensors",
            Some(with_header(|h| drop(h.remove(BIAS)))),
            weights,
            "hole",
        ),
        (
            "model.safetensors",
            Some(with_header(|h| h[BIAS]["dtype"] = "I32".into())),
            weights,
            BIAS,
        ),
        (
            "model.safetensors",
            Some(with_header(|h| h[BIAS]["shape"] = vec![2, 16].into())),
            weights,
            BIAS,
        ),
        (
            "model.safetensors",
            Some(with_header(|h| h[BIAS]["shape"] = vec![u64::MAX].into())),
            weights,
            BIAS,
        ),
        (
            "model.safetensors",
            Some(with_header(|h| {
                h[BIAS]["data_offsets"] = vec![0, u64::MAX].into()
            })),
            weights,
            BIAS,
        ),
        (
            "pilotlight-q8.safetensors",
            text("12345678901234567890"),
            weights,
            "pilotlight-q8.safetensors",
        ),
        (
            "pilotlight-q8.safetensors",
            Some(packed_file(Dtype::F32).1),
            weights,
            "dtype 'f32'",
        ),
    ];
    for (file, bytes, kind, what) in cases {
        let mut files = files();
        match bytes {
            Some(bytes) => files.insert(file.into(), bytes),
            None => files.remove(file),
        };
        let store = MemoryStore::default();
        for host in [
            &MemoryHost::new(files.clone()) as &dyn Host,
            &Bucket(MemoryHost::new(files.clone())),
        ] {
            let Err(error) = load(host, &store, Dtype::Q8) else {
                // Only a host that lists can offer a packed file.
                assert!(file.starts_with("pilotlight-"), "{file}: {what}: loaded");
                continue;
            };
            let message = error.to_string();
            assert_eq!(error.kind(), kind, "{file}: {message}");
            let short = what == "bytes" || what == "header claims";
            assert!(
                message.contains(what) || (short && message.contains("truncated")),
                "{what}: {message}"
            );
            assert!(
                message.contains(file) || what == "tokenizer.json",
                "{file}: {message}"
            );
            assert_eq!(manifests(&store), 0, "{file}: {message}");
            if kind != ErrorKind::FetchFailed {
                // Nothing may be kept to resume from: the load would fail again each time.
                assert_eq!(
                    block_on(store.keys("")).unwrap(),
                    [""; 0],
                    "{file}: {message}"
                );
            }
        }
        assert!(
            load(&MemoryHost::new(self::files()), &store, Dtype::Q8).is_ok(),
            "{file}: the next load"
        );
    }
}

#[test]
fn a_tokenizer_in_older_files_alone_is_an_error_that_names_them_and_what_writes_the_missing_one() {
    for (others, named) in [
        (&["sentencepiece.bpe.model"][..], "sentencepiece.bpe.model"),
        (&["spiece.model"], "spiece.model"),
        (&["vocab.json", "merges.txt"], "vocab.json and merges.txt"),
    ] {
        let mut files = files();
        files.remove("tokenizer.json");
        for other in others {
            files.insert((*other).into(), b"old".to_vec());
        }
        let error = load(&MemoryHost::new(files), &MemoryStore::default(), Dtype::F32);
        let error = error.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert_eq!(
            error.to_string(),
            format!(
                "tokenizer.json: is missing, and {named} alone cannot be read: \
                 AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER) in Python writes tokenizer.json"
            )
        );
    }
}
