//! BERT encoders.
//!
//! *Source*: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018, and `transformers`,
//! `models/bert/modeling_bert.py`, whose module names the fields have.

use burn::tensor::{Device, Tensor};

use super::config::{
    FILE, Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, positions_after,
    positions_of, token_ids, types_of,
};
use super::encoder_layer::{EncoderLayer, LayerNames};
use super::gguf_names;
use super::sentence_encoder::Encoder;
use crate::error::{Error, Result};
use crate::ops::{Activation, Embedding, LayerNorm, Spans};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of `BertConfig` in `transformers`.
const DEFAULTS: &str = r#"{"vocab_size":30522,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,
    "hidden_act":"gelu","max_position_embeddings":512,"type_vocab_size":2,"layer_norm_eps":1e-12}"#;

/// The architecture, from `config.json`.
#[derive(Clone, Debug)]
pub struct BertConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    /// The rows of the table of positions.
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    /// The id of the padding, where positions are counted from it.
    padding: Option<u32>,
}

impl BertConfig {
    /// Reads and checks the fields. With a `padding`, positions are counted from its id.
    pub(super) fn new(fields: &Fields, padding: Option<u32>) -> Result<Self> {
        fields.only(&[("position_embedding_type", &["absolute".into()])])?;
        let config = Self {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            hidden_size: fields.size("hidden_size", MAX_WIDTH)?,
            num_hidden_layers: fields.size("num_hidden_layers", MAX_LAYERS)?,
            num_attention_heads: fields.size("num_attention_heads", MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", MAX_WIDTH)?,
            hidden_act: fields.activation("hidden_act")?,
            max_position_embeddings: fields.size("max_position_embeddings", MAX_ROWS)?,
            type_vocab_size: fields.size("type_vocab_size", MAX_ROWS)?,
            layer_norm_eps: fields.epsilon("layer_norm_eps")?,
            padding,
        };
        check_heads(config.hidden_size, config.num_attention_heads)?;
        if config.unused() >= config.max_position_embeddings {
            return Err(Error::invalid_weights(format!(
                "{FILE}: max_position_embeddings is {}, expected more than the {} up to that of the padding",
                config.max_position_embeddings,
                config.unused()
            )));
        }
        Ok(config)
    }

    /// The number of positions that no token of a text has but the padding.
    fn unused(&self) -> usize {
        self.padding.map_or(0, |padding| padding as usize + 1)
    }
}

/// A BERT encoder.
pub struct Bert {
    config: BertConfig,
    embeddings: Embeddings,
    layer: Vec<EncoderLayer>,
    device: Device,
}

struct Embeddings {
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[max_position, d]`
    position_embeddings: Embedding,
    /// `[types, d]`, of which the second row is that of the second text of a pair.
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
}

impl Encoder for Bert {
    type Config = BertConfig;

    const PREFIXES: &'static [&'static str] = &["", "bert."];

    fn config(json: &[u8]) -> Result<BertConfig> {
        BertConfig::new(&Fields::parse(json, &["bert"], DEFAULTS)?, None)
    }

    fn sizes(config: &BertConfig) -> [usize; 2] {
        let positions = config.max_position_embeddings - config.unused();
        [config.hidden_size, positions]
    }

    fn layers(config: &mut BertConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn gguf_name(name: &str) -> Option<String> {
        gguf_names::bert(name)
    }

    fn new(config: &BertConfig, tensors: &mut Tensors) -> Result<Self> {
        let (d, epsilon) = (config.hidden_size, config.layer_norm_eps);
        let (positions, types) = (config.max_position_embeddings, config.type_vocab_size);
        let part = |part: &str| format!("embeddings.{part}");
        let embeddings = Embeddings {
            word_embeddings: tensors.embedding(&part("word_embeddings"), [config.vocab_size, d])?,
            position_embeddings: tensors
                .plain_embedding(&part("position_embeddings"), [positions, d])?,
            token_type_embeddings: tensors
                .plain_embedding(&part("token_type_embeddings"), [types, d])?,
            layer_norm: tensors.layer_norm(&part("LayerNorm"), d, epsilon)?,
        };
        let mut norm_before = part("LayerNorm");
        let mut layer = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let part = |part: &str| format!("encoder.layer.{index}.{part}");
            let names = LayerNames {
                query: part("attention.self.query"),
                key: part("attention.self.key"),
                value: part("attention.self.value"),
                attention_output: part("attention.output.dense"),
                attention_norm: part("attention.output.LayerNorm"),
                intermediate: part("intermediate.dense"),
                output: part("output.dense"),
                output_norm: part("output.LayerNorm"),
            };
            let sizes = [d, config.intermediate_size];
            layer.push(EncoderLayer::new(
                &names,
                sizes,
                epsilon,
                &norm_before,
                tensors,
            )?);
            norm_before = names.output_norm;
        }
        Ok(Self {
            layer,
            embeddings,
            config: config.clone(),
            device: tensors.device().clone(),
        })
    }

    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        self.forward_pairs(sequences, &[], layers, scheduler).await
    }

    async fn forward_pairs(
        &self,
        sequences: &[&[u32]],
        firsts: &[usize],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let (v, [_, longest]) = (self.config.vocab_size, Self::sizes(&self.config));
        check_sequences(sequences, v, longest)?;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let mut x = self.embed(sequences, firsts);
        for layer in self.layer.iter().take(layers) {
            scheduler.yield_now().await?;
            x = layer.forward(
                x,
                &spans,
                self.config.num_attention_heads,
                self.config.hidden_act,
            );
        }
        Ok((x, spans))
    }
}

impl Bert {
    /// Sums word, position and type embeddings, and normalizes them: `[t, d]`.
    fn embed(&self, sequences: &[&[u32]], firsts: &[usize]) -> Tensor<2> {
        let ids = token_ids(sequences, &self.device);
        let positions = match self.config.padding {
            Some(padding) => positions_after(padding, sequences, &self.device),
            None => positions_of(sequences, &self.device),
        };
        let types = match self.config.type_vocab_size {
            1 => types_of(sequences, &[], &self.device),
            _ => types_of(sequences, firsts, &self.device),
        };
        let e = &self.embeddings;
        let words = e.word_embeddings.forward(ids) + e.token_type_embeddings.forward(types);
        e.layer_norm
            .forward(words, e.position_embeddings.forward(positions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(change: &str, to: &str) -> Result<BertConfig> {
        let json = r#"{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":16,"hidden_act":"gelu","max_position_embeddings":4,"type_vocab_size":1}"#;
        Bert::config(json.replace(change, to).as_bytes())
    }

    #[test]
    fn a_config_of_another_kind_or_an_absurd_one_is_an_error_that_names_the_field() {
        assert!(config("", "").is_ok());
        // A key that the file leaves out has the default value of `transformers`.
        assert_eq!(config("\"vocab_size\":10,", "").unwrap().vocab_size, 30522);
        for (change, to, kind, what) in [
            (
                "\"bert\"",
                "\"llama\"",
                ErrorKind::UnsupportedModel,
                "model_type is 'llama'",
            ),
            (
                "\"gelu\"",
                "\"mish\"",
                ErrorKind::UnsupportedModel,
                "hidden_act is 'mish'",
            ),
            (
                "\"vocab_size\":10",
                "\"vocab_size\":0",
                ErrorKind::InvalidWeights,
                "vocab_size is 0",
            ),
            (
                "\"hidden_size\":8",
                "\"hidden_size\":9",
                ErrorKind::InvalidWeights,
                "not a multiple",
            ),
            (
                "\"hidden_size\":8",
                "\"hidden_size\":-8",
                ErrorKind::InvalidWeights,
                "hidden_size is -8, expected 1 to",
            ),
            (
                "\"vocab_size\":10",
                "\"vocab_size\":10,\"is_decoder\":true",
                ErrorKind::UnsupportedModel,
                "is_decoder",
            ),
            (
                "\"vocab_size\":10",
                "\"vocab_size\":10,\"add_cross_attention\":true",
                ErrorKind::UnsupportedModel,
                "add_cross_attention is true, expected false",
            ),
            (
                "\"vocab_size\":10",
                "\"vocab_size\":10,\"quantization_config\":{}",
                ErrorKind::UnsupportedModel,
                "quantization_config is {}, expected none",
            ),
            ("{", "<html>", ErrorKind::InvalidWeights, "not valid"),
        ] {
            let error = config(change, to).unwrap_err();
            assert_eq!(error.kind(), kind, "{to}");
            assert!(
                error.to_string().starts_with("config.json: ") && error.to_string().contains(what),
                "{error}"
            );
        }
    }
}
