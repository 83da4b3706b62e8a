//! BERT with linear biases for positions and gates, as in jina-embeddings-v2.
//!
//! *Source*: Günther et al., "Jina Embeddings 2", 2023; Press et al., "Train Short, Test Long: Attention with Linear Biases", 2021. Tensors
//! have the names of the hub's files.

use burn::tensor::{Device, Tensor};

use super::config::{
    Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, token_ids, types_of,
};
use super::sentence_encoder::Encoder;
use crate::error::Result;
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, QueryKeyValue, RelativeBias, Spans, columns, gated,
};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of the hub's `JinaBertConfig`.
const DEFAULTS: &str = r#"{"vocab_size":30522,"hidden_size":768,"num_hidden_layers":12,"num_attention_heads":12,"intermediate_size":3072,
    "max_position_embeddings":512,"type_vocab_size":2,"layer_norm_eps":1e-12,"feed_forward_type":"original"}"#;

/// The architecture, from `config.json`.
#[derive(Clone, Debug)]
pub struct JinaBertConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    /// The longest sequence in tokens.
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f32,
    /// The activation of the gate.
    gate: Activation,
}

/// A BERT encoder with linear biases.
pub struct JinaBert {
    config: JinaBertConfig,
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[types, d]`, of which the second row is that of the second text of a pair.
    token_type_embeddings: Embedding,
    layer_norm: LayerNorm,
    layer: Vec<Layer>,
    device: Device,
}

struct Layer {
    /// `[d, d]` each
    query_key_value: QueryKeyValue,
    attention_output: Linear,
    attention_norm: LayerNorm,
    /// The layer that computes the gate and then the values that it multiplies: `[2 * inner, d]`
    gated_layers: Linear,
    /// `[d, inner]`
    wo: Linear,
    layernorm: LayerNorm,
}

impl Encoder for JinaBert {
    type Config = JinaBertConfig;

    const PREFIXES: &'static [&'static str] = &["", "bert."];

    fn config(json: &[u8]) -> Result<JinaBertConfig> {
        let fields = Fields::parse(json, &["bert with alibi"], DEFAULTS)?;
        let config = JinaBertConfig {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            hidden_size: fields.size("hidden_size", MAX_WIDTH)?,
            num_hidden_layers: fields.size("num_hidden_layers", MAX_LAYERS)?,
            num_attention_heads: fields.size("num_attention_heads", MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", MAX_WIDTH)?,
            max_position_embeddings: fields.size("max_position_embeddings", MAX_ROWS)?,
            type_vocab_size: fields.size("type_vocab_size", MAX_ROWS)?,
            layer_norm_eps: fields.epsilon("layer_norm_eps")?,
            gate: match fields.text("feed_forward_type")? {
                Some("reglu") => Activation::Relu,
                _ => Activation::Gelu,
            },
        };
        fields.only(&[("feed_forward_type", &["geglu".into(), "reglu".into()])])?;
        check_heads(config.hidden_size, config.num_attention_heads)?;
        Ok(config)
    }

    fn sizes(config: &JinaBertConfig) -> [usize; 2] {
        [config.hidden_size, config.max_position_embeddings]
    }

    fn layers(config: &mut JinaBertConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn new(config: &JinaBertConfig, tensors: &mut Tensors) -> Result<Self> {
        let (d, inner, epsilon) = (
            config.hidden_size,
            config.intermediate_size,
            config.layer_norm_eps,
        );
        let part = |part: &str| format!("embeddings.{part}");
        let word_embeddings =
            tensors.embedding(&part("word_embeddings"), [config.vocab_size, d])?;
        let types = [config.type_vocab_size, d];
        let token_type_embeddings =
            tensors.plain_embedding(&part("token_type_embeddings"), types)?;
        let mut before = part("LayerNorm");
        let layer_norm = tensors.layer_norm(&before, d, epsilon)?;
        let mut layer = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let part = |part: &str| format!("encoder.layer.{index}.{part}");
            let (between, after) = (part("attention.output.LayerNorm"), part("mlp.layernorm"));
            let names =
                ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}")));
            layer.push(Layer {
                query_key_value: tensors.query_key_value(names, d, &before)?,
                attention_output: tensors.linear(&part("attention.output.dense"), [d, d], None)?,
                attention_norm: tensors.layer_norm(&between, d, epsilon)?,
                gated_layers: tensors.linear_without_bias(
                    &part("mlp.gated_layers"),
                    &[2 * inner, d],
                    Some(&between),
                )?,
                wo: tensors.linear(&part("mlp.wo"), [d, inner], None)?,
                layernorm: tensors.layer_norm(&after, d, epsilon)?,
            });
            before = after;
        }
        Ok(Self {
            config: config.clone(),
            word_embeddings,
            token_type_embeddings,
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
        self.forward_pairs(sequences, &[], layers, scheduler).await
    }

    async fn forward_pairs(
        &self,
        sequences: &[&[u32]],
        firsts: &[usize],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let config = &self.config;
        check_sequences(sequences, config.vocab_size, config.max_position_embeddings)?;
        let (heads, gate) = (config.num_attention_heads, config.gate);
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let slopes = slopes(heads);
        let bias = RelativeBias::new(&spans, heads, |head, distance| {
            -slopes[head] * distance.unsigned_abs() as f32
        });
        let spans = spans.with_bias(bias);
        let words = token_ids(sequences, &self.device);
        let types = match config.type_vocab_size {
            1 => types_of(sequences, &[], &self.device),
            _ => types_of(sequences, firsts, &self.device),
        };
        let mut x = self.layer_norm.forward(
            self.word_embeddings.forward(words),
            self.token_type_embeddings.forward(types),
        );
        for layer in self.layer.iter().take(layers) {
            scheduler.yield_now().await?;
            x = layer.forward(x, &spans, heads, gate);
        }
        Ok((x, spans))
    }
}

/// The slope of each head: powers of one ratio, and between them those of twice as many heads where their number is no power of two.
fn slopes(heads: usize) -> Vec<f32> {
    let powers = |count: usize| {
        let ratio = 2f64.powf(-8.0 / count as f64);
        (1..=count as i32).map(move |power| ratio.powi(power) as f32)
    };
    let floor = match heads.is_power_of_two() {
        true => heads,
        false => heads.next_power_of_two() / 2,
    };
    let between = powers(2 * floor).step_by(2);
    powers(floor).chain(between).take(heads).collect()
}

impl Layer {
    /// Applies the layer to all texts.
    ///
    /// *Shapes*: `x: [t, d]`, result the same.
    fn forward(&self, x: Tensor<2>, spans: &Spans, heads: usize, gate: Activation) -> Tensor<2> {
        let context = self.query_key_value.attention(x.clone(), spans, heads);
        let attended = self.attention_output.forward(context, Activation::Identity);
        let x = self.attention_norm.forward(attended, x);
        // [t, d] → [t, 2 * inner] → [t, inner] → [t, d]
        let both = self.gated_layers.forward(x.clone(), Activation::Identity);
        let inner = both.dims()[1] / 2;
        let inner = gated(
            columns(&both, 0..inner),
            columns(&both, inner..2 * inner),
            gate,
        );
        self.layernorm
            .forward(self.wo.forward(inner, Activation::Identity), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn slopes_are_those_of_the_paper() {
        assert_eq!(
            slopes(8),
            [
                0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625
            ]
        );
        let twelve = slopes(12);
        assert_eq!(twelve[..8], slopes(8));
        let expected = [-0.5f32, -1.5, -2.5, -3.5].map(f32::exp2);
        for (slope, expected) in twelve[8..].iter().zip(expected) {
            assert!((slope - expected).abs() < 1e-6, "{slope}");
        }
        assert_eq!(slopes(1), [1.0 / 256.0]);
    }

    #[test]
    fn another_feed_forward_layer_is_an_error_that_names_it() {
        let config = |kind: &str| {
            let json = format!(
                r#"{{"model_type":"bert","position_embedding_type":"alibi","feed_forward_type":"{kind}"}}"#
            );
            JinaBert::config(json.as_bytes())
        };
        assert!(config("geglu").is_ok() && config("reglu").is_ok());
        let error = config("original").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedModel);
        assert!(error.to_string().contains("'original'"), "{error}");
    }
}
