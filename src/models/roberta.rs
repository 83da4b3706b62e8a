//! RoBERTa encoders, and those with other words: XLM-RoBERTa and CamemBERT. They are BERT whose positions begin after that of the padding.
//!
//! *Source*: Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019, and `transformers`,
//! `models/roberta/modeling_roberta.py`, whose module names are those of BERT.

use burn::tensor::Tensor;

use super::bert::{Bert, BertConfig};
use super::config::{Fields, MAX_ROWS};
use super::sentence_encoder::Encoder;
use crate::error::Result;
use crate::ops::Spans;
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of `RobertaConfig`, `XLMRobertaConfig` and `CamembertConfig` in `transformers`, but for the number of words, which differs and
/// which every file has.
const DEFAULTS: &str = r#"{"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,
    "hidden_act":"gelu","max_position_embeddings":512,"type_vocab_size":2,"layer_norm_eps":1e-12}"#;

/// The id of the padding where the config has none.
const PADDING: u32 = 1;

/// A RoBERTa encoder.
pub struct Roberta(Bert);

impl Encoder for Roberta {
    type Config = BertConfig;

    const PREFIXES: &'static [&'static str] = &["", "roberta."];

    fn config(json: &[u8]) -> Result<BertConfig> {
        let kinds = ["camembert", "roberta", "xlm-roberta"];
        let fields = Fields::parse(json, &kinds, DEFAULTS)?;
        let padding = match fields.get("pad_token_id") {
            None => PADDING,
            // One less than the most rows that the table of positions may have.
            Some(_) => fields.index("pad_token_id", MAX_ROWS)? as u32,
        };
        BertConfig::new(&fields, Some(padding))
    }

    fn sizes(config: &BertConfig) -> [usize; 2] {
        Bert::sizes(config)
    }

    fn layers(config: &mut BertConfig) -> &mut usize {
        Bert::layers(config)
    }

    fn new(config: &BertConfig, tensors: &mut Tensors) -> Result<Self> {
        Bert::new(config, tensors).map(Self)
    }

    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        self.0.forward(sequences, layers, scheduler).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn positions_begin_after_that_of_the_padding() {
        let sizes =
            |json: &str| Roberta::config(json.as_bytes()).map(|config| Roberta::sizes(&config));
        let json = r#"{"model_type":"roberta","vocab_size":9,"max_position_embeddings":514}"#;
        assert_eq!(sizes(json).unwrap(), [768, 512]);
        let json = r#"{"model_type":"xlm-roberta","vocab_size":9,"pad_token_id":5,"max_position_embeddings":10}"#;
        assert_eq!(sizes(json).unwrap(), [768, 4]);
        for (json, kind, what) in [
            (
                r#"{"model_type":"roberta","vocab_size":9,"max_position_embeddings":2}"#,
                ErrorKind::InvalidWeights,
                "more than the 2 up to",
            ),
            (
                r#"{"model_type":"bert"}"#,
                ErrorKind::UnsupportedModel,
                "'xlm-roberta'",
            ),
        ] {
            let error = sizes(json).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
