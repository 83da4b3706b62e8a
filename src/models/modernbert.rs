//! ModernBERT encoders: norms before the layers, rotary positions, gates, and local attention in most layers.
//!
//! *Source*: Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder", 2024, and `transformers`,
//! `models/modernbert/modeling_modernbert.py`, whose module names the fields have.

use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::config::{
    FILE, Fields, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_heads, check_sequences, token_ids,
};
use super::sentence_encoder::Encoder;
use crate::error::{Error, Result};
use crate::ops::{
    Activation, Embedding, LayerNorm, Linear, RelativeBias, Rotary, Spans, attention, columns,
    gated,
};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The values of `ModernBertConfig` in `transformers`.
const DEFAULTS: &str = r#"{"vocab_size":50368,"hidden_size":768,"num_hidden_layers":22,"num_attention_heads":12,"intermediate_size":1152,
    "hidden_activation":"gelu","max_position_embeddings":8192,"norm_eps":1e-5,"local_attention":128,"global_attn_every_n_layers":3}"#;

/// The bases of the wavelengths where the config has none.
const GLOBAL_THETA: f32 = 160_000.0;
const LOCAL_THETA: f32 = 10_000.0;

/// The architecture, from `config.json`.
#[derive(Clone, Debug)]
pub struct ModernBertConfig {
    vocab_size: usize,
    /// `d`, the values of one hidden state.
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_activation: Activation,
    /// The longest sequence in tokens.
    max_position_embeddings: usize,
    pub(super) norm_eps: f32,
    /// Twice the number of rows before and after a row to which it attends in a local layer.
    local_attention: usize,
    /// Whether each layer of the checkpoint, of which only the first may be loaded, attends to all rows.
    are_global: Vec<bool>,
    /// The base of the wavelengths of layers that attend to all rows, and of the others.
    thetas: [f32; 2],
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

impl ModernBertConfig {
    fn new(fields: &Fields) -> Result<Self> {
        let no = [false.into()];
        fields.only(&[
            ("norm_bias", &no),
            ("attention_bias", &no),
            ("mlp_bias", &no),
        ])?;
        let num_hidden_layers = fields.size("num_hidden_layers", MAX_LAYERS)?;
        let global = fields.number("global_rope_theta")?.unwrap_or(GLOBAL_THETA);
        // If the file has null, local layers are rotated like global ones.
        let local = match fields.has("local_rope_theta") {
            true => fields.number("local_rope_theta")?.unwrap_or(global),
            false => LOCAL_THETA,
        };
        let config = Self {
            vocab_size: fields.size("vocab_size", MAX_ROWS)?,
            hidden_size: fields.size("hidden_size", MAX_WIDTH)?,
            num_hidden_layers,
            num_attention_heads: fields.size("num_attention_heads", MAX_WIDTH)?,
            intermediate_size: fields.size("intermediate_size", MAX_WIDTH)?,
            hidden_activation: fields.activation("hidden_activation")?,
            max_position_embeddings: fields.size("max_position_embeddings", MAX_ROWS)?,
            norm_eps: fields.epsilon("norm_eps")?,
            local_attention: fields.size("local_attention", MAX_ROWS)?,
            are_global: are_global(fields, num_hidden_layers)?,
            thetas: [theta(fields, FULL, global)?, theta(fields, SLIDING, local)?],
        };
        check_heads(config.hidden_size, config.num_attention_heads)?;
        let head = config.hidden_size / config.num_attention_heads;
        match head % 2 {
            0 => Ok(config),
            _ => Err(Error::invalid_weights(format!(
                "{FILE}: heads have {head} values, expected an even number"
            ))),
        }
    }
}

/// Whether each layer attends to all rows: by its kind, in files of `transformers` 5, else each n-th of them.
fn are_global(fields: &Fields, layers: usize) -> Result<Vec<bool>> {
    let every = fields.size("global_attn_every_n_layers", MAX_LAYERS)?;
    let Some(kinds) = fields.get("layer_types") else {
        return Ok((0..layers)
            .map(|layer| layer.is_multiple_of(every))
            .collect());
    };
    let kinds = kinds.as_array().map_or(&[][..], Vec::as_slice);
    let known = |kind: &Value| [FULL, SLIDING].contains(&kind.as_str().unwrap_or_default());
    match kinds.len() >= layers && kinds.iter().all(known) {
        true => Ok(kinds.iter().take(layers).map(|kind| kind == FULL).collect()),
        false => Err(Error::unsupported(format!(
            "{FILE}: layer_types is {kinds:?}, expected '{FULL}' or '{SLIDING}' for each of {layers} layers"
        ))),
    }
}

/// The base of the wavelengths of one kind of layers, of which `old` is that of files before `transformers` 5.
fn theta(fields: &Fields, kind: &str, old: f32) -> Result<f32> {
    let theta = fields.rope_theta(Some(kind))?.unwrap_or(old);
    match theta.is_finite() && theta > 0.0 {
        true => Ok(theta),
        false => Err(Error::invalid_weights(format!(
            "{FILE}: rope_theta is {theta}, expected a number above 0"
        ))),
    }
}

/// A ModernBERT encoder.
pub struct ModernBert {
    config: ModernBertConfig,
    /// `[v, d]`
    tok_embeddings: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
    /// The norm after the last layer; absent where only the first layers were loaded.
    final_norm: Option<LayerNorm>,
    device: Device,
}

struct Layer {
    /// The norm before attention; `None` in the first layer, whose input is normalized already.
    attn_norm: Option<LayerNorm>,
    /// Queries, keys and values: `[3 * d, d]`
    wqkv: Linear,
    /// `[d, d]`
    wo: Linear,
    mlp_norm: LayerNorm,
    /// The layer that computes the gate and then the values that it multiplies: `[2 * inner, d]`
    wi: Linear,
    /// `[d, inner]`
    mlp_wo: Linear,
}

impl Encoder for ModernBert {
    type Config = ModernBertConfig;

