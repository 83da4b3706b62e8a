//! GGUF files of the models in this folder.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use super::{Files, WEIGHTS, tensors_of};

#[path = "../../src/weights/testing.rs"]
pub mod testing;

use testing::{GgufFile, Item};

/// A repository that has only a GGUF file, of the same BERT as the repository of safetensors.
pub fn gguf_of(files: &Files) -> Files {
    let json = |name: &str| -> serde_json::Value { serde_json::from_slice(&files[name]).unwrap() };
    let (config, tokenizer) = (json("config.json"), json("tokenizer.json"));
    let mut file = GgufFile::default();
    file.value("general.architecture", Item::Text("bert".into()));
    for (key, field) in [
        ("block_count", "num_hidden_layers"),
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("context_length", "max_position_embeddings"),
    ] {
        let count = config[field].as_u64().unwrap();
        file.value(&format!("bert.{key}"), Item::Count(count));
    }
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<_> = vocabulary.iter().collect();
    tokens.sort_by_key(|(_, id)| id.as_u64());
    let is_special = |token: &str| token.starts_with('[');
    let marked = tokens
        .iter()
        .map(|(token, _)| match token.strip_prefix("##") {
            Some(piece) => piece.into(),
            None if is_special(token) => token.to_string(),
            None => format!("▁{token}"),
        });
    file.value("tokenizer.ggml.model", Item::Text("bert".into()));
    file.value("tokenizer.ggml.tokens", Item::Texts(marked.collect()));
    let types = tokens
        .iter()
        .map(|(token, _)| if is_special(token) { 3 } else { 1 });
    file.value("tokenizer.ggml.token_type", Item::Integers(types.collect()));
    add_tensors(&mut file, &files[WEIGHTS]);
    Files::from([("model.F32.gguf".into(), file.bytes())])
}

/// Adds the tensors of a safetensors file that GGUF files have names for.
fn add_tensors(file: &mut GgufFile, safetensors: &[u8]) {
    for (name, shape, values) in tensors_of(safetensors) {
        let Some(name) = name_of(&name) else {
            continue;
        };
        file.data.resize(file.end as usize, 0);
        file.data.extend(values);
        file.tensor(&name, &shape, "F32");
    }
}

/// The name of a tensor in a GGUF file.
fn name_of(name: &str) -> Option<String> {
    let mut name = name.to_string();
    for (own, gguf) in [
        ("encoder.layer", "blk"),
        ("embeddings.word_embeddings", "token_embd"),
        ("embeddings.position_embeddings", "position_embd"),
        ("embeddings.token_type_embeddings", "token_types"),
        ("embeddings.LayerNorm", "token_embd_norm"),
        ("attention.self.query", "attn_q"),
        ("attention.self.key", "attn_k"),
        ("attention.self.value", "attn_v"),
        ("attention.output.dense", "attn_output"),
        ("attention.output.LayerNorm", "attn_output_norm"),
        ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"),
        ("output.LayerNorm", "layer_output_norm"),
    ] {
        name = name.replace(own, gguf);
    }
    (name.starts_with("blk") || name.starts_with("token") || name.starts_with("position"))
        .then_some(name)
}
