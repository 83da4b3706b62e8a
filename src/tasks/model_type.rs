//! Determines which class loads the model of a repository.

use super::clip_towers::Tower;
use super::decoder::Decoder;
use super::first_layers;
use super::image_text_embedder::ImageTextEmbedder;
use super::load::{LoadPlan, Source};
use super::sentence_transformers::MODULES;
use super::text_embedder::TextEmbedder;
use crate::error::{ErrorKind, Result};
use crate::models::DecoderConfig;
use crate::weights::Dtype;

/// A class that loads a model from a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelClass {
    /// [`TextEmbedder`], for sentence encoders.
    TextEmbedder,
    /// [`ImageTextEmbedder`], for CLIP.
    ImageTextEmbedder,
    /// [`Decoder`], for decoders that are no sentence encoders.
    Decoder,
}

impl ModelClass {
    /// The name of the class.
    pub fn name(self) -> &'static str {
        match self {
            Self::TextEmbedder => "TextEmbedder",
            Self::ImageTextEmbedder => "ImageTextEmbedder",
            Self::Decoder => "Decoder",
        }
    }
}

/// Computes the plan for a model of any class: a sentence encoder, a decoder, or the `towers` of CLIP, both where `towers` is empty.
///
/// *Errors*: as `TextEmbedder::load`, `Decoder::load` and `ImageTextEmbedder::load`.
pub async fn plan_model(
    source: &Source<'_>,
    towers: &[Tower],
    dtype: Dtype,
) -> Result<(ModelClass, LoadPlan)> {
    let plan_clip = async |towers: &[Tower]| {
        let plan = ImageTextEmbedder::plan(source, towers, dtype).await?;
        Ok((ModelClass::ImageTextEmbedder, plan))
    };
    if !towers.is_empty() {
        return plan_clip(towers).await;
    }
    // Only models of one tower can be loaded by their first layers.
    let may_be_clip = source.layers.is_none();
    // A stored model is planned without a request to the host.
    if may_be_clip && ImageTextEmbedder::is_stored(source, false).await? {
        return plan_clip(&Tower::ALL).await;
    }
    let error = match TextEmbedder::plan(source, dtype).await {
        Err(error) => error,
        Ok(plan) if plan.whole && is_plain_decoder(source, &plan).await? => {
            return Ok((ModelClass::Decoder, plan));
        }
        Ok(plan) => return Ok((ModelClass::TextEmbedder, plan)),
    };
    if error.kind() == ErrorKind::UnsupportedModel {
        match Decoder::plan(source, dtype).await {
            Err(other) if other.kind() == ErrorKind::UnsupportedModel => {}
            plan => return Ok((ModelClass::Decoder, plan?)),
        }
    }
    let clip = match error.kind() {
        _ if !may_be_clip => false,
        ErrorKind::UnsupportedModel => true,
        // A load would fall back to the outdated stored model as well.
        ErrorKind::FetchFailed => ImageTextEmbedder::is_stored(source, true).await?,
        _ => false,
    };
    if !clip {
        return Err(error);
    }
    match plan_clip(&Tower::ALL).await {
        // The repository has neither class of model.
        Err(other) if other.kind() == ErrorKind::UnsupportedModel => Err(error),
        plan => plan,
    }
}

/// Whether a stored model is a decoder that has no modules of a sentence encoder. Its plan alone does not tell.
async fn is_plain_decoder(source: &Source<'_>, plan: &LoadPlan) -> Result<bool> {
    if plan.files.iter().any(|file| file.path == MODULES) {
        return Ok(false);
    }
    let config = first_layers::config::<TextEmbedder>(source).await?;
    Ok(DecoderConfig::from_json(&config).is_ok())
}

/// Asks the host for the current commit of a model of any class, as [`Source::refresh`] does: of the `towers`, or of a sentence
/// encoder where `towers` is empty.
///
/// *Errors*: as [`TextEmbedder::refresh`].
pub async fn refresh_model(source: &Source<'_>, towers: &[Tower]) -> Result<()> {
    if towers.is_empty() {
        return TextEmbedder::refresh(source).await;
    }
    let parts: Vec<_> = towers.iter().map(|tower| tower.name()).collect();
    source.refresh(&parts).await
}
