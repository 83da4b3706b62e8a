//! BERT encoders, by their `config.json`.
//!
//! *Source*: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018, and `transformers`,
//! `models/bert/modeling_bert.py`, whose module names the fields bear.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::config::{
    self, FILE, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_epsilon, check_heads, check_sequences,
    check_sizes,
};
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, Spans, activation_from_config, attention, integers,
};
use crate::scheduler::Scheduler;
use crate::weights::{Parameter, Role, Tensors};

/// What `config.json` says of the architecture.
#[derive(Clone, Debug, Deserialize)]
pub struct BertConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    pub hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    /// Longest sequence in tokens.
    pub max_position_embeddings: usize,
    type_vocab_size: usize,
    #[serde(default = "BertConfig::default_epsilon")]
    layer_norm_eps: f32,
    #[serde(default = "BertConfig::default_position")]
    position_embedding_type: String,
}

impl BertConfig {
    fn default_epsilon() -> f32 {
        1e-12
    }

    fn default_position() -> String {
        "absolute".into()
    }

    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let config: Self = config::parse(json, "bert")?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        check_sizes(&[
            ("vocab_size", self.vocab_size, MAX_ROWS),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                MAX_ROWS,
            ),
            ("type_vocab_size", self.type_vocab_size, MAX_ROWS),
        ])?;
        check_heads(self.hidden_size, self.num_attention_heads)?;
        check_epsilon(self.layer_norm_eps)?;
        if self.position_embedding_type != "absolute" {
            return Err(Error::unsupported(format!(
                "{FILE}: position_embedding_type is '{}', expected 'absolute'",
                self.position_embedding_type
            )));
        }
        activation_from_config(&self.hidden_act).map(|_| ())
    }

    /// Every tensor that the encoder needs; a checkpoint's pooler and heads are not among them.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (d, inner) = (self.hidden_size, self.intermediate_size);
        let mut parameters = vec![
            Parameter::new(
                "embeddings.word_embeddings.weight",
                Role::Rows,
                &[self.vocab_size, d],
            ),
            Parameter::new(
                "embeddings.position_embeddings.weight",
                Role::Plain,
                &[self.max_position_embeddings, d],
            ),
            Parameter::new(
                "embeddings.token_type_embeddings.weight",
                Role::Plain,
                &[self.type_vocab_size, d],
            ),
            Parameter::new("embeddings.LayerNorm.weight", Role::Plain, &[d]),
            Parameter::new("embeddings.LayerNorm.bias", Role::Plain, &[d]),
        ];
        let mut before = "embeddings.LayerNorm".to_owned();
        for layer in 0..self.num_hidden_layers {
            let part = |name: &str| format!("encoder.layer.{layer}.{name}");
            let between = part("attention.output.LayerNorm");
            for (name, n, k, norm) in [
                ("attention.self.query", d, d, Some(&before)),
                ("attention.self.key", d, d, Some(&before)),
                ("attention.self.value", d, d, Some(&before)),
                ("attention.output.dense", d, d, None),
                ("intermediate.dense", inner, d, Some(&between)),
                ("output.dense", d, inner, None),
            ] {
                let name = part(name);
                parameters.push(Parameter {
                    preceding_norm: norm.cloned(),
                    ..Parameter::new(format!("{name}.weight"), Role::Panels, &[n, k])
                });
                parameters.push(Parameter::new(format!("{name}.bias"), Role::Plain, &[n]));
            }
            before = part("output.LayerNorm");
            for name in [between, before.clone()] {
                parameters.push(Parameter::new(format!("{name}.weight"), Role::Plain, &[d]));
                parameters.push(Parameter::new(format!("{name}.bias"), Role::Plain, &[d]));
            }
        }
        parameters
    }

    /// What checkpoints may put before the names: a model with a head keeps its encoder in `bert`.
    pub const PREFIXES: &'static [&'static str] = &["", "bert."];
}

/// The encoder.
pub struct Bert {
    config: BertConfig,
    embeddings: Embeddings,
    layer: Vec<Layer>,
    device: Device,
}

