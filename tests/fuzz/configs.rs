//! Fuzzes configs, and the index of shards.

use super::*;

#[test]
fn the_json_configs_and_the_lock_file() {
    let mut files = tiny();
    let lock = br#"{"version":1,"commit":"c0ffee","files":{"config.json":{"size":600,"sha256":"00"},"model.safetensors":{"size":9,
        "sha256":"db8f1d69251d95e2c88268d3c540533cc5182e0e33065a6f3f322f606a574489","tensors":{"a":"00","b":"db8f1d69"}}}}"#;
    files.insert("pilotlight-lock.json".into(), lock.to_vec());
    let prompts = br#"{"prompts":{"query":"query: ","passage":""},"default_prompt_name":"query"}"#;
    files.insert("config_sentence_transformers.json".into(), prompts.to_vec());
    let names = [
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "pilotlight-lock.json",
    ];
    let beside: usize = files.values().map(Vec::len).sum();
    let weights = files[WEIGHTS].clone();
    let head = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let beside = beside - weights.len() + head;
    fuzz("configs", 2, |random| {
        let name = names[random.below(names.len())];
        let changed = mutate(&files[name], random);
        let size = changed.len() + beside;
        let mut all = files.clone();
        all.insert(name.into(), changed);
        plan(all);
        size + weights.len() / FACTOR
    });
}

/// Fuzzes the configs of the other families of encoders, which have more than sizes.
#[test]
fn the_configs_of_other_encoders() {
    for (seed, name) in [
        (21, "jina-tiny"),
        (22, "modernbert-tiny"),
        (23, "mpnet-tiny"),
        (24, "nomic-tiny-hub"),
        (27, "static-tiny-mapped"),
        (25, "xlm-roberta-tiny"),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/goldens")
            .join(name);
        let changed = ["config.json", "tokenizer_config.json"];
        let names = [
            changed[0],
            changed[1],
            "modules.json",
            "1_Pooling/config.json",
            WEIGHTS,
        ];
        let files = names.map(|name| {
            (
                name.to_owned(),
                std::fs::read(folder.join(name)).unwrap_or_default(),
            )
        });
        let files = files.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        let files = Files::from_iter(files);
        let beside: usize = files.values().map(Vec::len).sum();
        fuzz(name, seed, |random| {
            let mut all = files.clone();
            let file = changed[random.below(2)];
            let other = mutate(
                all.get(file).map_or(b"{}".as_slice(), Vec::as_slice),
                random,
            );
            let size = other.len() + beside;
            all.insert(file.into(), other);
            plan(all);
            size
        });
    }
}

/// Fuzzes the modules after the pooling: their list, their configs and their tensors.
#[test]
fn the_modules_of_an_encoder() {
    let mut files = tiny();
    let header = br#"{"linear.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"linear.weight":{"dtype":"F32","shape":[2,120],"data_offsets":[8,968]}}"#;
    let mut dense = (header.len() as u64).to_le_bytes().to_vec();
    dense.extend_from_slice(header);
    dense.extend([0; 968]);
    let modules = br#"[{"path":"","type":"models.Transformer"},{"path":"1_Pooling","type":"models.Pooling"},
        {"path":"2_Dense","type":"models.Dense"},{"path":"3_Normalize","type":"models.Normalize"}]"#;
    let config = br#"{"in_features":120,"out_features":2,"bias":true,"activation_function":"torch.nn.modules.activation.Tanh"}"#;
    files.insert("modules.json".into(), modules.to_vec());
    files.insert("2_Dense/config.json".into(), config.to_vec());
    files.insert("2_Dense/model.safetensors".into(), dense);
    let names = [
        "modules.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ];
    let host = MemoryHost::new(files.clone());
    let source = Source::new(&host, &NoYield);
    block_on(TextEmbedder::plan(&source, Dtype::Q8)).unwrap();
    let all: usize = files.values().map(Vec::len).sum();
    fuzz("modules", 26, |random| {
        let name = names[random.below(names.len())];
        let changed = mutate(&files[name], random);
        let size = changed.len() + all;
        let mut all = files.clone();
        all.insert(name.into(), changed);
        plan(all);
        size
    });
}

/// Fuzzes the configs of decoders.
#[test]
fn the_config_of_a_decoder() {
    for (seed, name) in [(13, "llama-tiny"), (14, "qwen2-tiny")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/goldens")
            .join(name);
        let names = ["config.json", "tokenizer.json", WEIGHTS];
        let files = names.map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()));
        let beside: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        fuzz("config of a decoder", seed, |random| {
            let mut all = Files::from(files.clone());
            let changed = mutate(&all["config.json"], random);
            let size = changed.len() + beside;
            all.insert("config.json".into(), changed);
            let host = MemoryHost::new(all);
            let source = Source::new(&host, &NoYield);
            let _ = block_on(Decoder::plan(&source, Dtype::Q8));
            size
        });
    }
}

/// Fuzzes the config of a classifier of whole texts.
#[test]
fn the_config_of_a_classifier() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/bert-tiny-classifier");
    let names = ["config.json", "tokenizer.json", WEIGHTS];
    let files = names.map(|name| (name.to_owned(), std::fs::read(folder.join(name)).unwrap()));
    let beside: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    fuzz("config of a classifier", 12, |random| {
        let mut all = Files::from(files.clone());
        let changed = mutate(&all["config.json"], random);
        let size = changed.len() + beside;
        all.insert("config.json".into(), changed);
        let host = MemoryHost::new(all);
        let source = Source::new(&host, &NoYield);
        let _ = block_on(SequenceClassifier::plan(&source, Dtype::Q8));
        let _ = block_on(plan_model(&source, &[], Dtype::Q8));
        size
    });
}

/// Fuzzes the shard index and the configs of a CLIP checkpoint.
#[test]
fn the_configs_of_clip_and_the_index_of_its_shards() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/clip-tiny-gelu");
    let names = [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors.index.json",
    ];
    let mut files = Files::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        if name != "tokenizer.json" && !name.starts_with("expected") && !name.ends_with(".py") {
            files.insert(name, std::fs::read(file.path()).unwrap());
        }
    }
    let beside: usize = files.values().map(Vec::len).sum();
    fuzz("configs of CLIP", 4, |random| {
        let name = names[random.below(names.len())];
        let changed = mutate(&files[name], random);
        let size = changed.len() + beside;
        if let Ok(processor) = ImageProcessor::from_json(&changed) {
            let [rows, columns] = processor.dims();
            if rows * columns < 1 << 16 {
                let image = Rgb::new(3, 2, vec![7; 18]).unwrap();
                assert_eq!(processor.process(&image).unwrap().len(), 3 * rows * columns);
            }
        }
        let mut all = files.clone();
        all.insert(name.into(), changed);
        let host = MemoryHost::new(all);
        let source = Source::new(&host, &NoYield);
        let _ = block_on(plan_model(&source, &[], Dtype::Q8));
        size
    });
}
