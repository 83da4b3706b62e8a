//! The two towers of CLIP, which are loaded and stored separately.

use burn::tensor::Device;

use super::embeddings::truncate_and_normalize;
use super::load::{Loading, Pretrained, missing};
use super::pooling::normalize;
use crate::error::{Error, Result};
use crate::image::{ImageProcessor, Rgb};
use crate::models::{ClipConfig, ClipText, ClipVision};
use crate::ops::read;
use crate::scheduler::Scheduler;
use crate::text::{TextTokenizer, Tokens, batches, encode};
use crate::weights::Tensors;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The file in which `transformers` 5 keeps that of images and that of texts together.
const PROCESSOR: &str = "processor_config.json";

/// The placeholder for the label in a template.
pub(super) const LABEL: &str = "{}";

/// One half of CLIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tower {
    /// The half that takes texts.
    Text,
    /// The half that takes images.
    Image,
}

impl Tower {
    /// The text tower and the image tower.
    pub const ALL: [Self; 2] = [Self::Text, Self::Image];

    /// The name in options and stores.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }

    /// Finds a tower by its name.
    ///
    /// *Errors*: `InvalidInput` listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|tower| tower.name() == name)
            .ok_or_else(|| {
                Error::invalid_input(format!(
                    "towers has '{name}', expected 'text', 'image' or both"
                ))
            })
    }

    /// The largest config file of the tower.
    pub(super) fn largest_file(self) -> &'static str {
        match self {
            Self::Text => TOKENIZER,
            Self::Image => PREPROCESSOR,
        }
    }
}

/// Takes the part about images out of `processor_config.json`.
///
/// *Errors*: `InvalidWeights` where the file is broken, or has no such part.
fn image_processor(json: &[u8]) -> Result<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Processor {
        image_processor: serde_json::Value,
    }
    let Processor { image_processor } = serde_json::from_slice(json)
        .map_err(|error| Error::invalid_weights(format!("{PROCESSOR}: is not valid: {error}")))?;
    Ok(image_processor.to_string().into_bytes())
}

/// The text tower with its tokenizer.
pub(super) struct TextTower {
    model: ClipText,
    pub(super) tokenizer: TextTokenizer,
    pub(super) max_tokens: usize,
    /// The number of values of a vector.
    pub(super) dimensions: usize,
}

impl Pretrained for TextTower {
    const FILES: &'static [&'static str] = &[CONFIG, TOKENIZER];

    type Config = ClipConfig;
    type Prepared = TextTokenizer;
    type Network = ClipText;

    async fn config(files: &mut Loading<'_, '_>) -> Result<ClipConfig> {
        ClipConfig::from_json(&files.required(CONFIG).await?)
    }

    fn prefixes(_config: &ClipConfig) -> &'static [&'static str] {
        &[""]
    }

    fn prepare(config: &ClipConfig, tokenizer: &[u8]) -> Result<TextTokenizer> {
        TextTokenizer::from_json(tokenizer, config.max_tokens(), false)
    }

    fn network(config: &ClipConfig, tensors: &mut Tensors) -> Result<ClipText> {
        ClipText::new(config, tensors)
    }

    fn assemble(
        config: ClipConfig,
        tokenizer: TextTokenizer,
        model: ClipText,
        _device: &Device,
    ) -> Self {
        Self {
            model,
            tokenizer,
            max_tokens: config.max_tokens(),
            dimensions: config.projection_dim,
        }
    }
}

impl TextTower {
    /// The factor by which cosines are multiplied before a softmax over labels.
    pub(super) fn logit_scale(&self) -> f32 {
        self.model.logit_scale()
    }

    /// Appends the first `width` values of each text's vector.
    pub(super) async fn embed(
        &self,
        tokens: &[Tokens],
        width: usize,
        to: &mut Vec<f32>,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        for batch in batches(tokens) {
            let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
            let mut vectors = read(self.model.forward(&sequences, scheduler).await?).await?;
            let dimensions = vectors.len() / batch.len();
            for vector in vectors.chunks_exact_mut(dimensions) {
                normalize(vector);
                to.extend_from_slice(truncate_and_normalize(vector, width));
            }
        }
        Ok(())
    }

    /// Computes one vector for each label: the normalized mean of the vectors of its templates.
    pub(super) async fn label_vectors(
        &self,
        labels: &[String],
        templates: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<Vec<f32>>> {
        let mut vectors = Vec::with_capacity(labels.len());
        for label in labels {
            let prompts: Vec<_> = templates
                .iter()
                .map(|template| template.replace(LABEL, label))
                .collect();
            let tokens = encode(&self.tokenizer, &prompts, scheduler).await?;
            let mut all = Vec::new();
            self.embed(&tokens, usize::MAX, &mut all, scheduler).await?;
            let mut mean = vec![0.0; all.len() / prompts.len()];
            for vector in all.chunks_exact(mean.len()) {
                for (sum, x) in mean.iter_mut().zip(vector) {
                    *sum += x;
                }
            }
            normalize(&mut mean);
            vectors.push(mean);
        }
        Ok(vectors)
    }
}

/// The image tower with its preprocessing.
pub(super) struct ImageTower {
    model: ClipVision,
    processor: ImageProcessor,
    /// The number of values of a vector.
    pub(super) dimensions: usize,
}

impl Pretrained for ImageTower {
    const FILES: &'static [&'static str] = &[CONFIG, PREPROCESSOR];

    type Config = ClipConfig;
    type Prepared = ImageProcessor;
    type Network = ClipVision;

    async fn config(files: &mut Loading<'_, '_>) -> Result<ClipConfig> {
        ClipConfig::from_json(&files.required(CONFIG).await?)
    }

    fn prefixes(_config: &ClipConfig) -> &'static [&'static str] {
        &[""]
    }

    async fn last(
        files: &mut Loading<'_, '_>,
        file: &str,
        _config: &ClipConfig,
    ) -> Result<Vec<u8>> {
        if let Some(json) = files.optional(file).await? {
            return Ok(json);
        }
        match files.optional(PROCESSOR).await? {
            Some(json) => image_processor(&json),
            None => Err(missing(file)),
        }
    }

    fn prepare(config: &ClipConfig, preprocessor: &[u8]) -> Result<ImageProcessor> {
        let processor = ImageProcessor::from_json(preprocessor)?;
        let size = config.image_size();
        if processor.dims() != [size, size] {
            return Err(Error::invalid_weights(format!(
                "{PREPROCESSOR}: makes images of {:?} pixels, but the model takes {size} by {size}",
                processor.dims()
            )));
        }
        Ok(processor)
    }

    fn network(config: &ClipConfig, tensors: &mut Tensors) -> Result<ClipVision> {
        ClipVision::new(config, tensors)
    }

    fn assemble(
        config: ClipConfig,
        processor: ImageProcessor,
        model: ClipVision,
        _device: &Device,
    ) -> Self {
        Self {
            model,
            processor,
            dimensions: config.projection_dim,
        }
    }
}

impl ImageTower {
    /// Computes the normalized vector of an image, which errors call `name`.
    pub(super) async fn embed(
        &self,
        image: &Rgb,
        name: impl Fn() -> String,
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let pixels = self.processor.process(image);
        let pixels = pixels.map_err(|error| error.context(&name()))?;
        let mut vector = read(self.model.forward(&[&pixels], scheduler).await?).await?;
        normalize(&mut vector);
        Ok(vector)
    }
}
