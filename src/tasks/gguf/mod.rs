//! The config files of a model, made from the metadata of its GGUF file. They have the form that Hugging Face uses, so that everything
//! behind the loader reads one form only.

mod config;
mod tokenizer;

use crate::error::Result;
use crate::weights::Gguf;

/// Makes the config files of a model from the `header` of its GGUF file: names and contents.
///
/// *Errors*: `InvalidWeights` naming the file and the key; `UnsupportedModel` for an architecture or a tokenizer that is not known.
pub(super) fn made_files(file: &str, header: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let make = || {
        let gguf = Gguf::parse(file, header)?;
        let mut files = config::files(&gguf)?;
        files.push(("tokenizer.json", tokenizer::json(&gguf)?));
        Ok(files)
    };
    make().map_err(|error| crate::weights::named(file, error))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::models::DecoderConfig;
    use crate::text::TextTokenizer;
    use crate::weights::testing::{GgufFile, Item};

    fn text(text: &str) -> Item {
        Item::Text(text.into())
    }

    fn texts(texts: &[&str]) -> Item {
        Item::Texts(texts.iter().map(|text| (*text).into()).collect())
    }

    fn made(file: &GgufFile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        let bytes = file.bytes();
        let files = made_files("model.gguf", &bytes[..file.header_bytes()])?;
        let parse = |(name, bytes): (_, Vec<u8>)| (name, serde_json::from_slice(&bytes).unwrap());
        Ok(files.into_iter().map(parse).collect())
    }

    fn decoder(architecture: &str) -> GgufFile {
        let key = |key: &str| format!("{architecture}.{key}");
        let mut file = GgufFile::default();
        file.value("general.architecture", text(architecture));
        for (name, count) in [
            ("block_count", 2),
            ("embedding_length", 32),
            ("feed_forward_length", 64),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
            ("context_length", 128),
        ] {
            file.value(&key(name), Item::Count(count));
        }
        file.value(&key("attention.layer_norm_rms_epsilon"), Item::Float(1e-5));
        file.value(&key("rope.freq_base"), Item::Float(1e5));
        file.value("tokenizer.ggml.model", text("gpt2"));
        file.value("tokenizer.ggml.pre", text("smollm"));
        let tokens = ["<|endoftext|>", "a", "b", "ab", "1", "2", "Ġ", "Ġab"];
        file.value("tokenizer.ggml.tokens", texts(&tokens));
        file.value("tokenizer.ggml.merges", texts(&["a b", "Ġ ab"]));
        file.value(
            "tokenizer.ggml.token_type",
            Item::Integers(vec![3, 1, 1, 1, 1, 1, 1, 1]),
        );
        file.value("tokenizer.ggml.bos_token_id", Item::Count(0));
        file.tensor("token_embd.weight", &[8, 32], "F32");
        file
    }

    #[test]
    fn a_decoder_has_the_config_and_the_tokenizer_of_hugging_face() {
        for architecture in ["llama", "qwen2", "qwen3"] {
            let mut file = decoder(architecture);
            let made = made(&file).unwrap();
            let [("config.json", config), ("tokenizer.json", tokenizer)] = &made[..] else {
                panic!("{made:?}")
            };
            for (field, value) in [
                ("model_type", architecture.into()),
                ("vocab_size", 8.into()),
                ("hidden_size", 32.into()),
                ("num_hidden_layers", 2.into()),
                ("num_key_value_heads", 2.into()),
                ("head_dim", 8.into()),
                ("rope_theta", 1e5.into()),
                ("tie_word_embeddings", true.into()),
                ("bos_token_id", serde_json::Value::from(0)),
            ] {
                assert_eq!(config[field], value, "{architecture}: {field}");
            }
            file.tensor("blk.0.attn_q.bias", &[32], "F32");
            let biased = serde_json::to_vec(&self::made(&file).unwrap()[0].1).unwrap();
            let read = DecoderConfig::from_json(&biased);
            // Only Qwen2 has biases that are read.
            assert_eq!(read.is_ok(), architecture == "qwen2", "{architecture}");
            let config_bytes = serde_json::to_vec(config).unwrap();
            assert!(
                DecoderConfig::from_json(&config_bytes).is_ok(),
                "{architecture}"
            );
            let epsilon: f32 = serde_json::from_value(config["rms_norm_eps"].clone()).unwrap();
            assert_eq!(epsilon, 1e-5);
            let tokenizer = serde_json::to_vec(tokenizer).unwrap();
            let tokenizer = TextTokenizer::from_json(&tokenizer, 64, false).unwrap();
            let ids = tokenizer.encode("ab ab12<|endoftext|>b").unwrap().ids;
            assert_eq!(ids, [3, 7, 4, 5, 0, 2], "{architecture}");
            file.tensor("output.weight", &[8, 32], "F32");
            let untied = self::made(&file).unwrap();
            assert_eq!(untied[0].1["tie_word_embeddings"], false);
        }
    }

    #[test]
    fn each_pre_tokenizer_splits_digits_in_its_own_way() {
        for (pre, ids) in [
            ("smollm", &[1, 2, 3, 6, 7][..]),
            ("qwen2", &[1, 2, 3, 6, 7]),
            ("gpt-2", &[5, 6, 7]),
            // Llama 3 begins each text with a token.
            ("llama-bpe", &[0, 5, 6, 7]),
        ] {
            let mut file = decoder("llama");
            file.value("tokenizer.ggml.pre", text(pre));
            let tokens = ["<s>", "1", "2", "3", "12", "123", "Ġ", "a"];
            file.value("tokenizer.ggml.tokens", texts(&tokens));
            file.value(
                "tokenizer.ggml.token_type",
                Item::Integers(vec![3, 1, 1, 1, 1, 1, 1, 1]),
            );
            file.value("tokenizer.ggml.merges", texts(&["1 2", "12 3"]));
            let made = made(&file).unwrap();
            let json = serde_json::to_vec(&made[1].1).unwrap();
            let tokenizer = TextTokenizer::from_json(&json, 64, false).unwrap();
            assert_eq!(tokenizer.encode("123 a").unwrap().ids, ids, "{pre}");
        }
    }

    #[test]
    fn word_pieces_get_their_marks_back() {
        let mut file = GgufFile::default();
        file.value("general.architecture", text("bert"));
        for (name, count) in [
            ("block_count", 1),
            ("embedding_length", 8),
            ("feed_forward_length", 16),
            ("attention.head_count", 2),
            ("context_length", 16),
            ("pooling_type", 2),
        ] {
            file.value(&format!("bert.{name}"), Item::Count(count));
        }
        file.value("tokenizer.ggml.model", text("bert"));
        let tokens = [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁light", "s", "▁s", "▁.",
        ];
        file.value("tokenizer.ggml.tokens", texts(&tokens));
        file.value(
            "tokenizer.ggml.token_type",
            Item::Integers(vec![3, 3, 3, 3, 1, 1, 1, 1]),
        );
        file.tensor("token_embd.weight", &[8, 8], "F32");
        file.tensor("position_embd.weight", &[32, 8], "F32");
        file.tensor("token_types.weight", &[2, 8], "F32");
        let made = made(&file).unwrap();
        let get = |name: &str| &made.iter().find(|(own, _)| *own == name).unwrap().1;
        assert_eq!(get("config.json")["max_position_embeddings"], 32);
        assert_eq!(get("config.json")["type_vocab_size"], 2);
        assert_eq!(get("sentence_bert_config.json")["max_seq_length"], 16);
        assert_eq!(get("1_Pooling/config.json")["pooling_mode_cls_token"], true);
        let tokenizer = serde_json::to_vec(get("tokenizer.json")).unwrap();
        let tokenizer = TextTokenizer::from_json(&tokenizer, 16, false).unwrap();
        assert_eq!(
            tokenizer.encode("Lights s.x").unwrap().ids,
            [2, 4, 5, 6, 7, 1, 3]
        );
    }

    #[test]
    fn what_is_not_known_is_an_error_that_names_it() {
        for (key, item, kind, what) in [
            (
                "general.architecture",
                text("mamba"),
                ErrorKind::UnsupportedModel,
                "architecture is 'mamba'",
            ),
            (
                "general.architecture",
                Item::Count(1),
                ErrorKind::InvalidWeights,
                "'general.architecture' is not a string",
            ),
            (
                "tokenizer.ggml.model",
                text("llama"),
                ErrorKind::UnsupportedModel,
                "tokenizer.ggml.model is 'llama'",
            ),
            (
                "tokenizer.ggml.pre",
                text("deepseek-llm"),
                ErrorKind::UnsupportedModel,
                "tokenizer.ggml.pre is 'deepseek-llm'",
            ),
            (
                "tokenizer.ggml.tokens",
                Item::Count(1),
                ErrorKind::InvalidWeights,
                "'tokenizer.ggml.tokens' is not a list",
            ),
            (
                "llama.block_count",
                Item::Float(0.5),
                ErrorKind::InvalidWeights,
                "'llama.block_count' is not a whole number",
            ),
            (
                "llama.attention.head_count",
                Item::Count(0),
                ErrorKind::InvalidWeights,
                "'llama.attention.head_count' is 0",
            ),
            (
                "tokenizer.ggml.bos_token_id",
                text("x"),
                ErrorKind::InvalidWeights,
                "'tokenizer.ggml.bos_token_id'",
            ),
            (
                "llama.attention.key_length",
                Item::Count(1 << 40),
                ErrorKind::InvalidWeights,
                "key_length",
            ),
        ] {
            let mut file = decoder("llama");
            file.value(key, item);
            let error = made(&file).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let message = error.to_string();
            assert!(
                message.starts_with("model.gguf: ") && message.contains(what),
                "{message}"
            );
        }
    }

    /// The real file, which the test set-up fetches.
    pub(crate) fn smollm2() -> Vec<u8> {
        let folder = std::env::var_os("PILOTLIGHT_SMOLLM2").map_or_else(
            || {
                let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
                root.join(".models/SmolLM2-135M-Instruct-GGUF")
            },
            std::path::PathBuf::from,
        );
        let file = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
        std::fs::read(&file).unwrap_or_else(|error| {
            panic!("{}: {error}: `make smollm2` fetches it", file.display())
        })
    }

    /// The tokenizer that is made from the real file.
    pub(crate) fn smollm2_tokenizer() -> TextTokenizer {
        let host = crate::hub::MemoryHost::new([("model.gguf".to_owned(), smollm2())]);
        let header = crate::weights::tests::header_of(&host, "model.gguf");
        let files = made_files("model.gguf", &header).unwrap();
        let (_, json) = files
            .iter()
            .find(|(name, _)| *name == "tokenizer.json")
            .unwrap();
        TextTokenizer::from_json(json, 1 << 20, false).unwrap()
    }

    #[test]
    fn smollm2_has_its_config_its_tokenizer_and_its_names() {
        let bytes = smollm2();
        let host = crate::hub::MemoryHost::new([("model.gguf".to_owned(), bytes)]);
        let header = crate::weights::tests::header_of(&host, "model.gguf");
        let files = made_files("model.gguf", &header).unwrap();
        let [("config.json", config), ("tokenizer.json", tokenizer)] = &files[..] else {
            panic!("{} files", files.len())
        };
        let config: serde_json::Value = serde_json::from_slice(config).unwrap();
        let expected = serde_json::json!({
            "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
            "intermediate_size": 1536, "max_position_embeddings": 8192, "bos_token_id": 1, "eos_token_id": 2,
            "num_key_value_heads": 3, "head_dim": 64, "hidden_act": "silu", "rms_norm_eps": 1e-5_f32, "rope_theta": 1e5,
            "tie_word_embeddings": true, "attention_bias": false,
        });
        assert_eq!(config, expected);
        let tokenizer = TextTokenizer::from_json(tokenizer, 8192, false).unwrap();
        // The ids that the `tokenizers` package gives for the vocabulary and the merges of the file.
        for (text, ids) in [
            ("The capital of France is", &[504, 3575, 282, 4649, 314][..]),
            (
                "In 2024, it's 3.14159!",
                &[
                    788, 216, 34, 32, 34, 36, 28, 357, 506, 216, 35, 30, 33, 36, 33, 37, 41, 17,
                ],
            ),
            (
                "  two  spaces\n\n\tand tabs\n",
                &[216, 827, 216, 5600, 1116, 197, 397, 29416, 198],
            ),
            (
                "Ünïcödé 日本 \u{1f600} naïve",
                &[
                    142, 246, 94, 25972, 83, 7466, 84, 2756, 17097, 241, 115, 40993, 40303, 218,
                    15486, 46494,
                ],
            ),
            (
                "don't WON'T x_1==y2;",
                &[
                    12420, 982, 408, 2154, 23, 68, 1792, 79, 33, 1189, 105, 34, 43,
                ],
            ),
            ("<|endoftext|>", &[0]),
        ] {
            assert_eq!(tokenizer.encode(text).unwrap().ids, ids, "{text:?}");
        }
        let gguf = Gguf::parse("model.gguf", &header).unwrap();
        for layer in 0..30 {
            for (name, shape) in [
                ("self_attn.q_proj", &[576, 576][..]),
                ("self_attn.k_proj", &[192, 576]),
                ("mlp.down_proj", &[576, 1536]),
                ("input_layernorm", &[576]),
            ] {
                let name = format!("layers.{layer}.{name}.weight");
                let own = crate::models::gguf_names::decoder(&name).unwrap();
                assert_eq!(gguf.shape(&own), Some(shape), "{name}");
            }
        }
    }
}
