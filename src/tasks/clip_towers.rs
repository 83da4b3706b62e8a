//! The two towers of CLIP and SigLIP, which are loaded and stored separately.

use burn::tensor::Device;

use super::embeddings::truncate_and_normalize;
use super::load::{LastFile, Loading, Pretrained, missing};
use super::pooling::normalize;
use crate::error::{Error, Result};
use crate::image::{ImageProcessor, Rgb};
use crate::models::{ImageTextConfig, TextModel, VisionModel};
use crate::ops::read;
use crate::scheduler::Scheduler;
use crate::text::{
    CLIP_WORDS, TOKENIZER_CONFIG, TextTokenizer, TokenizerConfig, Tokens, batches, clip_tokenizer,
    encode,
};
use crate::weights::Tensors;

pub(super) const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The file in which `transformers` 5 keeps that of images and that of texts together.
const PROCESSOR: &str = "processor_config.json";

/// The placeholder for the label in a template.
pub(super) const LABEL: &str = "{}";

/// One half of CLIP or SigLIP.
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

    /// Returns the prefixes of the names of ONNX models that have the tower, the preferred first. `scores`: whether cosines are to be turned into
    /// scores, for which a file of the text tower alone lacks the scale.
    pub(super) fn onnx(self, scores: bool) -> &'static [&'static str] {
        match self {
            Self::Text if scores => &["model", "text_model"],
            Self::Text => &["text_model", "model"],
            Self::Image => &["vision_model", "model"],
        }
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

/// The config of a tower.
pub(super) struct TowerConfig {
    model: ImageTextConfig,
    /// The settings of the tokenizer of SigLIP's text tower; other towers have none.
    tokenizer: Option<TokenizerConfig>,
}

impl TowerConfig {
    /// Reads the config files of a tower but the last. One function for both towers is compiled once.
    async fn read(files: &mut Loading<'_, '_>, tower: Tower) -> Result<Self> {
        let model = ImageTextConfig::from_json(&files.required(CONFIG).await?)?;
        let tokenizer = match tower == Tower::Text && model.is_siglip() {
            true => {
                let json = files.required(TOKENIZER_CONFIG).await?;
                Some(TokenizerConfig::from_json(&json)?)
            }
            false => None,
        };
        Ok(Self { model, tokenizer })
    }
}

/// The text tower with its tokenizer.
pub(super) struct TextTower {
    model: TextModel,
    pub(super) tokenizer: TextTokenizer,
    /// The id that fills each text up to the longest; `None` where texts are not padded.
    padding: Option<u32>,
    pub(super) max_tokens: usize,
    /// The number of values of a vector.
    pub(super) dimensions: usize,
}

impl Pretrained for TextTower {
    const FILES: &'static [&'static str] = &[CONFIG, TOKENIZER];
    const INSTEAD: &'static [&'static [&'static str]] = &[&CLIP_WORDS];

    type Config = TowerConfig;
    type Prepared = (TextTokenizer, Option<u32>);
    type Network = TextModel;

    async fn config(files: &mut Loading<'_, '_>) -> Result<TowerConfig> {
        TowerConfig::read(files, Tower::Text).await
    }

    fn prefixes(_config: &TowerConfig) -> &'static [&'static str] {
        &[""]
    }

    async fn last(
        files: &mut Loading<'_, '_>,
        file: &str,
        config: &TowerConfig,
    ) -> Result<Vec<u8>> {
        if let Some(json) = files.optional(file).await? {
            return Ok(json);
        }
        let [vocabulary, merges] = CLIP_WORDS;
        if config.tokenizer.is_none()
            && let Some(vocabulary) = files.optional(vocabulary).await?
        {
            return clip_tokenizer(&vocabulary, &files.required(merges).await?);
        }
        Err(files.missing(file))
    }

    fn prepare(config: &TowerConfig, file: &LastFile) -> Result<Self::Prepared> {
        let longest = config.model.max_tokens();
        match &config.tokenizer {
            Some(own) => {
                let (tokenizer, padding) = TextTokenizer::for_siglip(&file.bytes()?, longest, own)?;
                Ok((tokenizer, Some(padding)))
            }
            None => Ok((file.tokenizer(longest, false)?, None)),
        }
    }

    fn tokenizer((tokenizer, _): &Self::Prepared) -> Option<&TextTokenizer> {
        Some(tokenizer)
    }

    fn network(config: &TowerConfig, tensors: &mut Tensors) -> Result<TextModel> {
        TextModel::new(&config.model, tensors)
    }

    fn assemble(
        config: TowerConfig,
        (tokenizer, padding): Self::Prepared,
        model: TextModel,
        _device: &Device,
    ) -> Self {
        Self {
            model,
            tokenizer,
            padding,
            max_tokens: config.model.max_tokens(),
            dimensions: config.model.dimensions(),
        }
    }
}

impl TextTower {
    /// Computes the probability of each label from its cosine with an image.
    ///
    /// *Errors*: `UnsupportedModel` where the weights are those of this tower alone.
    pub(super) fn probabilities(&self, cosines: &[f32]) -> Result<Vec<f32>> {
        self.model.probabilities(cosines)
    }

    /// Appends the first `width` values of each text's vector.
    pub(super) async fn embed(
        &self,
        tokens: &[Tokens],
        width: usize,
        to: &mut Vec<f32>,
        scheduler: &dyn Scheduler,
    ) -> Result<()> {
        let mut padded = Vec::new();
        if let Some(padding) = self.padding {
            padded = tokens.to_vec();
            for text in &mut padded {
                text.ids.resize(self.max_tokens, padding);
            }
        }
        let tokens = if padded.is_empty() { tokens } else { &padded };
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
    model: VisionModel,
    processor: ImageProcessor,
    /// The number of values of a vector.
    pub(super) dimensions: usize,
}

impl Pretrained for ImageTower {
    const FILES: &'static [&'static str] = &[CONFIG, PREPROCESSOR];
    const INSTEAD: &'static [&'static [&'static str]] = &[&[PROCESSOR]];

    type Config = TowerConfig;
    type Prepared = ImageProcessor;
    type Network = VisionModel;

    async fn config(files: &mut Loading<'_, '_>) -> Result<TowerConfig> {
        TowerConfig::read(files, Tower::Image).await
    }

    fn prefixes(_config: &TowerConfig) -> &'static [&'static str] {
        &[""]
    }

    async fn last(
        files: &mut Loading<'_, '_>,
        file: &str,
        _config: &TowerConfig,
    ) -> Result<Vec<u8>> {
        if let Some(json) = files.optional(file).await? {
            return Ok(json);
        }
        match files.optional(PROCESSOR).await? {
            Some(json) => image_processor(&json),
            None => Err(missing(file)),
        }
    }

    fn prepare(config: &TowerConfig, file: &LastFile) -> Result<ImageProcessor> {
        let processor = ImageProcessor::from_json(&file.bytes()?)?;
        let size = config.model.image_size();
        if processor.dims() != [size, size] {
            return Err(Error::invalid_weights(format!(
                "{PREPROCESSOR}: makes images of {:?} pixels, but the model takes {size} by {size}",
                processor.dims()
            )));
        }
        Ok(processor)
    }

    fn network(config: &TowerConfig, tensors: &mut Tensors) -> Result<VisionModel> {
        VisionModel::new(&config.model, tensors)
    }

    fn assemble(
        config: TowerConfig,
        processor: ImageProcessor,
        model: VisionModel,
        _device: &Device,
    ) -> Self {
        Self {
            model,
            processor,
            dimensions: config.model.dimensions(),
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
