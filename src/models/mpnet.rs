//! MPNet encoders: BERT without token types, whose scores also depend on how far a key is from the query.
//!
//! *Source*: Song et al., "MPNet: Masked and Permuted Pre-training for Language Understanding", 2020, and `transformers`,
//! `models/mpnet/modeling_mpnet.py`, whose module names the fields have.

use burn::tensor::{Device, Tensor};

use super::config::{
    FILE, Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, positions_after,
    token_ids,
};
use super::encoder_layer::{EncoderLayer, LayerNames};
use super::sentence_encoder::Encoder;
use crate::error::{Error, Result};
use crate::ops::{Activation, Embedding, LayerNorm, RelativeBias, Spans};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of `MPNetConfig` in `transformers`.
const DEFAULTS: &str = r#"{"vocab_size":30527,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,
    "hidden_act":"gelu","max_position_embeddings":512,"layer_norm_eps":1e-12}"#;

/// The id of the padding, from whose position those of the tokens are counted. Upstream fixes it in code.
const PADDING: u32 = 1;

/// The number of buckets of distances, half of them for keys after the query.
const BUCKETS: usize = 32;

/// The first distances of the last buckets of one direction; the buckets before have one distance each. Upstream computes these by logarithms.
const FAR: [usize; 8] = [8, 12, 16, 23, 32, 46, 64, 91];

/// The architecture, from `config.json`.
#[derive(Clone, Debug)]
pub struct MpNetConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    /// The rows of the table of positions.
    max_position_embeddings: usize,
    layer_norm_eps: f32,
}

/// An MPNet encoder.
pub struct MpNet {
    config: MpNetConfig,
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[max_position, d]`
    position_embeddings: Embedding,
    layer_norm: LayerNorm,
    layer: Vec<EncoderLayer>,
    /// `[BUCKETS, heads]`
    relative_attention_bias: Vec<f32>,
    device: Device,
}

impl Encoder for MpNet {
    type Config = MpNetConfig;

    const PREFIXES: &'static [&'static str] = &["", "mpnet."];

    fn config(json: &[u8]) -> Result<MpNetConfig> {
        let fields = Fields::parse(json, &["mpnet"], DEFAULTS)?;
        fields.only(&[("relative_attention_num_buckets", &[BUCKETS.into()])])?;
        let config = MpNetConfig {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            hidden_size: fields.size("hidden_size", MAX_WIDTH)?,
            num_hidden_layers: fields.size("num_hidden_layers", MAX_LAYERS)?,
            num_attention_heads: fields.size("num_attention_heads", MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", MAX_WIDTH)?,
            hidden_act: fields.activation("hidden_act")?,
            max_position_embeddings: fields.size("max_position_embeddings", MAX_ROWS)?,
            layer_norm_eps: fields.epsilon("layer_norm_eps")?,
        };
        check_heads(config.hidden_size, config.num_attention_heads)?;
        let [_, positions] = Self::sizes(&config);
        if positions == 0 {
            return Err(Error::invalid_weights(format!(
                "{FILE}: max_position_embeddings is {}, expected 3 or more",
                config.max_position_embeddings
            )));
        }
        Ok(config)
    }

    fn sizes(config: &MpNetConfig) -> [usize; 2] {
        let unused = PADDING as usize + 1;
        let positions = config.max_position_embeddings.saturating_sub(unused);
        [config.hidden_size, positions]
    }

    fn layers(config: &mut MpNetConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn new(config: &MpNetConfig, tensors: &mut Tensors) -> Result<Self> {
        let (d, epsilon) = (config.hidden_size, config.layer_norm_eps);
        let positions = config.max_position_embeddings;
        let part = |part: &str| format!("embeddings.{part}");
        let word_embeddings =
            tensors.embedding(&part("word_embeddings"), [config.vocab_size, d])?;
        let position_embeddings =
            tensors.plain_embedding(&part("position_embeddings"), [positions, d])?;
        let mut norm_before = part("LayerNorm");
        let layer_norm = tensors.layer_norm(&norm_before, d, epsilon)?;
        let mut layer = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let part = |part: &str| format!("encoder.layer.{index}.{part}");
            let names = LayerNames {
                query: part("attention.attn.q"),
                key: part("attention.attn.k"),
                value: part("attention.attn.v"),
                attention_output: part("attention.attn.o"),
                attention_norm: part("attention.LayerNorm"),
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
        let bias = "encoder.relative_attention_bias.weight";
        Ok(Self {
            config: config.clone(),
            word_embeddings,
            position_embeddings,
            layer_norm,
            layer,
            relative_attention_bias: tensors.list(bias, &[BUCKETS, config.num_attention_heads])?,
            device: tensors.device().clone(),
        })
    }

    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let [_, longest] = Self::sizes(&self.config);
        check_sequences(sequences, self.config.vocab_size, longest)?;
        let heads = self.config.num_attention_heads;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let bias = RelativeBias::new(&spans, heads, |head, distance| {
            self.relative_attention_bias[bucket(distance) * heads + head]
        });
        let spans = spans.with_bias(bias);
        // Word and position embeddings, summed and normalized: [t, d]
        let words = self
            .word_embeddings
            .forward(token_ids(sequences, &self.device));
        let positions = positions_after(PADDING, sequences, &self.device);
        let positions = self.position_embeddings.forward(positions);
        let mut x = self.layer_norm.forward(words, positions);
        for layer in self.layer.iter().take(layers) {
            scheduler.yield_now().await?;
            x = layer.forward(x, &spans, heads, self.config.hidden_act);
        }
        Ok((x, spans))
    }
}

/// The bucket of a key that is `distance` after the query.
fn bucket(distance: isize) -> usize {
    let (direction, far) = (usize::from(distance > 0), distance.unsigned_abs());
    let last = FAR.iter().rev().position(|first| far >= *first);
    direction * BUCKETS / 2 + last.map_or(far, |place| BUCKETS / 2 - 1 - place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn buckets_are_those_of_the_formula() {
        for distance in -300..=300isize {
            let far = distance.unsigned_abs();
            let one = match far {
                0..8 => far,
                _ => {
                    let steps = (far as f64 / 8.0).ln() / 16f64.ln() * 8.0;
                    (8 + (steps + 1e-9) as usize).min(15)
                }
            };
            let expected = one + if distance > 0 { 16 } else { 0 };
            assert_eq!(bucket(distance), expected, "{distance}");
        }
    }

    #[test]
    fn an_absurd_config_is_an_error_that_names_the_field() {
        let json = r#"{"model_type":"mpnet"}"#;
        assert!(MpNet::config(json.as_bytes()).is_ok());
        for (field, kind) in [
            (
                "\"relative_attention_num_buckets\":16",
                ErrorKind::UnsupportedModel,
            ),
            ("\"max_position_embeddings\":2", ErrorKind::InvalidWeights),
            ("\"num_attention_heads\":7", ErrorKind::InvalidWeights),
        ] {
            let json = json.replace('}', &format!(",{field}}}"));
            let error = MpNet::config(json.as_bytes()).map(|_| ()).unwrap_err();
            assert_eq!(error.kind(), kind, "{field}");
            let name = field.split('"').nth(1).unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
