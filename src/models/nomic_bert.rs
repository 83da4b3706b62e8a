//! NomicBERT encoders: BERT with rotary positions, gates, and no biases in linear layers.
//!
//! *Source*: Nussbaum et al., "Nomic Embed: Training a Reproducible Long Context Text Embedder", 2024, and `transformers`,
//! `models/nomic_bert/modeling_nomic_bert.py`. Tensors have the names of the hub's files, which `transformers` writes too.

use burn::tensor::{Device, Tensor};
use serde::Deserialize;

use super::config::{
    self, FILE, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_epsilon, check_heads, check_sequences,
    check_sizes, token_ids, types_of,
};
use super::sentence_encoder::Encoder;
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, Rotary, Spans, attention, columns, gated,
};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of `NomicBertConfig` in `transformers`.
const DEFAULTS: &str = r#"{"vocab_size":30528,"type_vocab_size":2}"#;

/// The fields, by the names of `transformers`, or those of the hub's own code, which files also have.
#[derive(Clone, Debug, Deserialize)]
struct Fields {
    vocab_size: usize,
    type_vocab_size: usize,
    hidden_size: Option<usize>,
    n_embd: Option<usize>,
    num_hidden_layers: Option<usize>,
    n_layer: Option<usize>,
    num_attention_heads: Option<usize>,
    n_head: Option<usize>,
    intermediate_size: Option<usize>,
    n_inner: Option<usize>,
    max_position_embeddings: Option<usize>,
    n_positions: Option<usize>,
    layer_norm_eps: Option<f32>,
    layer_norm_epsilon: Option<f32>,
    hidden_act: Option<String>,
    activation_function: Option<String>,
    rope_parameters: Option<Rope>,
    rotary_emb_base: Option<f32>,
    rotary_emb_fraction: Option<f32>,
    rotary_scaling_factor: Option<f32>,
    max_trained_positions: Option<usize>,
    rotary_emb_scale_base: Option<f32>,
    moe_every_n_layers: Option<usize>,
    #[serde(default)]
    prenorm: bool,
    #[serde(default)]
    rotary_emb_interleaved: bool,
    #[serde(default)]
    use_rms_norm: bool,
    #[serde(default)]
    causal: bool,
    #[serde(default)]
    parallel_block: bool,
    #[serde(default)]
    qkv_proj_bias: bool,
    #[serde(default)]
    mlp_fc1_bias: bool,
    #[serde(default)]
    mlp_fc2_bias: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Rope {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
}

/// The architecture, from `config.json`.
#[derive(Clone, Debug)]
pub struct NomicBertConfig {
    vocab_size: usize,
    type_vocab_size: usize,
    /// `d`, the values of one hidden state.
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    /// The longest sequence in tokens.
    max_position_embeddings: usize,
    layer_norm_eps: f32,
    rope_theta: f32,
}

impl NomicBertConfig {
    fn from_fields(fields: &Fields) -> Result<Self> {
        let or = |new: Option<usize>, old: Option<usize>, default| new.or(old).unwrap_or(default);
        let rope = fields.rope_parameters.as_ref();
        // With a scaling, texts beyond the positions of the training have other wavelengths.
        let positions = match (fields.rotary_scaling_factor, fields.max_trained_positions) {
            (Some(_), Some(trained)) => trained,
            _ => or(fields.max_position_embeddings, fields.n_positions, 2048),
        };
        let config = Self {
            vocab_size: fields.vocab_size,
            type_vocab_size: fields.type_vocab_size,
            hidden_size: or(fields.hidden_size, fields.n_embd, 768),
            num_hidden_layers: or(fields.num_hidden_layers, fields.n_layer, 12),
            num_attention_heads: or(fields.num_attention_heads, fields.n_head, 12),
            intermediate_size: or(fields.intermediate_size, fields.n_inner, 3072),
            max_position_embeddings: positions,
            layer_norm_eps: fields
                .layer_norm_eps
                .or(fields.layer_norm_epsilon)
                .unwrap_or(1e-12),
            rope_theta: rope
                .and_then(|rope| rope.rope_theta)
                .or(fields.rotary_emb_base)
                .unwrap_or(1000.0),
        };
        check_sizes(&[
            ("vocab_size", config.vocab_size, MAX_ROWS),
            ("type_vocab_size", config.type_vocab_size, MAX_ROWS),
            ("hidden_size", config.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", config.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", config.num_attention_heads, MAX_WIDTH),
            ("intermediate_size", config.intermediate_size, MAX_WIDTH),
            (
                "max_position_embeddings",
                config.max_position_embeddings,
                MAX_ROWS,
            ),
        ])?;
        check_heads(config.hidden_size, config.num_attention_heads)?;
        check_epsilon("layer_norm_eps", config.layer_norm_eps)?;
        let head = config.hidden_size / config.num_attention_heads;
        if head % 2 == 1 || !config.rope_theta.is_finite() || config.rope_theta <= 0.0 {
            return Err(Error::invalid_weights(format!(
                "{FILE}: heads have {head} values and rope_theta is {}, expected an even number and one above 0",
                config.rope_theta
            )));
        }
        Ok(config)
    }
}

impl Fields {
    /// *Errors*: `UnsupportedModel` for what is not computed here.
    fn check(&self) -> Result<()> {
        let rope_type = self.rope_parameters.as_ref();
        let rope_type = rope_type.and_then(|rope| rope.rope_type.as_deref());
        for (name, is_other) in [
            ("prenorm", self.prenorm),
            ("rotary_emb_interleaved", self.rotary_emb_interleaved),
            ("use_rms_norm", self.use_rms_norm),
            ("causal", self.causal),
            ("parallel_block", self.parallel_block),
            ("qkv_proj_bias", self.qkv_proj_bias),
            ("mlp_fc1_bias", self.mlp_fc1_bias),
            ("mlp_fc2_bias", self.mlp_fc2_bias),
            (
                "rotary_emb_fraction",
                self.rotary_emb_fraction.is_some_and(|share| share != 1.0),
            ),
            (
                "rotary_emb_scale_base",
                self.rotary_emb_scale_base.is_some(),
            ),
            (
                "moe_every_n_layers",
                self.moe_every_n_layers.is_some_and(|every| every > 0),
            ),
            ("rope_type", rope_type.is_some_and(|kind| kind != "default")),
        ] {
            if is_other {
                return Err(Error::unsupported(format!(
                    "{FILE}: {name} has a value that is not computed here; expected that of nomic-embed-text-v1.5"
                )));
            }
        }
        let activations = [&self.hidden_act, &self.activation_function];
        match activations
            .into_iter()
            .flatten()
            .find(|name| !matches!(name.as_str(), "silu" | "swiglu"))
        {
            None => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "{FILE}: the activation is '{other}', expected 'silu' or 'swiglu'"
            ))),
        }
    }
}

