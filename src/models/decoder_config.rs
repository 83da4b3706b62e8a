//! The configuration of a decoder, from `config.json`.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::config::{
    self, FILE, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, architecture, check_epsilon, check_heads,
    check_sizes,
};
use crate::error::{Error, Result};
use crate::ops::{Activation, activation_from_config};
use crate::weights::Dtype;

/// The longest sequence in tokens, whatever the model would take: of 8,192 tokens, a layer of Qwen2.5-0.5B has 200 MB of activations.
const LONGEST: usize = 8192;

/// The width of a head of Qwen3 where a config does not say. *Source*: `transformers`, `models/qwen3/configuration_qwen3.py`.
const QWEN3_HEAD: usize = 128;

/// The wavelengths' base where a config has none.
const THETA: f32 = 10_000.0;

/// A family of decoders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Family {
    #[default]
    Llama,
    Qwen2,
    Qwen3,
}

/// The architecture of a decoder.
#[derive(Clone, Debug, Deserialize)]
pub struct DecoderConfig {
    #[serde(skip)]
    family: Family,
    /// The number of layers in the checkpoint, of which `num_hidden_layers` are loaded.
    #[serde(skip)]
    all_layers: usize,
    /// Whether the rows of the embedding table stay in the store.
    #[serde(skip)]
    pub(crate) table_in_store: bool,
    pub(super) vocab_size: usize,
    /// `d`, the values of one hidden state.
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    pub(super) intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    pub(super) rms_norm_eps: f32,
    #[serde(default)]
    pub(super) tie_word_embeddings: bool,
    rope_theta: Option<f32>,
    /// The parameters of rotary embeddings, which `transformers` 5 writes here instead of in `rope_theta` and `rope_scaling`.
    rope_parameters: Option<Rope>,
    rope_scaling: Option<Rope>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    /// Whether a token attends to no later one, which some embedding models set to false.
    #[serde(default = "DecoderConfig::default_causal")]
    pub(super) is_causal: bool,
    bos_token_id: Option<u32>,
    /// The kind of attention of each layer, in files of `transformers` 5.
    layer_types: Option<Vec<String>>,
    quantization_config: Option<IgnoredAny>,
}

/// The parameters of rotary embeddings.
#[derive(Clone, Debug, Deserialize)]
struct Rope {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
    /// The kind of scaling, which older configs have instead of `rope_type`, and some have beside it.
    #[serde(rename = "type")]
    former_type: Option<String>,
    factor: Option<f32>,
}

impl Rope {
    /// The way in which positions are scaled; `None` where they are not.
    fn scaling(&self) -> Option<&str> {
        let kind = self.rope_type.as_deref().or(self.former_type.as_deref());
        match kind {
            Some("default") => None,
            None => self
                .factor
                .filter(|factor| *factor != 1.0)
                .map(|_| "unnamed"),
            kind => kind,
        }
    }
}

