//! The configuration of CLIP, from its `config.json`.

use serde::Deserialize;

use super::config::{
    FILE, MAX_LAYERS, MAX_ROWS, MAX_WIDTH, check_epsilon, check_heads, check_sizes, read,
};
use crate::error::{Error, Result};
use crate::ops::activation_from_config;
use crate::weights::{Presence, Tensors};

/// The largest image edge, and patch edge, that a config may ask for, in pixels.
const MAX_EDGE: usize = 4096;
/// The `eos_token_id` of older configs. It is not the real id: in those models the end token is the largest id of the vocabulary.
const LEGACY_EOS_ID: u32 = 2;
/// The tensor with the logarithm of the factor by which cosines are multiplied.
pub(super) const LOGIT_SCALE: &str = "logit_scale";
/// The tensor with the factor itself, where an ONNX file has that.
const LOGIT_FACTOR: &str = "logit_scale.exp";

/// Takes the factor by which cosines are multiplied; `None` where the weights are those of one tower, and while declaring.
pub(super) fn logit_scale(tensors: &mut Tensors, shape: &[usize]) -> Result<Option<f32>> {
    let factor = tensors.number(LOGIT_FACTOR, shape, Presence::Optional)?;
    let logarithm = tensors.number(LOGIT_SCALE, shape, Presence::InCheckpoint)?;
    Ok(logarithm.map(f32::exp).or(factor))
}

/// The error of a model that can make no scores of cosines. `tensor`: the missing tensor.
pub(super) fn no_scores(tensor: &str) -> Error {
    Error::unsupported(format!(
        "the weights are those of the text tower alone and lack the tensor '{tensor}', without which cosines cannot be turned into scores: expected weights of both towers, by the name of their file in the option weights"
    ))
    .with_tensor(tensor)
}

/// The architecture of both towers. Its fields are those of SigLIP too, with other defaults.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipConfig {
    /// The architecture of the text tower.
    #[serde(default)]
    pub(super) text_config: TextConfig,
    /// The architecture of the image tower.
    #[serde(default)]
    pub(super) vision_config: VisionConfig,
    /// The number of values of a vector, of either tower.
    #[serde(default = "default_projection")]
    pub projection_dim: usize,
}

/// The architecture of the text tower. Missing fields have the values of ViT-B/32, as in `transformers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct TextConfig {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: usize,
    pub(super) max_position_embeddings: usize,
    hidden_act: String,
    pub(super) layer_norm_eps: f32,
    eos_token_id: u32,
}

/// The architecture of the image tower. Missing fields have the values of ViT-B/32, as in `transformers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub(super) hidden_size: usize,
    intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    num_attention_heads: usize,
    num_channels: usize,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    hidden_act: String,
    pub(super) layer_norm_eps: f32,
}

fn default_projection() -> usize {
    512
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl ClipConfig {
    /// Reads and checks a config whose `model_type` was checked.
    ///
    /// *Errors*: `UnsupportedModel` for features that the towers do not have, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let config: Self = read(json)?;
        let (text, vision) = (&config.text_config, &config.vision_config);
        check_sizes(&[
            ("projection_dim", config.projection_dim, MAX_WIDTH),
            ("text_config.vocab_size", text.vocab_size, MAX_ROWS),
            (
                "text_config.max_position_embeddings",
                text.max_position_embeddings,
                MAX_ROWS,
            ),
            ("vision_config.image_size", vision.image_size, MAX_EDGE),
            ("vision_config.patch_size", vision.patch_size, MAX_EDGE),
        ])?;
        if vision.num_channels != 3 {
            return Err(Error::unsupported(format!(
                "{FILE}: vision_config.num_channels is {}, expected 3",
                vision.num_channels
            )));
        }
        // Pixels at the right and at the bottom that fill no patch are left out, as in `transformers`.
        if vision.image_size < vision.patch_size {
            return Err(Error::invalid_weights(format!(
                "{FILE}: vision_config.image_size is {}, expected the patch_size {} at least",
                vision.image_size, vision.patch_size
            )));
        }
        text.encoder().check("text_config")?;
        vision.encoder().check("vision_config")?;
        Ok(config)
    }

    /// The longest text in tokens, start and end tokens included.
    pub fn max_tokens(&self) -> usize {
        self.text_config.max_position_embeddings
    }

    /// The number of rows, and of columns, of the images that the tower takes.
    pub fn image_size(&self) -> usize {
        self.vision_config.image_size
    }
}

impl TextConfig {
    pub(super) fn encoder(&self) -> EncoderConfig<'_> {
        EncoderConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden_act: &self.hidden_act,
            epsilon: self.layer_norm_eps,
        }
    }

    /// The position of a text's first end token, whose hidden state becomes the text's vector.
    pub(super) fn eos_position(&self, ids: &[u32]) -> usize {
        let last = ids.len().saturating_sub(1);
        let eos_id = match self.eos_token_id {
            LEGACY_EOS_ID => ids.iter().copied().max().unwrap_or_default(),
            eos_id => eos_id,
        };
        ids.iter().position(|&id| id == eos_id).unwrap_or(last)
    }
}

impl VisionConfig {
    pub(super) fn encoder(&self) -> EncoderConfig<'_> {
        EncoderConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden_act: &self.hidden_act,
            epsilon: self.layer_norm_eps,
        }
    }

    pub(super) fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// The sizes of the layers of either tower.
pub(super) struct EncoderConfig<'a> {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) hidden_act: &'a str,
    pub(super) epsilon: f32,
}

impl EncoderConfig<'_> {
    fn check(&self, tower: &str) -> Result<()> {
        for (name, value, most) in [
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
        ] {
            check_sizes(&[(&format!("{tower}.{name}"), value, most)])?;
        }
        check_heads(self.hidden_size, self.heads)?;
        check_epsilon("layer_norm_eps", self.epsilon)?;
        activation_from_config(&format!("{tower}.hidden_act"), self.hidden_act).map(|_| ())
    }
}
