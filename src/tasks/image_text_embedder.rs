//! Pictures and texts to vectors in one space: loading CLIP's towers, together or apart, and what can be asked of them.

use std::cell::RefCell;

use burn::tensor::Device;

use super::embeddings::{EmbedOptions, Values, quantize, truncate_and_normalize, try_reserve};
use super::load::{LoadProgress, Loading, PartsProgress, Source, load, load_newest};
use super::plan::{self, LoadPlan};
use super::pooling::normalize;
use super::text_embedder::{Embeddings, batches, encode};
use crate::error::{Error, Result};
use crate::image::{ImageProcessor, Rgb};
use crate::models::{ClipConfig, ClipText, ClipVision};
use crate::ops::read;
use crate::scheduler::Scheduler;
use crate::text::{TextTokenizer, Tokens};
use crate::weights::{Dtype, Needs, Parameter};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// A branch that moves while its towers are loaded one after the other moves no further, most likely.
const TRIES: usize = 3;

/// What stands in a template for the label.
const LABEL: &str = "{}";

/// One half of the model. Each is loaded and width by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tower {
    /// The one that reads.
    Text,
    /// The one that sees.
    Image,
}

impl Tower {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Text, Self::Image];

    /// As options and stores call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }

    /// By its name.
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

    /// The small files that it needs, the largest last.
    fn files(self) -> [&'static str; 2] {
        match self {
            Self::Text => [CONFIG, TOKENIZER],
            Self::Image => [CONFIG, PREPROCESSOR],
        }
    }

    fn parameters(self, config: &ClipConfig) -> Vec<Parameter> {
        match self {
            Self::Text => config.text_parameters(),
            Self::Image => config.vision_parameters(),
        }
    }
}

/// How likely a label is.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScore {
    /// As it was given.
    pub label: String,
    /// 0 to 1; those of all labels sum to 1.
    pub score: f32,
}

/// CLIP, ready to embed.
pub struct ImageTextEmbedder {
    text: Option<TextTower>,
    image: Option<ImageTower>,
    dimensions: usize,
    /// The labels that were asked for last, and their vectors.
    labels: RefCell<Option<Labels>>,
}

/// A tower, and what was said beside it.
struct Read<T> {
    tower: T,
    /// Values of its vectors.
    dimensions: usize,
    /// What it was made from.
    commit: String,
    /// Whether that was in the store.
    cached: bool,
}

struct TextTower {
    model: ClipText,
    tokenizer: TextTokenizer,
    max_tokens: usize,
}

struct ImageTower {
    model: ClipVision,
    processor: ImageProcessor,
}

struct Labels {
    labels: Vec<String>,
    templates: Vec<String>,
    vectors: Vec<Vec<f32>>,
}

impl ImageTextEmbedder {
    /// Loads the towers that are asked for, each from the store where it is whole there, else from the host, and keeps them.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`; nothing
    /// that could be read is left in the store then but a tower that is whole.
    pub async fn load(
        source: &Source<'_>,
        towers: &[Tower],
        dtype: Dtype,
        device: &Device,
    ) -> Result<Self> {
        let wants = |tower| towers.contains(&tower);
        let progress = PartsProgress::default();
        let report = |event: &LoadProgress| progress.report(event, source.progress);
        let [text_source, image_source] =
            Tower::ALL.map(|tower| source.for_part(tower.name(), &report));
        let read_text =
            async |loading: &mut Loading<'_, '_>| TextTower::read(loading, dtype, device).await;
        let read_image =
            async |loading: &mut Loading<'_, '_>| ImageTower::read(loading, dtype, device).await;
        let (mut text, mut image) = (None, None);
        if wants(Tower::Text) {
            text = Some(load(&text_source, read_text).await?);
            progress.next();
        }
        if wants(Tower::Image) {
            image = Some(load(&image_source, read_image).await?);
            progress.next();
        }
        for attempt in 0..TRIES {
            let anew = match (&text, &image) {
                // Towers of two commits may be of two models. What has just been fetched is not fetched again at first.
                (Some(text), Some(image)) if text.commit != image.commit => {
                    match attempt == 0 && text.cached != image.cached {
                        true => [text.cached, image.cached],
                        false => [true, true],
                    }
                }
                (None, None) => return Err(no_towers()),
                _ => {
                    progress.ready(source.progress);
                    return Ok(Self::of(text, image));
                }
            };
            if anew[0] {
                // First, so that no two of a kind are in memory.
                drop(text.take());
                text = Some(load_newest(&text_source, read_text).await?);
                progress.next();
            }
            if anew[1] {
                drop(image.take());
                image = Some(load_newest(&image_source, read_image).await?);
                progress.next();
            }
        }
        Err(Error::fetch_failed(
            "the model changed each time that its second tower was asked for",
        ))
    }

