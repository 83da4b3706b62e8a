//! Pictures and texts to vectors in one space: loading CLIP's towers, together or apart, and what can be asked of them.

use std::cell::RefCell;

use burn::tensor::Device;

use super::clip_towers::{ImageTower, LABEL, TextTower, Tower};
use super::embeddings::{
    EmbedOptions, Embeddings, Values, quantize, truncate_and_normalize, try_reserve,
};
use super::load::plan::of_stored;
use super::load::{LoadPlan, LoadProgress, Loaded, PartsProgress, Source, load, load_newest, plan};
use crate::error::{Error, Result};
use crate::image::Rgb;
use crate::scheduler::Scheduler;
use crate::text::encode;
use crate::weights::Dtype;

/// A branch that moves while its towers are loaded one after the other moves no further, most likely.
const TRIES: usize = 3;

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
        let (mut text, mut image) = (None, None);
        if wants(Tower::Text) {
            text = Some(load::<TextTower>(&text_source, dtype, device).await?);
            progress.next();
        }
        if wants(Tower::Image) {
            image = Some(load::<ImageTower>(&image_source, dtype, device).await?);
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
                    return Ok(Self::new(text, image));
                }
            };
            if anew[0] {
                // First, so that no two of a kind are in memory.
                drop(text.take());
                text = Some(load_newest::<TextTower>(&text_source, dtype, device).await?);
                progress.next();
            }
            if anew[1] {
                drop(image.take());
                image = Some(load_newest::<ImageTower>(&image_source, dtype, device).await?);
                progress.next();
            }
        }
        Err(Error::fetch_failed(
            "the model changed each time that its second tower was asked for",
        ))
    }

    fn new(text: Option<Loaded<TextTower>>, image: Option<Loaded<ImageTower>>) -> Self {
        let dimensions = text.as_ref().map(|text| text.model.dimensions);
        Self {
            dimensions: dimensions
                .or(image.as_ref().map(|image| image.model.dimensions))
                .unwrap_or_default(),
            text: text.map(|text| text.model),
            image: image.map(|image| image.model),
            labels: RefCell::default(),
        }
    }

    /// What loading the towers would take. Fetches the small files but the tokenizer's, and the header of the weights.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, towers: &[Tower], dtype: Dtype) -> Result<LoadPlan> {
        let mut all: Option<LoadPlan> = None;
        for tower in towers {
            let source = source.for_part(tower.name(), &|_| {});
            let part = match tower {
                Tower::Text => plan::<TextTower>(&source, dtype).await?,
                Tower::Image => plan::<ImageTower>(&source, dtype).await?,
            };
            all = Some(match all {
                Some(before) => before.and(part),
                None => part,
            });
        }
        all.ok_or_else(no_towers)
    }

    /// Whether both towers are whole in the store, and not `outdated` unless that will do.
    pub(super) async fn is_stored(source: &Source<'_>, outdated: bool) -> Result<bool> {
        for tower in Tower::ALL {
            let part = source.for_part(tower.name(), &|_| {});
            if of_stored(&part, tower.largest_file(), outdated)
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
        Ok(Embeddings::new(vectors, width, options.precision, &tokens))
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
        let scale = text.logit_scale();
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

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f32> = logits.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = exponentials.iter().sum();
    exponentials.iter().map(|x| x / sum).collect()
}
