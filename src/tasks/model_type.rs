//! Determines which kind of model a repository has, before it is loaded.

use super::clip_towers::Tower;
use super::image_text_embedder::ImageTextEmbedder;
use super::load::{LoadPlan, Source, plan};
use super::text_embedder::TextEmbedder;
use crate::error::{ErrorKind, Result};
use crate::weights::Dtype;

/// Computes the plan for a model of any kind: a sentence encoder, or the `towers` of CLIP, both where `towers` is empty.
///
/// *Errors*: as `TextEmbedder::load` and `ImageTextEmbedder::load`.
pub async fn plan_model(source: &Source<'_>, towers: &[Tower], dtype: Dtype) -> Result<LoadPlan> {
    if !towers.is_empty() {
        return ImageTextEmbedder::plan(source, towers, dtype).await;
    }
    // A stored model is planned without a request to the host.
    if ImageTextEmbedder::is_stored(source, false).await? {
        return ImageTextEmbedder::plan(source, &Tower::ALL, dtype).await;
    }
    let error = match plan::<TextEmbedder>(source, dtype).await {
        Err(error) => error,
        plan => return plan,
    };
    let clip = match error.kind() {
        ErrorKind::UnsupportedModel => true,
        // A load would fall back to the outdated stored model as well.
        ErrorKind::FetchFailed => ImageTextEmbedder::is_stored(source, true).await?,
        _ => false,
    };
    if !clip {
        return Err(error);
    }
    match ImageTextEmbedder::plan(source, &Tower::ALL, dtype).await {
        // The repository has neither kind of model.
        Err(other) if other.kind() == ErrorKind::UnsupportedModel => Err(error),
        plan => plan,
    }
}