    fn of(text: Option<Read<TextTower>>, image: Option<Read<ImageTower>>) -> Self {
        let dimensions = text.as_ref().map(|text| text.dimensions);
        Self {
            dimensions: dimensions
                .or(image.as_ref().map(|image| image.dimensions))
                .unwrap_or_default(),
            text: text.map(|text| text.tower),
            image: image.map(|image| image.tower),
            labels: RefCell::default(),
        }
    }

    /// What loading the towers would take. Fetches the small files but the tokenizer's, and the header of the weights.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, towers: &[Tower], dtype: Dtype) -> Result<LoadPlan> {
        let mut plan: Option<LoadPlan> = None;
        for tower in towers {
            let source = source.for_part(tower.name(), &|_| {});
            let files = tower.files();
            let read = plan::plan(&source, files[1], async |loading| {
                let (config, weights) = blueprint(loading, dtype, &files[..1]).await?;
                let needs = Needs {
                    parameters: &tower.parameters(&config),
                    prefixes: ClipConfig::PREFIXES,
                    dtype,
                };
                plan::of_host(loading, &source, &files, files[1], &weights, &needs).await
            });
            let part = read.await?;
            plan = Some(match plan {
                Some(before) => before.and(part),
                None => part,
            });
        }
        plan.ok_or_else(no_towers)
    }

    /// Whether both towers are whole in the store, and not `outdated` unless that will do.
    pub(super) async fn is_stored(source: &Source<'_>, outdated: bool) -> Result<bool> {
        for tower in Tower::ALL {
            let part = source.for_part(tower.name(), &|_| {});
            if plan::of_stored(&part, tower.files()[1], outdated)
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Longest text in tokens, where the text tower is there.
    pub fn max_tokens(&self) -> Option<usize> {
        self.text.as_ref().map(|tower| tower.max_tokens)
    }

    /// Embeds texts; vectors are normalized. The same text gives the same vector whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` naming the option, or where the text tower is not there; `Aborted`.
    pub async fn embed_texts(
        &self,
        texts: &[String],
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        let width = options.output_dimensions(self.dimensions)?;
        let tower = self.text_tower()?;
        let tokens = encode(&tower.tokenizer, texts, scheduler).await?;
        let mut vectors = try_reserve(texts.len(), width)?;
        tower.embed(&tokens, width, &mut vectors, scheduler).await?;
        Ok(Embeddings::of(vectors, width, options.precision, &tokens))
    }

    /// Embeds `count` pictures, asking for one at a time; vectors are normalized. Returns the values, and how many one picture has.
    ///
    /// *Errors*: `InvalidInput` naming the option, or where the image tower is not there; `Aborted`; those of `picture`.
    pub async fn embed_images(
        &self,
        count: usize,
        mut picture: impl AsyncFnMut(usize) -> Result<Rgb>,
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<(Values, usize)> {
        let width = options.output_dimensions(self.dimensions)?;
        let tower = self.image_tower()?;
        let mut vectors = try_reserve(count, width)?;
        for index in 0..count {
            scheduler.yield_now().await?;
            let picture = picture(index).await?;
            let mut vector = tower.embed(&picture, scheduler).await?;
            vectors.extend_from_slice(truncate_and_normalize(&mut vector, width));
        }
        Ok(quantize(vectors, width, options.precision))
    }

    /// How likely each label is for a picture, the likeliest first. A label's vector is the mean over all templates.
    ///
    /// *Errors*: `InvalidInput` where there are no labels, or a template has no place for one; as the towers' own.
    /// *Source*: Radford et al. 2021, section 3.1.
    pub async fn classify(
        &self,
        picture: &Rgb,
        labels: &[String],
        templates: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<LabelScore>> {
        let (text, image) = (self.text_tower()?, self.image_tower()?);
        if labels.is_empty() || templates.is_empty() {
            return Err(Error::invalid_input(
                "labels or template is empty, expected one at least",
            ));
        }
        if let Some(template) = templates.iter().find(|template| !template.contains(LABEL)) {
            return Err(Error::invalid_input(format!(
                "template '{template}' has no {LABEL} where the label goes"
            )));
        }
        let seen = image.embed(picture, scheduler).await?;
        let known = |width: &Labels| width.labels == labels && width.templates == templates;
        if !self.labels.borrow().as_ref().is_some_and(known) {
            let vectors = text.label_vectors(labels, templates, scheduler).await?;
            *self.labels.borrow_mut() = Some(Labels {
                labels: labels.to_vec(),
                templates: templates.to_vec(),
                vectors,
            });
        }
        let scale = text.model.logit_scale();
        let logits: Vec<f32> = match self.labels.borrow().as_ref() {
            Some(width) => width
                .vectors
                .iter()
                .map(|vector| scale * dot(vector, &seen))
                .collect(),
            None => Vec::new(),
        };
        let mut scores: Vec<_> = labels
            .iter()
            .zip(softmax(&logits))
            .map(|(label, score)| LabelScore {
                label: label.clone(),
                score,
            })
            .collect();
        scores.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(scores)
    }

    fn text_tower(&self) -> Result<&TextTower> {
        self.text.as_ref().ok_or_else(|| not_loaded(Tower::Text))
    }

    fn image_tower(&self) -> Result<&ImageTower> {
        self.image.as_ref().ok_or_else(|| not_loaded(Tower::Image))
    }
}

fn no_towers() -> Error {
    Error::invalid_input("towers is empty, expected 'text', 'image' or both")
}

fn not_loaded(tower: Tower) -> Error {
    let name = tower.name();
    Error::invalid_input(format!(
        "the {name} tower was not loaded: have '{name}' in towers"
    ))
}

/// The config, and the file with the weights.
async fn blueprint(
    loading: &mut Loading<'_, '_>,
    dtype: Dtype,
    files: &[&str],
) -> Result<(ClipConfig, String)> {
    let weights = loading.plan(dtype, files).await?;
    let config = ClipConfig::from_json(&loading.required(CONFIG).await?)?;
    Ok((config, weights))
}

impl TextTower {
    async fn read(
        loading: &mut Loading<'_, '_>,
        dtype: Dtype,
        device: &Device,
    ) -> Result<Read<Self>> {
        let (config, weights) = blueprint(loading, dtype, &Tower::Text.files()).await?;
        let json = loading.required(TOKENIZER).await?;
        let weights = loading.open_weights(weights).await;
        loading.prepare(TOKENIZER);
        let max_tokens = config.max_tokens();
        let tokenizer = TextTokenizer::from_json(&json, max_tokens, false)?;
        drop(json);
        let needs = Needs {
            parameters: &config.text_parameters(),
            prefixes: ClipConfig::PREFIXES,
            dtype,
        };
        let weights = loading.weights(weights, &needs, device).await?;
        let tower = Self {
            model: ClipText::new(&config, weights, device.clone())?,
            tokenizer,
            max_tokens,
        };
        Ok(Read {
            tower,
            dimensions: config.projection_dim,
            commit: loading.commit().into(),
            cached: loading.is_cached(),
        })
    }

    /// Appends the first `width` values of each text's vector.
    async fn embed(
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

    /// One for each label: the mean of what its templates give, normalized.
    async fn label_vectors(
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

impl ImageTower {
    async fn read(
        loading: &mut Loading<'_, '_>,
        dtype: Dtype,
        device: &Device,
    ) -> Result<Read<Self>> {
        let (config, weights) = blueprint(loading, dtype, &Tower::Image.files()).await?;
        let processor = ImageProcessor::from_json(&loading.required(PREPROCESSOR).await?)?;
        let size = config.image_size();
        if processor.dims() != [size, size] {
            return Err(Error::invalid_weights(format!(
                "{PREPROCESSOR}: makes pictures of {:?} pixels, but the model takes {size} by {size}",
                processor.dims()
            )));
        }
        let weights = loading.open_weights(weights).await;
        let needs = Needs {
            parameters: &config.vision_parameters(),
            prefixes: ClipConfig::PREFIXES,
            dtype,
        };
        let weights = loading.weights(weights, &needs, device).await?;
        let tower = Self {
            model: ClipVision::new(&config, weights, device.clone())?,
            processor,
        };
        Ok(Read {
            tower,
            dimensions: config.projection_dim,
            commit: loading.commit().into(),
            cached: loading.is_cached(),
        })
    }

    async fn embed(&self, picture: &Rgb, scheduler: &dyn Scheduler) -> Result<Vec<f32>> {
        let pixels = self.processor.process(picture)?;
        let mut vector = read(self.model.forward(&[&pixels], scheduler).await?).await?;
        normalize(&mut vector);
        Ok(vector)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.iter().map(|x| x / sum).collect()
}
