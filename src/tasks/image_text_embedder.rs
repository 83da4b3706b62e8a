//! Image and text embedding with CLIP or SigLIP: loads both towers or one, encodes images and texts, and classifies images.

use std::cell::RefCell;

use burn::tensor::Device;

#[cfg(feature = "webgpu")]
use super::clip_towers::CONFIG;
use super::clip_towers::{ImageTower, LABEL, TextTower, Tower};
#[cfg(feature = "webgpu")]
use super::comparison::{Timed, compare};
use super::embeddings::{
    EmbedOptions, Embeddings, Values, quantize, truncate_and_normalize, try_reserve,
};
use super::load::plan::plan_stored;
use super::load::{
    LoadPlan, LoadProgress, Loaded, PartsProgress, Source, load, load_newest, plan,
    plan_and_config, required,
};
use crate::error::{Error, Result};
use crate::image::Rgb;
use crate::scheduler::Scheduler;
use crate::store::StoredModel;
use crate::text::encode;
use crate::weights::Dtype;

/// Reload attempts if the branch moves between the loads of the two towers.
const RELOADS: usize = 3;

/// The probability of a label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelScore {
    /// The label as the caller gave it.
    pub label: String,
    /// The probability, 0 to 1; with CLIP those of all labels sum to 1, with SigLIP each is for itself.
    pub score: f32,
}

/// A loaded model of CLIP or SigLIP, with both towers or one.
pub struct ImageTextEmbedder {
    text: Option<TextTower>,
    image: Option<ImageTower>,
    commit: String,
    dimensions: usize,
    /// The labels of the last classification, and their vectors.
    labels: RefCell<Option<Labels>>,
}

struct Labels {
    labels: Vec<String>,
    templates: Vec<String>,
    vectors: Vec<Vec<f32>>,
}

