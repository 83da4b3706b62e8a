//! Static embeddings: the store, plans, layers, and tables that do not fit.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use pilotlight::{
    CacheConfig, Dtype, EmbedOptions, Error, ErrorKind, HiddenStatesOptions, Host, MemoryHost,
    MemoryStore, ModelClass, ModelKey, NoYield, Pooling, Result, Source, TextEmbedder, Values,
    plan_model,
};
use pollster::block_on;
use serde_json::json;
use support::{Files, WEIGHTS};

const MODELS: [&str; 3] = ["static-tiny", "static-tiny-mapped", "static-tiny-bag"];

fn files(name: &str) -> Files {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/");
    let mut files = Files::new();
    for folder in ["", "0_StaticEmbedding/"] {
        let path = format!("{root}{name}/{folder}");
        for entry in std::fs::read_dir(path).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && name != "expected.json" {
                files.insert(
                    format!("{folder}{name}"),
                    std::fs::read(entry.path()).unwrap(),
                );
            }
        }
    }
    files
}

fn load(host: &dyn Host) -> Result<TextEmbedder> {
    let source = Source::new(host, &NoYield);
    block_on(TextEmbedder::load(&source, Dtype::F32, &pilotlight::cpu()))
}

/// The error of loading `static-tiny` with this file as its weights.
fn refused(header: serde_json::Value, bytes: usize) -> Error {
    let mut files = files("static-tiny");
    files.insert(WEIGHTS.into(), safetensors(header, &vec![0; bytes]));
    match load(&MemoryHost::new(files)) {
        Ok(_) => panic!("expected an error"),
        Err(error) => error,
    }
}

fn safetensors(header: serde_json::Value, data: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(&header).unwrap();
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_slice(), data].concat()
}

fn vectors(embedder: &TextEmbedder) -> Vec<f32> {
    let texts = ["The pilot light is warm.".into(), String::new()];
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    floats(embeddings.values)
}

