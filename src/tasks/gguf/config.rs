//! `config.json`, and the files of sentence-transformers beside it.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::weights::Gguf;

/// Makes all config files but the tokenizer's.
pub(super) fn files(gguf: &Gguf<'_>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let architecture = gguf.text("general.architecture")?.unwrap_or_default();
    match architecture {
        "bert" => bert(gguf),
        "llama" | "qwen2" | "qwen3" => {
            let config = decoder(gguf, architecture)?;
            Ok(vec![("config.json", bytes(&Value::Object(config)))])
        }
        other => Err(Error::unsupported(format!(
            "general.architecture is '{other}', expected one of bert, llama, qwen2, qwen3"
        ))),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The number of rows of a tensor.
fn rows(gguf: &Gguf<'_>, tensor: &str) -> Result<usize> {
    let rows = gguf.shape(tensor).and_then(|shape| shape.first()).copied();
    rows.ok_or_else(|| {
        Error::invalid_weights(format!("tensor '{tensor}' is missing")).with_tensor(tensor)
    })
}

/// Adds the sizes that all architectures have. `names`: the fields of the config, and the keys without the architecture.
fn sizes(
    gguf: &Gguf<'_>,
    architecture: &str,
    names: &[(&str, &str)],
    config: &mut Map<String, Value>,
) -> Result<()> {
    config.insert("model_type".into(), architecture.into());
    config.insert("vocab_size".into(), rows(gguf, "token_embd.weight")?.into());
    for (field, key) in names {
        let count = gguf.required_count(&format!("{architecture}.{key}"))?;
        config.insert((*field).into(), count.into());
    }
    for (field, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("eos_token_id", "tokenizer.ggml.eos_token_id"),
    ] {
        if let Some(id) = gguf.count(key)? {
            config.insert(field.into(), id.into());
        }
    }
    Ok(())
}

fn bert(gguf: &Gguf<'_>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut config = Map::new();
    let names = [
        ("hidden_size", "embedding_length"),
        ("num_hidden_layers", "block_count"),
        ("num_attention_heads", "attention.head_count"),
        ("intermediate_size", "feed_forward_length"),
    ];
    sizes(gguf, "bert", &names, &mut config)?;
    let positions = rows(gguf, "position_embd.weight")?;
    let epsilon = gguf.number("bert.attention.layer_norm_epsilon")?;
    config.insert("hidden_act".into(), "gelu".into());
    // The class whose tokenizer is taken as it is made here: that of BERT would lowercase texts whatever the vocabulary has.
    config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    config.insert("max_position_embeddings".into(), positions.into());
    config.insert(
        "type_vocab_size".into(),
        rows(gguf, "token_types.weight")?.into(),
    );
    config.insert("layer_norm_eps".into(), epsilon.unwrap_or(1e-12).into());
    let longest = gguf.count("bert.context_length")?.unwrap_or(positions);
    // *Source*: llama.cpp, `enum llama_pooling_type`.
    let pooling = match gguf.count("bert.pooling_type")?.unwrap_or(0) {
        0 | 1 => "pooling_mode_mean_tokens",
        2 => "pooling_mode_cls_token",
        other => {
            return Err(Error::unsupported(format!(
                "bert.pooling_type is {other}, expected 0 or 1 for the mean, or 2 for the first token"
            )));
        }
    };
    let module = |path: &str, kind: &str| json!({ "path": path, "type": format!("sentence_transformers.models.{kind}") });
    let modules = [
        module("", "Transformer"),
        module("1_Pooling", "Pooling"),
        module("2_Normalize", "Normalize"),
    ];
    Ok(vec![
        ("config.json", bytes(&Value::Object(config))),
        ("modules.json", bytes(&Value::from(modules.to_vec()))),
        ("1_Pooling/config.json", bytes(&json!({ pooling: true }))),
        (
            "sentence_bert_config.json",
            bytes(&json!({ "max_seq_length": longest })),
        ),
    ])
}

fn decoder(gguf: &Gguf<'_>, architecture: &str) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    let names = [
        ("hidden_size", "embedding_length"),
        ("num_hidden_layers", "block_count"),
        ("num_attention_heads", "attention.head_count"),
        ("intermediate_size", "feed_forward_length"),
        ("max_position_embeddings", "context_length"),
    ];
    sizes(gguf, architecture, &names, &mut config)?;
    let key = |key: &str| format!("{architecture}.{key}");
    let heads = gguf.required_count(&key("attention.head_count"))?;
    let width = gguf.required_count(&key("embedding_length"))?;
    let head = match gguf.count(&key("attention.key_length"))? {
        Some(head) => head,
        None => width.checked_div(heads).ok_or_else(|| {
            Error::invalid_weights(format!(
                "metadata '{}' is 0, expected 1 or more",
                key("attention.head_count")
            ))
        })?,
    };
    let kv_heads = gguf.count(&key("attention.head_count_kv"))?;
    let epsilon = key("attention.layer_norm_rms_epsilon");
    let epsilon = gguf
        .number(&epsilon)?
        .ok_or_else(|| Error::invalid_weights(format!("metadata '{epsilon}' is missing")))?;
    let theta = gguf.number(&key("rope.freq_base"))?.unwrap_or(10_000.0);
    for (field, value) in [
        ("num_key_value_heads", kv_heads.unwrap_or(heads).into()),
        ("head_dim", head.into()),
        ("hidden_act", "silu".into()),
        ("rms_norm_eps", epsilon.into()),
        ("rope_theta", theta.into()),
        (
            "tie_word_embeddings",
            gguf.shape("output.weight").is_none().into(),
        ),
        // Qwen2 always has a bias, and its configs do not say so.
        (
            "attention_bias",
            (architecture != "qwen2" && gguf.shape("blk.0.attn_q.bias").is_some()).into(),
        ),
    ] {
        config.insert(field.into(), value);
    }
    // The factors of Llama 3.1 are a tensor; other ways to scale have a key.
    let scaling = match gguf.shape("rope_freqs.weight") {
        Some(_) => Some("llama3"),
        None => gguf.text(&key("rope.scaling.type"))?,
    };
    if let Some(kind) = scaling.filter(|kind| *kind != "none") {
        let factor = gguf.number(&key("rope.scaling.factor"))?;
        let scaling = json!({ "rope_type": kind, "factor": factor });
        config.insert("rope_scaling".into(), scaling);
    }
    Ok(config)
}
