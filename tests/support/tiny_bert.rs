//! The files of the tiny BERT of the goldens.

use std::collections::BTreeMap;
use std::path::Path;

/// The content of each file by its name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Reads the files.
pub fn files() -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/bert-tiny-mean");
    let names = [
        "config.json",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "model.safetensors",
    ];
    names
        .iter()
        .map(|name| ((*name).into(), std::fs::read(folder.join(name)).unwrap()))
        .collect()
}