fn floats(values: Values) -> Vec<f32> {
    match values {
        Values::Float32(values) => values,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_store_keeps_a_table_with_its_width_and_its_plan_says_so() {
    for name in MODELS {
        for dtype in Dtype::ALL {
            let (host, store) = (MemoryHost::new(files(name)), MemoryStore::default());
            let key = || ModelKey::new("https://example.org", name, "main", dtype);
            let source = |host| Source {
                cache: Some(CacheConfig::new(&store, key(), 1, 1)),
                ..Source::new(host, &NoYield)
            };
            let plan = |host| block_on(plan_model(&source(host), &[], dtype)).unwrap();
            let load =
                |host| block_on(TextEmbedder::load(&source(host), dtype, &pilotlight::cpu()));
            let (class, fresh) = plan(&host);
            assert_eq!((class, fresh.whole), (ModelClass::TextEmbedder, false));
            let loaded = load(&host).unwrap();
            let expected = vectors(&loaded);
            // The stored model is read without the host.
            let nowhere = MemoryHost::new([]);
            let stored = load(&nowhere).unwrap();
            assert_eq!(stored.dimensions(), loaded.dimensions(), "{name} {dtype:?}");
            assert_eq!(stored.max_tokens(), loaded.max_tokens());
            assert_eq!(vectors(&stored), expected, "{name} {dtype:?}");
            let (class, kept) = plan(&nowhere);
            assert_eq!(
                (class, kept.whole, kept.fetch),
                (ModelClass::TextEmbedder, true, 0)
            );
            assert_eq!(kept.stored, fresh.stored, "{name} {dtype:?}");
        }
    }
}

#[test]
fn hidden_states_are_the_rows_and_there_are_no_layers_to_choose() {
    for name in MODELS {
        let host = MemoryHost::new(files(name));
        let embedder = load(&host).unwrap();
        assert_eq!((embedder.layers(), embedder.is_cut()), (0, false));
        let d = embedder.dimensions();
        let texts = [String::new(), "The pilot light is warm.".into()];
        let states = |layer, pooling| {
            let options = HiddenStatesOptions { layer, pooling };
            block_on(embedder.hidden_states(&texts, &options, &NoYield))
        };
        let rows = states(None, None).unwrap();
        assert_eq!(rows.tokens[0], 0);
        assert_eq!(rows.dims, [rows.tokens[1], d]);
        let rows = floats(rows.values);
        let pooled = floats(states(Some(0), Some(Pooling::Mean)).unwrap().values);
        assert_eq!(pooled[..d], vec![0.0; d]);
        let count = (rows.len() / d) as f32;
        for (at, pooled) in pooled[d..].iter().enumerate() {
            let mean = rows.iter().skip(at).step_by(d).sum::<f32>() / count;
            assert!((mean - pooled).abs() < 1e-6, "{name}: {mean}, {pooled}");
        }
        // A text without tokens has no first one.
        assert_eq!(
            floats(states(None, Some(Pooling::Cls)).unwrap().values)[..d],
            vec![0.0; d]
        );
        let error = states(Some(1), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let store = MemoryStore::default();
        let key = ModelKey::new("https://example.org", name, "main", Dtype::F32);
        for cache in [None, Some(CacheConfig::new(&store, key, 1, 1))] {
            let source = Source {
                cache,
                layers: Some(1),
                ..Source::new(&host, &NoYield)
            };
            let error = block_on(TextEmbedder::load(&source, Dtype::F32, &pilotlight::cpu()));
            let error = error.map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}: {error}");
            assert!(
                error.to_string().contains("without layers"),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn a_table_of_another_shape_or_dtype_is_refused_by_name() {
    let table = |dtype: &str, shape: &[usize], bytes: usize| {
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [0, bytes] });
        refused(json!({ "embeddings": entry }), bytes)
    };
    for (error, what) in [
        (
            table("F32", &[173], 692),
            "has shape [173], expected [1 to 16777216, 1 to 16777216]",
        ),
        (table("F32", &[173, 2, 2], 2768), "has shape [173, 2, 2]"),
        (table("F32", &[0, 4], 0), "has shape [0, 4]"),
        (table("F32", &[4, 0], 0), "has shape [4, 0]"),
        (
            table("U8", &[173, 4], 692),
            "has dtype U8, expected F32 or F16 or BF16 or F64 or I8",
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(error.tensor(), Some("embeddings"), "{error}");
    }
    let other = json!({ "other": { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] } });
    let error = refused(other, 4);
    assert!(
        error.to_string().contains("'embeddings' is missing"),
        "{error}"
    );
}

#[test]
fn tables_of_bytes_and_weights_in_f64_are_read_as_plain_numbers() {
    let mut files = files("static-tiny");
    let header = json!({
        "embeddings": { "dtype": "I8", "shape": [2, 3], "data_offsets": [0, 6] },
        "mapping": { "dtype": "I32", "shape": [173], "data_offsets": [6, 698] },
        "weights": { "dtype": "F64", "shape": [173], "data_offsets": [698, 2082] },
    });
    let rows = [1i8, -2, 3, 40, 5, -128].map(|value| value as u8);
    // Tokens of even ids have the first row.
    let mapping: Vec<u8> = (0..173i32).flat_map(|id| (id % 2).to_le_bytes()).collect();
    let weights: Vec<u8> = (0..173)
        .flat_map(|id| f64::from(id).to_le_bytes())
        .collect();
    files.insert(
        WEIGHTS.into(),
        safetensors(header, &[&rows[..], &mapping, &weights].concat()),
    );
    files.insert(
        "config.json".into(),
        br#"{"model_type":"model2vec"}"#.into(),
    );
    let embedder = load(&MemoryHost::new(files)).unwrap();
    let texts = ["light".into(), "light pilot".into()];
    let embeddings = block_on(embedder.embed(&texts, &EmbedOptions::default(), &NoYield)).unwrap();
    // The ids are 132, and 132 with 133.
    let second = [1, -2, 3].into_iter().zip([40, 5, -128]);
    let second = second.map(|(a, b)| (132 * a + 133 * b) as f32 / 2.0);
    let expected: Vec<f32> = [132.0, -264.0, 396.0].into_iter().chain(second).collect();
    assert_eq!(floats(embeddings.values), expected);
}

#[test]
fn an_id_past_the_table_is_an_error_and_so_is_a_row_past_it() {
    let entry = json!({ "dtype": "F32", "shape": [132, 2], "data_offsets": [0, 1056] });
    let mut files = files("static-tiny");
    files.insert(
        WEIGHTS.into(),
        safetensors(json!({ "embeddings": entry }), &[0; 1056]),
    );
    let embedder = load(&MemoryHost::new(files)).unwrap();
    let embed = |text: &str| {
        let options = EmbedOptions::default();
        block_on(embedder.embed(&[text.into()], &options, &NoYield)).map(|found| found.dims)
    };
    assert_eq!(embed("the").unwrap(), [1, 2]);
    let error = embed("light").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidWeights);
    assert_eq!(
        error.to_string(),
        "tokenizer.json: yields the id 132, but the model has 132 embeddings"
    );
    let options = HiddenStatesOptions::default();
    let error = block_on(embedder.hidden_states(&["light".into()], &options, &NoYield));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidWeights);

    let header = json!({
        "embeddings": { "dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4] },
        "mapping": { "dtype": "I32", "shape": [1], "data_offsets": [4, 8] },
    });
    let mut bytes = safetensors(header.clone(), &[0; 8]);
    *bytes.last_mut().unwrap() = 1;
    let mut files = self::files("static-tiny");
    files.insert(WEIGHTS.into(), bytes);
    let error = load(&MemoryHost::new(files)).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidWeights, "{error}");
    assert!(
        error.to_string().contains("'mapping' has the row 16777216"),
        "{error}"
    );
}

#[test]
fn what_a_repository_is_is_told_by_its_modules_where_it_has_no_config_of_model2vec() {
    // A config beside the module is that of another model.
    let mut bag = files("static-tiny-bag");
    let expected = vectors(&load(&MemoryHost::new(bag.clone())).unwrap());
    bag.insert("config.json".into(), br#"{"model_type":"bert"}"#.into());
    assert_eq!(
        vectors(&load(&MemoryHost::new(bag.clone())).unwrap()),
        expected
    );
    // The repository then has neither a config nor modules.
    bag.remove("config.json");
    bag.remove("modules.json");
    let error = load(&MemoryHost::new(bag)).map(|_| ()).unwrap_err();
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::FetchFailed, Some("config.json"))
    );
    // The table under the name that model2vec has for it.
    let mut plain = files("static-tiny");
    plain.remove("config.json");
    assert_eq!(load(&MemoryHost::new(plain)).unwrap().dimensions(), 37);
}
