//! NomicBERT encoders: BERT with rotary positions, gates, and no biases in linear layers.
//!
//! *Source*: Nussbaum et al., "Nomic Embed: Training a Reproducible Long Context Text Embedder", 2024, and `transformers`,
//! `models/nomic_bert/modeling_nomic_bert.py`. Tensors have the names of the hub's files, which `transformers` writes too.

use burn::tensor::{Device, Tensor};

use super::config::{
    FILE, Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, token_ids,
    types_of,
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
    fn new(fields: &Fields) -> Result<Self> {
        // The names of `transformers`, else those of the hub's own code, which files also have.
        let size = |names: [&str; 2], default: usize, most: usize| {
            let name = names.into_iter().find(|name| fields.get(name).is_some());
            name.map_or(Ok(default), |name| fields.size(name, most))
        };
        let epsilon = match fields.get("layer_norm_eps") {
            Some(_) => fields.epsilon("layer_norm_eps")?,
            None if fields.get("layer_norm_epsilon").is_some() => {
                fields.epsilon("layer_norm_epsilon")?
            }
            None => 1e-12,
        };
        // With a scaling, texts beyond the positions of the training have other wavelengths.
        let is_scaled = fields.get("rotary_scaling_factor").is_some();
        let names = match is_scaled {
            true => ["max_trained_positions"; 2],
            false => ["max_position_embeddings", "n_positions"],
        };
        let config = Self {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            type_vocab_size: fields.size("type_vocab_size", MAX_ROWS)?,
            hidden_size: size(["hidden_size", "n_embd"], 768, MAX_WIDTH)?,
            num_hidden_layers: size(["num_hidden_layers", "n_layer"], 12, MAX_LAYERS)?,
            num_attention_heads: size(["num_attention_heads", "n_head"], 12, MAX_WIDTH)?,
            intermediate_size: size(["intermediate_size", "n_inner"], 3072, MAX_WIDTH)?,
            max_position_embeddings: size(names, 2048, MAX_ROWS)?,
            layer_norm_eps: epsilon,
            rope_theta: match fields.rope_theta(None)? {
                Some(theta) => theta,
                None => fields.number("rotary_emb_base")?.unwrap_or(1000.0),
            },
        };
        check_heads(config.hidden_size, config.num_attention_heads)?;
        let head = config.hidden_size / config.num_attention_heads;
        fields.only(&[("head_dim", &[head.into()])])?;
        if head % 2 == 1 || !config.rope_theta.is_finite() || config.rope_theta <= 0.0 {
            return Err(Error::invalid_weights(format!(
                "{FILE}: heads have {head} values and rope_theta is {}, expected an even number and one above 0",
                config.rope_theta
            )));
        }
        Ok(config)
    }
}

/// Refuses settings that are not supported here.
fn check(fields: &Fields) -> Result<()> {
    let no = [false.into()];
    fields.only(&[
        ("prenorm", &no),
        ("rotary_emb_interleaved", &no),
        ("use_rms_norm", &no),
        ("causal", &no),
        ("parallel_block", &no),
        ("scale_attn_by_inverse_layer_idx", &no),
        ("scale_attn_weights", &[true.into()]),
        ("qkv_proj_bias", &no),
        ("mlp_fc1_bias", &no),
        ("mlp_fc2_bias", &no),
        ("rotary_emb_fraction", &[1.into(), 1.0.into()]),
        ("rotary_emb_scale_base", &[]),
        ("moe_every_n_layers", &[0.into()]),
        ("hidden_act", &["silu".into(), "swiglu".into()]),
        ("activation_function", &["silu".into(), "swiglu".into()]),
    ])
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
    /// The layer whose output is multiplied with the gate: `[inner, d]`
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
        let fields = Fields::parse(json, &["nomic_bert"], DEFAULTS)?;
        check(&fields)?;
        NomicBertConfig::new(&fields)
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