/// A NomicBERT encoder.
pub struct NomicBert {
    config: NomicBertConfig,
    /// `[v, d]`
    word_embeddings: Embedding,
    /// `[types, d]`, of which the second row is that of the second text of a pair.
    token_type_embeddings: Embedding,
    emb_ln: LayerNorm,
    layers: Vec<Layer>,
    device: Device,
}

struct Layer {
    /// Queries, keys and values: `[3 * d, d]`
    wqkv: Linear,
    /// `[d, d]`
    out_proj: Linear,
    norm1: LayerNorm,
    /// What is multiplied with the gate: `[inner, d]`
    fc11: Linear,
    /// The gate: `[inner, d]`
    fc12: Linear,
    /// `[d, inner]`
    fc2: Linear,
    norm2: LayerNorm,
}

impl Encoder for NomicBert {
    type Config = NomicBertConfig;

    const PREFIXES: &'static [&'static str] = &["", "bert.", "model."];

    fn config(json: &[u8]) -> Result<NomicBertConfig> {
        let fields: Fields = config::parse(json, &["nomic_bert"], DEFAULTS)?;
        fields.check()?;
        NomicBertConfig::from_fields(&fields)
    }

    fn sizes(config: &NomicBertConfig) -> [usize; 2] {
        [config.hidden_size, config.max_position_embeddings]
    }

    fn layers(config: &mut NomicBertConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn new(config: &NomicBertConfig, tensors: &mut Tensors) -> Result<Self> {
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
        let mut before = "emb_ln".to_string();
        let emb_ln = tensors.layer_norm(&before, d, epsilon)?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let part = |part: &str| format!("encoder.layers.{index}.{part}");
            let (norm1, norm2) = (part("norm1"), part("norm2"));
            let mut linear = |name: &str, shape: [usize; 2], before: Option<&str>| {
                tensors.linear_without_bias(&part(name), &shape, before)
            };
            let wqkv = linear("attn.Wqkv", [3 * d, d], Some(&before))?;
            let out_proj = linear("attn.out_proj", [d, d], None)?;
            let fc11 = linear("mlp.fc11", [inner, d], Some(&norm1))?;
            let fc12 = linear("mlp.fc12", [inner, d], Some(&norm1))?;
            let fc2 = linear("mlp.fc2", [d, inner], None)?;
            layers.push(Layer {
                wqkv,
                out_proj,
                norm1: tensors.layer_norm(&norm1, d, epsilon)?,
                fc11,
                fc12,
                fc2,
                norm2: tensors.layer_norm(&norm2, d, epsilon)?,
            });
            before = norm2;
        }
        Ok(Self {
            config: config.clone(),
            word_embeddings,
            token_type_embeddings,
            emb_ln,
            layers,
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
        let heads = config.num_attention_heads;
        let spans = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let head = config.hidden_size / heads;
        let rotary = Rotary::new(&spans, head, config.rope_theta, &self.device);
        let words = token_ids(sequences, &self.device);
        let types = match config.type_vocab_size {
            1 => types_of(sequences, &[], &self.device),
            _ => types_of(sequences, firsts, &self.device),
        };
        let mut x = self.emb_ln.forward(
            self.word_embeddings.forward(words),
            self.token_type_embeddings.forward(types),
        );
        for layer in self.layers.iter().take(layers) {
            scheduler.yield_now().await?;
            x = layer.forward(x, &spans, &rotary, heads);
        }
        Ok((x, spans))
    }
}

impl Layer {
    /// Applies the layer to all texts.
    ///
    /// *Shapes*: `x: [t, d]`, result the same.
    fn forward(&self, x: Tensor<2>, spans: &Spans, rotary: &Rotary, heads: usize) -> Tensor<2> {
        let [_, d] = x.dims();
        // [t, d] → [t, 3 * d] → [t, d]
        let all = self.wqkv.forward(x.clone(), Activation::Identity);
        let query = rotary.forward(columns(&all, 0..d));
        let key = rotary.forward(columns(&all, d..2 * d));
        let value = columns(&all, 2 * d..3 * d);
        let context = attention(query, key, value, spans, heads);
        let attended = self.out_proj.forward(context, Activation::Identity);
        let x = self.norm1.forward(attended, x);
        // [t, d] → [t, inner] → [t, d]
        let up = self.fc11.forward(x.clone(), Activation::Identity);
        let gate = self.fc12.forward(x.clone(), Activation::Identity);
        let inner = gated(gate, up, Activation::Silu);
        self.norm2
            .forward(self.fc2.forward(inner, Activation::Identity), x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(fields: &str) -> Result<NomicBertConfig> {
        NomicBert::config(format!(r#"{{"model_type":"nomic_bert"{fields}}}"#).as_bytes())
    }

    #[test]
    fn a_config_is_read_in_both_spellings() {
        let old = config(
            r#","n_embd":16,"n_layer":3,"n_head":2,"n_inner":8,"n_positions":64,"layer_norm_epsilon":0.5,"rotary_emb_base":7.0,
            "activation_function":"swiglu""#,
        )
        .unwrap();
        let new = config(
            r#","hidden_size":16,"num_hidden_layers":3,"num_attention_heads":2,"intermediate_size":8,"max_position_embeddings":64,
            "layer_norm_eps":0.5,"rope_parameters":{"rope_theta":7.0,"rope_type":"default"},"hidden_act":"silu""#,
        )
        .unwrap();
        assert_eq!(format!("{old:?}"), format!("{new:?}"));
        assert_eq!(NomicBert::sizes(&config("").unwrap()), [768, 2048]);
        let scaled = config(
            r#","n_positions":8192,"max_trained_positions":2048,"rotary_scaling_factor":2.0"#,
        );
        assert_eq!(NomicBert::sizes(&scaled.unwrap()), [768, 2048]);
    }

    #[test]
    fn what_is_not_computed_is_an_error_that_names_the_field() {
        for (field, what) in [
            (r#","moe_every_n_layers":2"#, "moe_every_n_layers"),
            (r#","prenorm":true"#, "prenorm"),
            (r#","rotary_emb_fraction":0.5"#, "rotary_emb_fraction"),
            (r#","activation_function":"gelu""#, "'gelu'"),
        ] {
            let error = config(field).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedModel, "{field}");
            assert!(error.to_string().contains(what), "{error}");
        }
        let error = config(r#","n_head":256"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidWeights);
    }
}