impl ImageTextEmbedder {
    /// Loads the given towers, each from the store if it is complete there, else from the host, and stores them.
    ///
    /// *Errors*: `FetchFailed`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The
    /// store may then hold one complete tower, and a partial download that can be resumed.
    pub async fn load(
        source: &Source<'_>,
        towers: &[Tower],
        dtype: Dtype,
        device: &Device,
    ) -> Result<Self> {
        refuse_layers(source)?;
        let wants = |tower| towers.contains(&tower);
        let progress = PartsProgress::default();
        let report = |event: &LoadProgress| progress.report(event, source.progress);
        let [text_source, image_source] =
            Tower::ALL.map(|tower| source_of(source, tower, towers, &report));
        #[cfg(feature = "webgpu")]
        {
            // The image tower takes more time than the text tower.
            let (tower, model): (_, fn(&[u8]) -> _) = match wants(Tower::Image) {
                true => (&image_source, Timed::image_tower),
                false => (&text_source, Timed::text_tower),
            };
            compare(
                source,
                dtype,
                device,
                tower.config_file(CONFIG, dtype),
                model,
            )
            .await?;
        }
        let (mut text, mut image) = (None, None);
        if wants(Tower::Text) {
            let loaded = load::<TextTower>(&text_source, dtype, device).await?;
            text = Some(match wants(Tower::Image) && loaded.cached {
                true => with_scores(loaded, &text_source, dtype, device).await?,
                false => loaded,
            });
            progress.next();
        }
        if wants(Tower::Image) {
            image = Some(load::<ImageTower>(&image_source, dtype, device).await?);
            progress.next();
        }
        for attempt in 0..RELOADS {
            let reload = match (&text, &image) {
                // Towers of different commits do not fit together. The first attempt reloads only a tower from the store.
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
            if reload[0] {
                // The old tower is dropped first, so that memory never holds two of them.
                drop(text.take());
                text = Some(load_newest::<TextTower>(&text_source, dtype, device).await?);
                progress.next();
            }
            if reload[1] {
                drop(image.take());
                image = Some(load_newest::<ImageTower>(&image_source, dtype, device).await?);
                progress.next();
            }
        }
        Err(Error::fetch_failed(
            "the repository kept changing while its two towers were loaded",
        ))
    }

    fn new(text: Option<Loaded<TextTower>>, image: Option<Loaded<ImageTower>>) -> Self {
        let dimensions = text.as_ref().map(|text| text.model.dimensions);
        let commit = text.as_ref().map(|text| &text.commit);
        let commit = commit.or(image.as_ref().map(|image| &image.commit));
        Self {
            commit: commit.cloned().unwrap_or_default(),
            dimensions: dimensions
                .or(image.as_ref().map(|image| image.model.dimensions))
                .unwrap_or_default(),
            text: text.map(|text| text.model),
            image: image.map(|image| image.model),
            labels: RefCell::default(),
        }
    }

    /// The commit of the files of both towers, or its stand-in if they come from no commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Computes the cost of loading the towers. Fetches the config files except the largest of each tower, and the header of the
    /// weights.
    ///
    /// *Errors*: as [`load`](Self::load).
    pub async fn plan(source: &Source<'_>, towers: &[Tower], dtype: Dtype) -> Result<LoadPlan> {
        refuse_layers(source)?;
        let mut all: Option<LoadPlan> = None;
        for tower in towers {
            let source = source_of(source, *tower, towers, &|_| {});
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

    /// Whether both towers are complete in the store. Outdated towers count only if `outdated` is set.
    pub(super) async fn is_stored(source: &Source<'_>, outdated: bool) -> Result<bool> {
        for tower in Tower::ALL {
            let part = source.for_part(tower.name(), &|_| {});
            if plan_stored(&part, tower.largest_file(), outdated)
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number of values of one vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The longest text in tokens; `None` where the text tower is not loaded.
    pub fn max_tokens(&self) -> Option<usize> {
        self.text.as_ref().map(|tower| tower.max_tokens)
    }

    /// Embeds texts; vectors are normalized. The same text gives the same vector whatever else is in the list.
    ///
    /// *Errors*: `InvalidInput` naming the option, or where the text tower is not loaded; `Aborted`.
    pub async fn embed_texts(
        &self,
        texts: &[String],
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<Embeddings> {
        options.refuse_prompt()?;
        let width = options.output_dimensions(self.dimensions)?;
        let tower = self.text_tower()?;
        let tokens = encode(&tower.tokenizer, texts, scheduler).await?;
        let mut vectors = try_reserve(texts.len(), width)?;
        tower.embed(&tokens, width, &mut vectors, scheduler).await?;
        Ok(Embeddings::new(vectors, width, options.precision, &tokens))
    }

    /// Embeds `count` images, calling `image` for one at a time; vectors are normalized. Returns the values, and how many each
    /// image has. An image whose error `failed` accepts has no vector.
    ///
    /// *Errors*: `InvalidInput` naming the option, or where the image tower is not loaded; `Aborted`; those of `image`, where `failed`
    /// returns them.
    pub async fn embed_images(
        &self,
        count: usize,
        mut image: impl AsyncFnMut(usize) -> Result<Rgb>,
        mut failed: impl FnMut(usize, Error) -> Result<()>,
        options: &EmbedOptions,
        scheduler: &dyn Scheduler,
    ) -> Result<(Values, usize)> {
        options.refuse_prompt()?;
        let width = options.output_dimensions(self.dimensions)?;
        let tower = self.image_tower()?;
        let mut vectors = try_reserve(count, width)?;
        for index in 0..count {
            scheduler.yield_now().await?;
            let embed = async {
                let image = image(index).await?;
                let name = || format!("images[{index}]");
                tower.embed(&image, name, scheduler).await
            };
            match embed.await {
                Ok(mut vector) => {
                    vectors.extend_from_slice(truncate_and_normalize(&mut vector, width));
                }
                Err(error) => failed(index, error)?,
            }
        }
        Ok(quantize(vectors, width, options.precision))
    }

    /// Computes the probability of each label for an image, sorted from the highest. A label's vector is the mean over all
    /// templates.
    ///
    /// *Errors*: `InvalidInput` where there are no labels, or a template has no place for one; `UnsupportedModel` where the weights are those
    /// of each tower alone, and lack the scale of scores; as the towers' own.
    pub async fn classify(
        &self,
        image: &Rgb,
        labels: &[String],
        templates: &[String],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<LabelScore>> {
        let (text_tower, image_tower) = (self.text_tower()?, self.image_tower()?);
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
        // Fails before either tower computes if the model gives no scores.
        text_tower.probabilities(&[])?;
        let name = || "image".into();
        let image_vector = image_tower.embed(image, name, scheduler).await?;
        let matches = |cached: &Labels| cached.labels == labels && cached.templates == templates;
        if !self.labels.borrow().as_ref().is_some_and(matches) {
            let vectors = text_tower
                .label_vectors(labels, templates, scheduler)
                .await?;
            *self.labels.borrow_mut() = Some(Labels {
                labels: labels.to_vec(),
                templates: templates.to_vec(),
                vectors,
            });
        }
        let cosines: Vec<f32> = match self.labels.borrow().as_ref() {
            Some(cached) => cached
                .vectors
                .iter()
                .map(|vector| dot(vector, &image_vector))
                .collect(),
            None => Vec::new(),
        };
        let mut scores: Vec<_> = labels
            .iter()
            .zip(text_tower.probabilities(&cosines)?)
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

/// Makes the source of one of the towers that are asked for.
fn source_of<'a>(
    source: &'a Source<'_>,
    tower: Tower,
    towers: &[Tower],
    progress: &'a dyn Fn(&LoadProgress),
) -> Source<'a> {
    let scores = Tower::ALL.iter().all(|tower| towers.contains(tower));
    Source {
        onnx: tower.onnx(scores),
        ..source.for_part(tower.name(), progress)
    }
}

/// Loads a stored text tower anew where it lacks the scale of scores, because it was loaded alone before, and the host has that.
async fn with_scores(
    stored: Loaded<TextTower>,
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<TextTower>> {
    let unstored = Source {
        cache: None,
        ..source.for_part(Tower::Text.name(), &|_| {})
    };
    let (Err(_), Some(cache)) = (stored.model.probabilities(&[]), &source.cache) else {
        return Ok(stored);
    };
    // A host that cannot be asked has nothing better.
    let found = plan_and_config::<TextTower>(&unstored, dtype).await;
    let Ok((plan, Some(config))) = found else {
        return Ok(stored);
    };
    if plan.tensors <= required::<TextTower>(&config)? {
        return Ok(stored);
    }
    drop(stored);
    if let Some(model) = StoredModel::open(cache.store, &cache.key).await? {
        model.delete().await?;
    }
    load(source, dtype, device).await
}

/// *Errors*: `InvalidInput` where the first layers of a model are asked for.
fn refuse_layers(source: &Source<'_>) -> Result<()> {
    match source.layers {
        None => Ok(()),
        Some(layers) => Err(Error::invalid_input(format!(
            "layers is {layers}, but towers are loaded whole: leave it out"
        ))),
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
