//! Tests that each key of `config.json` is read, or is one of those that are known to change no vector.
//!
//! `tests/goldens/configs/classes.json` has the config classes of `transformers` with all their keys; each repository among the goldens adds
//! what files have besides.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::SentenceEncoderConfig;

/// Keys that change no hidden state, by `model_type`; those of `""` are of all families.
const INERT: &[(&str, &[&str])] = &[
    (
        "",
        &[
            // The origin of the file.
            "_name_or_path",
            "architectures",
            "auto_map",
            "transformers_version",
            // The dtype that tensors had; theirs is in the weights.
            "dtype",
            "torch_dtype",
            // The outputs of a call, its memory, and its cache for later calls.
            "chunk_size_feed_forward",
            "gradient_checkpointing",
            "output_attentions",
            "output_hidden_states",
            "return_dict",
            "use_cache",
            // Only a class of its own has an encoder with a decoder.
            "is_encoder_decoder",
            // Training.
            "attention_dropout",
            "attention_probs_dropout_prob",
            "classifier_dropout",
            "hidden_dropout_prob",
            "initializer_range",
            // Heads, whose configs are read with them.
            "activation_fn",
            "classifier_activation",
            "classifier_bias",
            "classifier_pooling",
            "id2label",
            "label2id",
            "problem_type",
            "sbert_ce_default_activation_function",
            "sentence_transformers",
            // Ids of special tokens, of which the tokenizer has its own.
            "cls_token_id",
            "eos_token_id",
            "sep_token_id",
        ],
    ),
    (
        "bert",
        &["bos_token_id", "pad_token_id", "tie_word_embeddings"],
    ),
    ("camembert", &["bos_token_id", "tie_word_embeddings"]),
    ("roberta", &["bos_token_id", "tie_word_embeddings"]),
    ("xlm-roberta", &["bos_token_id", "tie_word_embeddings"]),
    (
        "distilbert",
        &[
            "bos_token_id",
            "dropout",
            "pad_token_id",
            "qa_dropout",
            "seq_classif_dropout",
            // The checkpoint holds the positions.
            "sinusoidal_pos_embds",
            "tie_weights_",
            "tie_word_embeddings",
        ],
    ),
    (
        "mpnet",
        &["bos_token_id", "pad_token_id", "tie_word_embeddings"],
    ),
    (
        "modernbert",
        &[
            "bos_token_id",
            "decoder_bias",
            "deterministic_flash_attn",
            "embedding_dropout",
            "initializer_cutoff_factor",
            // The norms' constant is `norm_eps`.
            "layer_norm_eps",
            "mlp_dropout",
            "pad_token_id",
            "position_embedding_type",
            "repad_logits_with_grad",
            "sparse_pred_ignore_index",
            "sparse_prediction",
            "tie_word_embeddings",
        ],
    ),
    (
        "nomic_bert",
        &[
            "attn_pdrop",
            "bos_token_id",
            "dense_seq_output",
            "embd_pdrop",
            "fused_bias_fc",
            "fused_dropout_add_ln",
            // It is read only with a `rotary_scaling_factor`, as the longest text.
            "max_trained_positions",
            "pad_token_id",
            // Rows of the table, whose number is that of the weights.
            "pad_vocab_size_multiple",
            // A setting of parallel blocks, which are refused.
            "parallel_block_tied_norm",
            "reorder_and_upcast_attn",
            "resid_pdrop",
            "use_flash_attn",
            "use_xentropy",
        ],
    ),
    // The config of jina's own code, which has linear biases.
    (
        "bert with alibi",
        &[
            "attn_implementation",
            // The method `encode` of that code, which is not that of sentence-transformers.
            "emb_pooler",
            // The gate has its activation in `feed_forward_type`.
            "hidden_act",
        ],
    ),
    // It splits a product and adds the parts.
    ("llama", &["pad_token_id", "pretraining_tp"]),
    // Settings of attention windows, which are refused.
    (
        "qwen2",
        &[
            // A setting of Qwen2-VL.
            "use_mrope",
            "max_window_layers",
            "pad_token_id",
            "sliding_window",
        ],
    ),
    (
        "qwen3",
        &["max_window_layers", "pad_token_id", "sliding_window"],
    ),
];

/// Returns the debug form of a parsed config, or the error message.
fn outcome(config: &Map<String, Value>) -> Result<String, String> {
    let json = serde_json::to_vec(config).unwrap();
    match SentenceEncoderConfig::from_json(&json) {
        Ok(config) => Ok(format!("{config:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Other values of the same kind, or of several in place of null.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            vec![json!(number as i64 + 1), json!(number * 3.0 + 0.25)]
        }
        Value::String(_) => vec![json!("other")],
        Value::Array(_) => vec![json!(["other"])],
        Value::Object(_) => vec![json!({"other": [0]})],
        Value::Null => vec![json!(true), json!(7), json!("other"), json!(["other"])],
    }
}

fn check(name: &str, config: &Map<String, Value>) {
    let read = outcome(config);
    assert!(read.is_ok(), "{name}: {read:?}");
    let is_alibi = config.get("position_embedding_type") == Some(&json!("alibi"));
    let mut families = vec!["", config["model_type"].as_str().unwrap()];
    if is_alibi {
        families.push("bert with alibi");
    }
    let inert: Vec<_> = INERT
        .iter()
        .filter(|(family, _)| families.contains(family))
        .flat_map(|(_, keys)| *keys)
        .collect();
    for (key, value) in config {
        let is_inert = inert.contains(&&key.as_str());
        let mut differs = others(value).into_iter().map(|other| {
            let mut changed = config.clone();
            changed.insert(key.clone(), other);
            outcome(&changed) != read
        });
        match is_inert {
            true => assert!(
                !differs.any(|differs| differs),
                "{name}: {key} is read, and INERT has it"
            ),
            false => assert!(
                differs.any(|differs| differs),
                "{name}: {key} is ignored: read it, refuse it, or have it in INERT, if it changes no vector"
            ),
        }
    }
}

#[test]
fn each_key_of_a_config_is_read_or_known_to_change_nothing() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let classes = fs::read(goldens.join("configs/classes.json")).unwrap();
    let classes: Map<String, Value> = serde_json::from_slice(&classes).unwrap();
    for (name, config) in &classes {
        check(name, config.as_object().unwrap());
    }
    let mut count = 0;
    for entry in fs::read_dir(&goldens).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(json) = fs::read(folder.join("config.json")) else {
            continue;
        };
        let config: Map<String, Value> = serde_json::from_slice(&json).unwrap();
        // Two towers and static embeddings have readers of their own.
        let kind = config.get("model_type").and_then(Value::as_str);
        if !matches!(kind, None | Some("clip" | "siglip" | "model2vec")) {
            check(&folder.display().to_string(), &config);
            count += 1;
        }
    }
    assert!(count > 15, "{count} repositories");
}
