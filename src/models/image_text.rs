//! The pairs of towers that an `ImageTextEmbedder` can use, chosen by the `model_type` of their `config.json`.

use burn::tensor::Tensor;

use super::clip::{ClipText, ClipVision};
use super::clip_config::ClipConfig;
use super::config::{FILE, architecture};
use super::siglip::{self, SiglipText, SiglipVision};
use crate::error::{Error, Result};
use crate::scheduler::Scheduler;
use crate::weights::Tensors;

/// The config of both towers, of any architecture.
pub struct ImageTextConfig {
    towers: ClipConfig,
    is_siglip: bool,
}

impl ImageTextConfig {
    /// Reads and checks the config.
    ///
    /// *Errors*: `UnsupportedModel` for another architecture, `InvalidWeights` where the file is broken or absurd.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let architecture = architecture(json)?;
        let is_siglip = architecture == "siglip";
        let towers = match architecture.as_str() {
            "clip" => ClipConfig::from_json(json)?,
            "siglip" => siglip::config(json)?,
            "siglip2" => {
                return Err(Error::unsupported(format!(
                    "{FILE}: model_type is 'siglip2', which is NaFlex, for images of any shape, expected 'clip' or 'siglip', as a SigLIP 2 of one resolution has it"
                )));
            }
            other => {
                return Err(Error::unsupported(format!(
                    "{FILE}: model_type is '{other}', expected 'clip' or 'siglip'"
                )));
            }
        };
        Ok(Self { towers, is_siglip })
    }

    /// Whether the towers are SigLIP's, which takes texts with padding.
    pub fn is_siglip(&self) -> bool {
        self.is_siglip
    }

    /// The longest text in tokens, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.towers.max_tokens()
    }

    /// The number of rows, and of columns, of the images that the tower takes.
    pub fn image_size(&self) -> usize {
        self.towers.image_size()
    }

    /// The number of layers of the text tower.
    #[cfg(feature = "webgpu")]
    pub fn text_layers(&mut self) -> &mut usize {
        &mut self.towers.text_config.num_hidden_layers
    }

    /// The number of layers of the image tower.
    #[cfg(feature = "webgpu")]
    pub fn image_layers(&mut self) -> &mut usize {
        &mut self.towers.vision_config.num_hidden_layers
    }

    /// The number of values of a vector, of either tower.
    pub fn dimensions(&self) -> usize {
        self.towers.projection_dim
    }
}

/// A text tower of any architecture.
pub enum TextModel {
    /// `model_type`: clip
    Clip(ClipText),
    /// `model_type`: siglip
    Siglip(SiglipText),
}

impl TextModel {
    /// Takes the tower's tensors.
    pub fn new(config: &ImageTextConfig, tensors: &mut Tensors) -> Result<Self> {
        match config.is_siglip {
            false => ClipText::new(&config.towers, tensors).map(Self::Clip),
            true => SiglipText::new(&config.towers, tensors).map(Self::Siglip),
        }
    }

    /// Computes the probability of each label from its cosine with an image: the share of all labels with CLIP, and of each by itself with
    /// SigLIP.
    ///
    /// *Errors*: `UnsupportedModel` where the weights are those of this tower alone.
    pub fn probabilities(&self, cosines: &[f32]) -> Result<Vec<f32>> {
        match self {
            Self::Clip(model) => model.probabilities(cosines),
            Self::Siglip(model) => model.probabilities(cosines),
        }
    }

    /// Computes the vectors of texts, not normalized, as the towers' own functions do.
    pub async fn forward(
        &self,
        sequences: &[&[u32]],
        scheduler: &dyn Scheduler,
    ) -> Result<Tensor<2>> {
        match self {
            Self::Clip(model) => model.forward(sequences, scheduler).await,
            Self::Siglip(model) => model.forward(sequences, scheduler).await,
        }
    }
}

/// An image tower of any architecture.
pub enum VisionModel {
    /// `model_type`: clip
    Clip(ClipVision),
    /// `model_type`: siglip
    Siglip(SiglipVision),
}

impl VisionModel {
    /// Takes the tower's tensors.
    pub fn new(config: &ImageTextConfig, tensors: &mut Tensors) -> Result<Self> {
        match config.is_siglip {
            false => ClipVision::new(&config.towers, tensors).map(Self::Clip),
            true => SiglipVision::new(&config.towers, tensors).map(Self::Siglip),
        }
    }

    /// Computes the vectors of images, not normalized, as the towers' own functions do.
    pub async fn forward(&self, pixels: &[&[f32]], scheduler: &dyn Scheduler) -> Result<Tensor<2>> {
        match self {
            Self::Clip(model) => model.forward(pixels, scheduler).await,
            Self::Siglip(model) => model.forward(pixels, scheduler).await,
        }
    }
}