impl DecoderConfig {
    fn default_causal() -> bool {
        true
    }

    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let family = match architecture(json)?.as_str() {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            other => {
                return Err(Error::unsupported(format!(
                    "{FILE}: model_type is '{other}', expected 'llama', 'qwen2' or 'qwen3'"
                )));
            }
        };
        let mut config: Self = config::read(json)?;
        config.family = family;
        config.all_layers = config.num_hidden_layers;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let (heads, keys) = (self.num_attention_heads, self.key_heads());
        check_sizes(&[
            ("vocab_size", self.vocab_size, MAX_ROWS),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", heads, MAX_WIDTH),
            ("num_key_value_heads", keys, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                MAX_ROWS,
            ),
            ("head_dim", self.head_dim(), MAX_WIDTH),
        ])?;
        check_epsilon("rms_norm_eps", self.rms_norm_eps)?;
        if self.head_dim.is_none() && self.family != Family::Qwen3 {
            check_heads(self.hidden_size, heads)?;
        }
        if !heads.is_multiple_of(keys) {
            return Err(Error::invalid_weights(format!(
                "{FILE}: num_attention_heads {heads} is not a multiple of num_key_value_heads {keys}"
            )));
        }
        if !self.head_dim().is_multiple_of(2) || self.head_dim() * heads > MAX_WIDTH {
            return Err(Error::invalid_weights(format!(
                "{FILE}: head_dim is {}, expected an even number that the {heads} heads have together at most {MAX_WIDTH} of",
                self.head_dim()
            )));
        }
        let theta = self.rope_theta();
        if !theta.is_finite() || theta <= 0.0 {
            return Err(Error::invalid_weights(format!(
                "{FILE}: rope_theta is {theta}, expected a positive number"
            )));
        }
        self.check_supported()
    }

    fn check_supported(&self) -> Result<()> {
        let kinds = [&self.rope_parameters, &self.rope_scaling]
            .into_iter()
            .flatten();
        if let Some(kind) = kinds.filter_map(Rope::scaling).next() {
            return Err(Error::unsupported(format!(
                "{FILE}: rope_type is '{kind}', expected 'default'"
            )));
        }
        if activation_from_config("hidden_act", &self.hidden_act)? != Activation::Silu {
            return Err(Error::unsupported(format!(
                "{FILE}: hidden_act is '{}', expected 'silu'",
                self.hidden_act
            )));
        }
        for (name, is_set) in [
            ("attention_bias", self.attention_bias),
            ("mlp_bias", self.mlp_bias),
            ("use_sliding_window", self.use_sliding_window),
        ] {
            if is_set {
                return Err(Error::unsupported(format!(
                    "{FILE}: {name} is true, expected false"
                )));
            }
        }
        let mut kinds = self.layer_types.iter().flatten();
        if let Some(kind) = kinds.find(|kind| *kind != "full_attention") {
            return Err(Error::unsupported(format!(
                "{FILE}: layer_types has '{kind}', expected 'full_attention'"
            )));
        }
        match self.quantization_config {
            None => Ok(()),
            Some(_) => Err(Error::unsupported(format!(
                "{FILE}: quantization_config is there, expected none: load the model that was quantized, or a GGUF file"
            ))),
        }
    }

    /// Bytes of the embedding table.
    pub(crate) fn table_bytes(&self, dtype: Dtype) -> u64 {
        let width = match dtype {
            Dtype::F32 => 4,
            Dtype::F16 => 2,
            Dtype::Q8 | Dtype::Q4 => 1,
        };
        self.vocab_size as u64 * self.hidden_size as u64 * width
    }

    /// The number of heads of keys and of values.
    pub(super) fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// The width of a head.
    pub(super) fn head_dim(&self) -> usize {
        let default = match self.family {
            Family::Qwen3 => QWEN3_HEAD,
            Family::Llama | Family::Qwen2 => self.hidden_size / self.num_attention_heads.max(1),
        };
        self.head_dim.unwrap_or(default)
    }

    /// The base of the wavelengths of rotary embeddings.
    pub(super) fn rope_theta(&self) -> f32 {
        let parameters = self.rope_parameters.as_ref();
        parameters
            .and_then(|rope| rope.rope_theta)
            .or(self.rope_theta)
            .unwrap_or(THETA)
    }

    /// The longest sequence in tokens.
    pub(super) fn positions(&self) -> usize {
        self.max_position_embeddings.min(LONGEST)
    }

    /// Whether queries, keys and values have a bias.
    pub(super) fn has_bias(&self) -> bool {
        self.family == Family::Qwen2
    }

    /// Whether the heads of queries and keys are normalized.
    pub(super) fn has_head_norms(&self) -> bool {
        self.family == Family::Qwen3
    }

    /// Whether only the first layers are loaded.
    pub fn is_cut(&self) -> bool {
        self.num_hidden_layers < self.all_layers
    }

    /// The id of the token that begins a text, if the config has one.
    pub fn bos_token_id(&self) -> Option<u32> {
        self.bos_token_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const JSON: &str = r#"{"model_type":"qwen2","vocab_size":10,"hidden_size":8,"num_hidden_layers":2,"num_attention_heads":2,
        "num_key_value_heads":1,"intermediate_size":16,"hidden_act":"silu","max_position_embeddings":64,"rms_norm_eps":1e-6,
        "rope_theta":1000000.0,"use_sliding_window":false,"sliding_window":32768,"tie_word_embeddings":true}"#;

    #[test]
    fn a_config_of_another_kind_or_an_absurd_one_is_an_error_that_names_the_field() {
        assert_eq!(
            DecoderConfig::from_json(JSON.as_bytes())
                .unwrap()
                .rope_theta(),
            1e6
        );
        // Configs that were saved twice have both names.
        let both = r#""rope_scaling":{"type":"default","rope_type":"default"},"rope_theta":5.0"#;
        let both = JSON.replace("\"rope_theta\":1000000.0", both);
        assert_eq!(
            DecoderConfig::from_json(both.as_bytes())
                .unwrap()
                .rope_theta(),
            5.0
        );
        use ErrorKind::{InvalidWeights, UnsupportedModel};
        for (change, to, kind, what) in [
            (
                "\"qwen2\"",
                "\"gemma\"",
                UnsupportedModel,
                "model_type is 'gemma'",
            ),
            (
                "\"silu\"",
                "\"gelu\"",
                UnsupportedModel,
                "hidden_act is 'gelu'",
            ),
            (
                "\"use_sliding_window\":false",
                "\"use_sliding_window\":true",
                UnsupportedModel,
                "use_sliding_window",
            ),
            (
                "\"rope_theta\":1000000.0",
                "\"rope_scaling\":{\"type\":\"yarn\"}",
                UnsupportedModel,
                "rope_type is 'yarn'",
            ),
            (
                "\"rope_theta\":1000000.0",
                "\"rope_theta\":0",
                InvalidWeights,
                "rope_theta is 0",
            ),
            (
                "\"num_key_value_heads\":1",
                "\"num_key_value_heads\":0",
                InvalidWeights,
                "num_key_value_heads is 0",
            ),
            (
                "\"num_attention_heads\":2,",
                "\"num_attention_heads\":3,\"head_dim\":2,",
                InvalidWeights,
                "",
            ),
            (
                "\"num_key_value_heads\":1",
                "\"num_key_value_heads\":4",
                InvalidWeights,
                "not a multiple",
            ),
            (
                "\"num_key_value_heads\":1",
                "\"head_dim\":5",
                InvalidWeights,
                "head_dim is 5",
            ),
            (
                "\"rms_norm_eps\":1e-6",
                "\"rms_norm_eps\":-1",
                InvalidWeights,
                "rms_norm_eps",
            ),
            (
                "\"vocab_size\":10",
                "\"vocab_size\":0",
                InvalidWeights,
                "vocab_size is 0",
            ),
        ] {
            let json = JSON.replace(change, to);
            assert_ne!(json, JSON, "{change}");
            match DecoderConfig::from_json(json.as_bytes()) {
                Ok(_) => assert!(what.is_empty(), "{json}"),
                Err(error) => {
                    assert_eq!(error.kind(), kind, "{json}: {error}");
                    assert!(
                        !what.is_empty() && error.to_string().contains(what),
                        "{error}"
                    );
                }
            }
        }
    }
}
