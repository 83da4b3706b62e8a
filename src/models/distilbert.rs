//! DistilBERT encoders: BERT with half the layers and no token types.
//!
//! *Source*: Sanh et al., "DistilBERT, a distilled version of BERT", 2019, and `transformers`,
//! `models/distilbert/modeling_distilbert.py`, whose module names the fields have.

use burn::tensor::{Device, Tensor};

use super::config::{
    Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, positions_of, token_ids,
};
use super::encoder_layer::{EncoderLayer, LayerNames};
use super::sentence_encoder::Encoder;
use crate::error::Result;
use crate::ops::{Activation, Embedding, LayerNorm, Spans};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The constant of all norms, which upstream fixes in code and not in the config.
const EPSILON: f32 = 1e-12;

/// The values of `DistilBertConfig` in `transformers`.
const DEFAULTS: &str = r#"{"vocab_size":30522,"dim":768,"n_layers":6,"n_heads":12,"hidden_dim":3072,"activation":"gelu",
    "max_position_embeddings":512}"#;

/// The architecture, from `config.json`. `sinusoidal_pos_embds` is not read: the checkpoint has the positions in any case.
#[derive(Clone, Debug)]
pub struct DistilBertConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: Activation,
    /// The longest sequence in tokens.
    max_position_embeddings: usize,
}

/// A DistilBERT encoder.
pub struct DistilBert {
    config: DistilBertConfig,
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[max_position, d]`
    position_embeddings: Embedding,
    layer_norm: LayerNorm,
    layer: Vec<EncoderLayer>,
    device: Device,
}

impl Encoder for DistilBert {
    type Config = DistilBertConfig;

    const PREFIXES: &'static [&'static str] = &["", "distilbert."];

    fn config(json: &[u8]) -> Result<DistilBertConfig> {
        let fields = Fields::parse(json, &["distilbert"], DEFAULTS)?;
        let config = DistilBertConfig {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            dim: fields.size("dim", MAX_WIDTH)?,
            n_layers: fields.size("n_layers", MAX_LAYERS)?,
            n_heads: fields.size("n_heads", MAX_WIDTH)?,
            hidden_dim: fields.size("hidden_dim", MAX_WIDTH)?,
            activation: fields.activation("activation")?,
            max_position_embeddings: fields.size("max_position_embeddings", MAX_ROWS)?,
        };
        check_heads(config.dim, config.n_heads)?;
        Ok(config)
    }

    fn sizes(config: &DistilBertConfig) -> [usize; 2] {
        [config.dim, config.max_position_embeddings]
    }

    fn layers(config: &mut DistilBertConfig) -> &mut usize {
        &mut config.n_layers
    }

    fn new(config: &DistilBertConfig, tensors: &mut Tensors) -> Result<Self> {
        let (d, positions) = (config.dim, config.max_position_embeddings);
        let part = |part: &str| format!("embeddings.{part}");
        let word_embeddings =
            tensors.embedding(&part("word_embeddings"), [config.vocab_size, d])?;
        let position_embeddings =
            tensors.plain_embedding(&part("position_embeddings"), [positions, d])?;
        let mut norm_before = part("LayerNorm");
        let layer_norm = tensors.layer_norm(&norm_before, d, EPSILON)?;
        let mut layer = Vec::with_capacity(config.n_layers);
        for index in 0..config.n_layers {
            let part = |part: &str| format!("transformer.layer.{index}.{part}");
            let names = LayerNames {
                query: part("attention.q_lin"),
                key: part("attention.k_lin"),
                value: part("attention.v_lin"),
                attention_output: part("attention.out_lin"),
                attention_norm: part("sa_layer_norm"),
                intermediate: part("ffn.lin1"),
                output: part("ffn.lin2"),
                output_norm: part("output_layer_norm"),
            };
            let sizes = [d, config.hidden_dim];
            layer.push(EncoderLayer::new(
                &names,
                sizes,
                EPSILON,
                &norm_before,
                tensors,
            )?);
            norm_before = names.output_norm;
        }
        Ok(Self {
            config: config.clone(),
            word_embeddings,
            position_embeddings,
            layer_norm,
            layer,
            device: tensors.device().clone(),
        })
    }

    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let (v, longest) = (self.config.vocab_size, self.config.max_position_embeddings);
        check_sequences(sequences, v, longest)?;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        // Word and position embeddings, summed and normalized: [t, d]
        let words = self
            .word_embeddings
            .forward(token_ids(sequences, &self.device));
        let positions = self
            .position_embeddings
            .forward(positions_of(sequences, &self.device));
        let mut x = self.layer_norm.forward(words, positions);
        for layer in self.layer.iter().take(layers) {
            scheduler.yield_now().await?;
            x = layer.forward(x, &spans, self.config.n_heads, self.config.activation);
        }
        Ok((x, spans))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_absurd_config_is_an_error_that_names_the_field() {
        let json = r#"{"model_type":"distilbert","vocab_size":10,"dim":8,"n_layers":1,"n_heads":2,"hidden_dim":16,
            "activation":"gelu","max_position_embeddings":4}"#;
        assert!(DistilBert::config(json.as_bytes()).is_ok());
        for (change, to, kind, what) in [
            (
                "\"dim\":8",
                "\"dim\":0",
                ErrorKind::InvalidWeights,
                "dim is 0",
            ),
            (
                "\"n_heads\":2",
                "\"n_heads\":3",
                ErrorKind::InvalidWeights,
                "not a multiple",
            ),
            ("\"gelu\"", "\"mish\"", ErrorKind::UnsupportedModel, "mish"),
        ] {
            let error = DistilBert::config(json.replace(change, to).as_bytes());
            let error = error.unwrap_err();
            assert_eq!(error.kind(), kind, "{to}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