struct Embeddings {
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[max_position, d]`
    position_embeddings: Embedding,
    /// `[types, d]`; only the first row is used, for one text at a time.
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
}

struct Layer {
    /// `[d, d]` each
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    /// `[inner, d]`
    intermediate: Linear,
    /// `[d, inner]`
    output: Linear,
    output_norm: LayerNorm,
}

impl Bert {
    /// Takes the encoder's tensors out of `weights`.
    ///
    /// *Errors*: `Internal` where `weights` were loaded for other parameters.
    pub fn new(config: BertConfig, mut weights: Tensors, device: Device) -> Result<Self> {
        let (d, epsilon) = (config.hidden_size, config.layer_norm_eps);
        let embeddings = Embeddings {
            word_embeddings: weights.embedding("embeddings.word_embeddings", d)?,
            position_embeddings: weights.embedding("embeddings.position_embeddings", d)?,
            token_type_embeddings: weights.embedding("embeddings.token_type_embeddings", d)?,
            layer_norm: weights.layer_norm("embeddings.LayerNorm", epsilon)?,
        };
        let layer = (0..config.num_hidden_layers).map(|index| {
            let name = |part: &str| format!("encoder.layer.{index}.{part}");
            Ok(Layer {
                query: weights.linear(&name("attention.self.query"))?,
                key: weights.linear(&name("attention.self.key"))?,
                value: weights.linear(&name("attention.self.value"))?,
                attention_output: weights.linear(&name("attention.output.dense"))?,
                attention_norm: weights.layer_norm(&name("attention.output.LayerNorm"), epsilon)?,
                intermediate: weights.linear(&name("intermediate.dense"))?,
                output: weights.linear(&name("output.dense"))?,
                output_norm: weights.layer_norm(&name("output.LayerNorm"), epsilon)?,
            })
        });
        Ok(Self {
            layer: layer.collect::<Result<_>>()?,
            embeddings,
            config,
            device,
        })
    }

    /// The last hidden states of sequences that lie one after the other.
    ///
    /// *Shapes*: `sequences`: token ids of each text, `t` in all, result `[t, d]` and where each text lies in it.
    /// *Errors*: `InvalidInput` for an id past the vocabulary, an empty or too long sequence; `Aborted`.
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let (v, longest) = (self.config.vocab_size, self.config.max_position_embeddings);
        check_sequences(sequences, v, longest)?;
        let activation = activation_from_config(&self.config.hidden_act)?;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let mut x = self.embed(sequences);
        for layer in &self.layer {
            scheduler.yield_now().await?;
            x = layer.forward(x, &spans, self.config.num_attention_heads, activation);
        }
        Ok((x, spans))
    }

    /// Word, position and type embeddings, summed and normalized: `[t, d]`.
    fn embed(&self, sequences: &[&[u32]]) -> Tensor<2> {
        let indices = |ids: Vec<i32>| {
            let length = ids.len();
            integers(ids, [length], &self.device)
        };
        let ids = indices(
            sequences
                .iter()
                .flat_map(|ids| ids.iter().map(|&id| id as i32))
                .collect(),
        );
        let positions = indices(
            sequences
                .iter()
                .flat_map(|ids| 0..ids.len() as i32)
                .collect(),
        );
        let types = indices(vec![0; positions.dims()[0]]);
        let e = &self.embeddings;
        let words = e.word_embeddings.forward(ids) + e.token_type_embeddings.forward(types);
        e.layer_norm
            .forward(words, e.position_embeddings.forward(positions))
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<2>,
        spans: &Spans,
        heads: usize,
        activation: Activation,
    ) -> Tensor<2> {
        // Attention of each text to itself: [t, d] → [t, d]
        let query = self.query.forward(x.clone(), Activation::Identity);
        let key = self.key.forward(x.clone(), Activation::Identity);
        let value = self.value.forward(x.clone(), Activation::Identity);
        let context = attention(query, key, value, spans, heads);
        let attended = self.attention_output.forward(context, Activation::Identity);
        // The residual, then the norm: BERT normalizes after each half.
        let x = self.attention_norm.forward(attended, x);
        // Feed-forward: [t, d] → [t, inner] → [t, d]
        let inner = self.intermediate.forward(x.clone(), activation);
        self.output_norm
            .forward(self.output.forward(inner, Activation::Identity), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(change: &str, to: &str) -> Result<BertConfig> {
        let json = r#"{"model_type":"bert","vocab_size":10,"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,
            "intermediate_size":16,"hidden_act":"gelu","max_position_embeddings":4,"type_vocab_size":1}"#;
        BertConfig::from_json(json.replace(change, to).as_bytes())
    }

    #[test]
    fn a_config_of_another_kind_or_an_absurd_one_is_an_error_that_names_the_field() {
        assert!(config("", "").is_ok());
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
                "not valid",
            ),
            (
                "\"hidden_size\":8,",
                "",
                ErrorKind::InvalidWeights,
                "hidden_size",
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
