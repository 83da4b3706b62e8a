//! Determines which class loads the model of a repository.

use super::clip_towers::Tower;
use super::decoder::Decoder;
use super::first_layers;
use super::image_text_embedder::ImageTextEmbedder;
use super::load::{LoadPlan, Source, plan_and_config};
use super::modules::MODULES;
use super::sentence_transformers::CONFIG;
use super::sequence_classifier::SequenceClassifier;
use super::text_embedder::TextEmbedder;
use crate::error::{ErrorKind, Result};
use crate::models::{DecoderConfig, is_sequence_classifier};
use crate::weights::Dtype;

/// A class that loads a model from a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelClass {
    /// [`TextEmbedder`], for sentence encoders.
    TextEmbedder,
    /// [`ImageTextEmbedder`], for CLIP and SigLIP.
    ImageTextEmbedder,
    /// [`Decoder`], for decoders that are no sentence encoders.
    Decoder,
    /// [`SequenceClassifier`], for classifiers of whole texts.
    SequenceClassifier,
}

impl ModelClass {
    /// The name of the class.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEmbedder => "TextEmbedder",
            Self::ImageTextEmbedder => "ImageTextEmbedder",
            Self::Decoder => "Decoder",
            Self::SequenceClassifier => "SequenceClassifier",
        }
    }
}

/// Computes the plan for a model of any class: a sentence encoder, a decoder, a classifier of whole texts, or the `towers` of CLIP or SigLIP, both
/// where `towers` is empty.
///
/// *Errors*: as `TextEmbedder::load`, `Decoder::load`, `SequenceClassifier::load` and `ImageTextEmbedder::load`.
pub async fn plan_model(
    source: &Source<'_>,
    towers: &[Tower],
    dtype: Dtype,
) -> Result<(ModelClass, LoadPlan)> {
    let plan_clip = async |towers: &[Tower]| {
        let plan = ImageTextEmbedder::plan(source, towers, dtype).await?;
        Ok((ModelClass::ImageTextEmbedder, plan))
    };
    let plan_classifier = async || {
        let plan = SequenceClassifier::plan(source, dtype).await?;
        Ok((ModelClass::SequenceClassifier, plan))
    };
    if !towers.is_empty() {
        return plan_clip(towers).await;
    }
    // Only encoders and decoders can be loaded by their first layers.
    if source.layers.is_some() {
        return match TextEmbedder::plan(source, dtype).await {
            Ok(plan) => embedder_or_decoder(source, plan, dtype).await,
            Err(error) if error.kind() == ErrorKind::UnsupportedModel => {
                plan_decoder(source, dtype).await?.ok_or(error)
            }
            Err(error) => Err(error),
        };
    }
    // A stored model is planned without a request to the host.
    if ImageTextEmbedder::is_stored(source, false).await? {
        return plan_clip(&Tower::ALL).await;
    }
    if SequenceClassifier::is_stored(source, false).await? {
        return plan_classifier().await;
    }
    let error = match plan_and_config::<TextEmbedder>(source, dtype).await {
        Ok((_, Some(config))) if config.is_classifier => return plan_classifier().await,
        Ok((plan, Some(_))) => return Ok((ModelClass::TextEmbedder, plan)),
        Ok((plan, None)) if is_stored_classifier(source, &plan, dtype).await? => {
            return match plan_classifier().await {
                // Without the host, a stored model can be loaded.
                Err(error) if error.kind() == ErrorKind::FetchFailed => {
                    Ok((ModelClass::TextEmbedder, plan))
                }
                planned => planned,
            };
        }
        Ok((plan, None)) => return embedder_or_decoder(source, plan, dtype).await,
        Err(error) => error,
    };
    let is_missing = error.status() == Some(404) || error.is_refused();
    let others = match error.kind() {
        ErrorKind::UnsupportedModel => {
            if let Some(planned) = plan_decoder(source, dtype).await? {
                return Ok(planned);
            }
            plan_clip(&Tower::ALL).await
        }
        // A load would fall back to the outdated stored model as well.
        ErrorKind::FetchFailed if ImageTextEmbedder::is_stored(source, true).await? => {
            plan_clip(&Tower::ALL).await
        }
        ErrorKind::FetchFailed if SequenceClassifier::is_stored(source, true).await? => {
            plan_classifier().await
        }
        // The packed file of a classifier has a name of its own.
        ErrorKind::FetchFailed if is_missing && error.file() != Some(CONFIG) => {
            match plan_classifier().await {
                Err(_) => return Err(error),
                planned => planned,
            }
        }
        _ => return Err(error),
    };
    match others {
        // The repository has none of these classes of model.
        Err(other) if other.kind() == ErrorKind::UnsupportedModel => Err(error),
        planned => planned,
    }
}

/// The plan of a decoder; `None` where the model is none.
async fn plan_decoder(source: &Source<'_>, dtype: Dtype) -> Result<Option<(ModelClass, LoadPlan)>> {
    match Decoder::plan(source, dtype).await {
        Err(error) if error.kind() == ErrorKind::UnsupportedModel => Ok(None),
        plan => Ok(Some((ModelClass::Decoder, plan?))),
    }
}

/// The class of a model that was planned as a sentence encoder.
async fn embedder_or_decoder(
    source: &Source<'_>,
    plan: LoadPlan,
    dtype: Dtype,
) -> Result<(ModelClass, LoadPlan)> {
    let config = match plan.whole {
        true => plain_decoder(source, &plan, dtype).await?,
        false => None,
    };
    let Some(config) = config else {
        return Ok((ModelClass::TextEmbedder, plan));
    };
    let plan = match source.embeddings {
        Some(_) => plan.with_stored_table(config.table_bytes(dtype)),
        None => plan,
    };
    Ok((ModelClass::Decoder, plan))
}

/// The config of a stored model, if it is a decoder that has no modules of a sentence encoder. Its plan alone does not show this.
async fn plain_decoder(
    source: &Source<'_>,
    plan: &LoadPlan,
    dtype: Dtype,
) -> Result<Option<DecoderConfig>> {
    if plan.files.iter().any(|file| file.path == MODULES) {
        return Ok(None);
    }
    let config = first_layers::config::<TextEmbedder>(source, dtype).await?;
    Ok(DecoderConfig::from_json(&config).ok())
}

/// Whether a model that is stored as a sentence encoder is a classifier of whole texts. Its plan alone does not show this.
async fn is_stored_classifier(source: &Source<'_>, plan: &LoadPlan, dtype: Dtype) -> Result<bool> {
    if plan.files.iter().any(|file| file.path == MODULES) {
        return Ok(false);
    }
    Ok(is_sequence_classifier(
        &source.config_file(CONFIG, dtype).await?,
    ))
}

/// Asks the host for the current commit of a model of any class, as [`Source::refresh`] does: of the `towers`, or of a
/// classifier of whole texts, or else of a sentence encoder or decoder.
///
/// *Errors*: as [`TextEmbedder::refresh`].
pub async fn refresh_model(
    source: &Source<'_>,
    towers: &[Tower],
    is_classifier: bool,
) -> Result<()> {
    if is_classifier {
        return SequenceClassifier::refresh(source).await;
    }
    if towers.is_empty() {
        return TextEmbedder::refresh(source).await;
    }
    let parts: Vec<_> = towers.iter().map(|tower| tower.name()).collect();
    source.refresh(&parts).await
}