    const PREFIXES: &'static [&'static str] = &["", "model."];

    fn config(json: &[u8]) -> Result<ModernBertConfig> {
        ModernBertConfig::new(&Fields::parse(json, &["modernbert"], DEFAULTS)?)
    }

    fn sizes(config: &ModernBertConfig) -> [usize; 2] {
        [config.hidden_size, config.max_position_embeddings]
    }

    fn layers(config: &mut ModernBertConfig) -> &mut usize {
        &mut config.num_hidden_layers
    }

    fn new(config: &ModernBertConfig, tensors: &mut Tensors) -> Result<Self> {
        let (d, inner, epsilon) = (
            config.hidden_size,
            config.intermediate_size,
            config.norm_eps,
        );
        let tok_embeddings =
            tensors.embedding("embeddings.tok_embeddings", [config.vocab_size, d])?;
        let first_norm = "embeddings.norm".to_string();
        let norm = tensors.layer_norm_without_bias(&first_norm, d, epsilon)?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let part = |part: &str| format!("layers.{index}.{part}");
            let before = match index {
                0 => first_norm.clone(),
                _ => part("attn_norm"),
            };
            let mlp_norm = part("mlp_norm");
            layers.push(Layer {
                attn_norm: match index {
                    0 => None,
                    _ => Some(tensors.layer_norm_without_bias(&before, d, epsilon)?),
                },
                wqkv: tensors.linear_without_bias(
                    &part("attn.Wqkv"),
                    &[3 * d, d],
                    Some(&before),
                )?,
                wo: tensors.linear_without_bias(&part("attn.Wo"), &[d, d], None)?,
                mlp_norm: tensors.layer_norm_without_bias(&mlp_norm, d, epsilon)?,
                wi: tensors.linear_without_bias(
                    &part("mlp.Wi"),
                    &[2 * inner, d],
                    Some(&mlp_norm),
                )?,
                mlp_wo: tensors.linear_without_bias(&part("mlp.Wo"), &[d, inner], None)?,
            });
        }
        Ok(Self {
            config: config.clone(),
            tok_embeddings,
            norm,
            layers,
            final_norm: match config.num_hidden_layers < config.are_global.len() {
                true => None,
                false => Some(tensors.layer_norm_without_bias("final_norm", d, epsilon)?),
            },
            device: tensors.device().clone(),
        })
    }

    /// With all layers of the checkpoint, the states after the last one are those after the final norm, as in `transformers`.
    async fn forward(
        &self,
        sequences: &[&[u32]],
        layers: usize,
        scheduler: &dyn Scheduler,
    ) -> Result<(Tensor<2>, Spans)> {
        let config = &self.config;
        check_sequences(sequences, config.vocab_size, config.max_position_embeddings)?;
        let heads = config.num_attention_heads;
        let all = Spans::from_lengths(sequences.iter().map(|ids| ids.len()));
        let near = RelativeBias::window(&all, config.local_attention / 2);
        let near = all.clone().with_bias(near);
        let rotary = config
            .thetas
            .map(|theta| Rotary::new(&all, config.hidden_size / heads, theta, &self.device));
        let words = token_ids(sequences, &self.device);
        let mut x = self.norm.normalize(self.tok_embeddings.forward(words));
        for (layer, is_global) in self.layers.iter().zip(&config.are_global).take(layers) {
            scheduler.yield_now().await?;
            let (spans, rotary) = match is_global {
                true => (&all, &rotary[0]),
                false => (&near, &rotary[1]),
            };
            x = layer.forward(x, spans, rotary, heads, config.hidden_activation);
        }
        if let Some(norm) = self
            .final_norm
            .as_ref()
            .filter(|_| layers >= self.layers.len())
        {
            x = norm.normalize(x);
        }
        Ok((x, all))
    }
}

impl Layer {
    /// Applies the layer to all texts.
    ///
    /// *Shapes*: `x: [t, d]`, result the same.
    fn forward(
        &self,
        x: Tensor<2>,
        spans: &Spans,
        rotary: &Rotary,
        heads: usize,
        activation: Activation,
    ) -> Tensor<2> {
        let [_, d] = x.dims();
        let h = match &self.attn_norm {
            Some(norm) => norm.normalize(x.clone()),
            None => x.clone(),
        };
        // [t, d] → [t, 3 * d] → [t, d]
        let all = self.wqkv.forward(h, Activation::Identity);
        let query = rotary.forward(columns(&all, 0..d));
        let key = rotary.forward(columns(&all, d..2 * d));
        let value = columns(&all, 2 * d..3 * d);
        let context = attention(query, key, value, spans, heads);
        let x = x + self.wo.forward(context, Activation::Identity);
        // [t, d] → [t, 2 * inner] → [t, inner] → [t, d]
        let h = self.mlp_norm.normalize(x.clone());
        let both = self.wi.forward(h, Activation::Identity);
        let inner = both.dims()[1] / 2;
        let (gate, up) = (columns(&both, 0..inner), columns(&both, inner..2 * inner));
        x + self
            .mlp_wo
            .forward(gated(gate, up, activation), Activation::Identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn config(fields: &str) -> Result<ModernBertConfig> {
        ModernBert::config(format!(r#"{{"model_type":"modernbert"{fields}}}"#).as_bytes())
    }

    #[test]
    fn kinds_of_layers_and_bases_are_read_in_both_spellings() {
        let plain = config("").unwrap();
        assert_eq!(plain.are_global[..4], [true, false, false, true]);
        assert_eq!(plain.thetas, [GLOBAL_THETA, LOCAL_THETA]);
        let old = config(r#","global_rope_theta":5.0,"local_rope_theta":7.0"#).unwrap();
        assert_eq!(old.thetas, [5.0, 7.0]);
        let alike = config(r#","global_rope_theta":5.0,"local_rope_theta":null"#).unwrap();
        assert_eq!(alike.thetas, [5.0, 5.0]);
        let new = config(
            r#","num_hidden_layers":2,"layer_types":["sliding_attention","full_attention"],
            "rope_parameters":{"full_attention":{"rope_theta":3.0,"rope_type":"default"},"sliding_attention":{"rope_theta":2.0}}"#,
        )
        .unwrap();
        assert_eq!(new.are_global, [false, true]);
        assert_eq!(new.thetas, [3.0, 2.0]);
    }

    #[test]
    fn what_is_not_computed_is_an_error_that_names_the_field() {
        for (field, kind, what) in [
            (
                r#","mlp_bias":true"#,
                ErrorKind::UnsupportedModel,
                "mlp_bias",
            ),
            (
                r#","layer_types":["full_attention"]"#,
                ErrorKind::UnsupportedModel,
                "layer_types",
            ),
            (
                r#","rope_parameters":{"full_attention":{"rope_type":"yarn"}}"#,
                ErrorKind::UnsupportedModel,
                "rope_parameters is",
            ),
            (
                r#","rope_scaling":{"rope_type":"linear","factor":4}"#,
                ErrorKind::UnsupportedModel,
                "rope_scaling",
            ),
            (
                r#","rope_parameters":{"rope_theta":7.0}"#,
                ErrorKind::UnsupportedModel,
                "rope_parameters is",
            ),
            (
                r#","global_rope_theta":0.0"#,
                ErrorKind::InvalidWeights,
                "rope_theta",
            ),
            (
                r#","hidden_size":36"#,
                ErrorKind::InvalidWeights,
                "heads have 3",
            ),
            (
                r#","local_attention":0"#,
                ErrorKind::InvalidWeights,
                "local_attention",
            ),
        ] {
            let error = config(field).unwrap_err();
            assert_eq!(error.kind(), kind, "{field}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
