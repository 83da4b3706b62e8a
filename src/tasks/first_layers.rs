//! Loading the first layers of a model, which the store keeps as a part of their own.

use burn::tensor::Device;

#[cfg(feature = "webgpu")]
use super::comparison::{Timed, compare};
use super::load::{self, LoadPlan, Loaded, Pretrained, Source};
use crate::error::{Error, Result};
use crate::store::StoredModel;
use crate::weights::Dtype;

/// Attempts to load the first layers of a model whose number of layers changes meanwhile.
const ATTEMPTS: usize = 2;

/// A model that can be loaded by its first layers.
pub(super) trait Layered: Pretrained {
    /// The config file that says how many layers there are.
    const CONFIG: &'static str;

    /// Whether the model of this config has more layers.
    ///
    /// *Errors*: `InvalidInput` for no layers or more than the model has, and those of the config.
    fn cut(config: &[u8], layers: usize) -> Result<bool>;

    /// The number of loaded layers.
    fn layers(&self) -> usize;
}

/// Loads the model, or the first [`layers`](Source::layers) of it; on a GPU only if it is faster there, where the source asks for that.
///
/// *Errors*: as `load::load` and `compare`, and `InvalidInput` for no layers or more than the model has.
pub(super) async fn load<T: Layered>(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    #[cfg(feature = "webgpu")]
    compare(
        source,
        dtype,
        device,
        config::<T>(source, dtype),
        Timed::texts,
    )
    .await?;
    for _ in 0..ATTEMPTS {
        let part = part::<T>(source, dtype).await?;
        let part = part
            .as_ref()
            .map(|part| source.for_part(part, source.progress));
        let loaded = load::load::<T>(part.as_ref().unwrap_or(source), dtype, device).await?;
        if source
            .layers
            .is_none_or(|layers| layers == loaded.model.layers())
        {
            return Ok(loaded);
        }
    }
    Err(Error::fetch_failed(
        "the repository kept changing while its first layers were loaded",
    ))
}

/// Computes the cost of loading the model, or the first layers of it.
///
/// *Errors*: as [`load`].
pub(super) async fn plan<T: Layered>(source: &Source<'_>, dtype: Dtype) -> Result<LoadPlan> {
    let part = part::<T>(source, dtype).await?;
    let part = part
        .as_ref()
        .map(|part| source.for_part(part, source.progress));
    load::plan::<T>(part.as_ref().unwrap_or(source), dtype).await
}

/// Asks the host for the current commit of the model, or of its part.
///
/// *Errors*: as [`Source::refresh`], `InvalidInput` for more layers than the model has, and those of reading its config file.
pub(super) async fn refresh<T: Layered>(source: &Source<'_>) -> Result<()> {
    // A model that is refreshed is stored, so the dtype does not choose among the host's files.
    match part::<T>(source, Dtype::Q8).await? {
        Some(part) => source.refresh(&[&part]).await,
        None => source.refresh(&[]).await,
    }
}

/// Reads the config of the model, or of the first layers of it, from the store where it is complete, or else from the host.
///
/// *Errors*: as [`Source::config_file`], and `InvalidInput` for more layers than the model has.
pub(super) async fn config<T: Layered>(source: &Source<'_>, dtype: Dtype) -> Result<Vec<u8>> {
    match part::<T>(source, dtype).await? {
        Some(part) => {
            let part = source.for_part(&part, source.progress);
            part.config_file(T::CONFIG, dtype).await
        }
        None => source.config_file(T::CONFIG, dtype).await,
    }
}

/// The name of the part of the model that the source asks for by [`layers`](Source::layers); `None` for the whole model, also where
/// that has just as many layers.
///
/// *Errors*: `InvalidInput` for no layers or more than the model has, and those of reading the config file.
async fn part<T: Layered>(source: &Source<'_>, dtype: Dtype) -> Result<Option<String>> {
    let Some(layers) = source.layers else {
        return Ok(None);
    };
    let part = format!("layers{layers}");
    // Without a store nothing is kept under a name, so that all layers may be loaded as a part too.
    if let Some(cache) = &source.cache
        && StoredModel::open(cache.store, &cache.key.part(&part))
            .await?
            .is_none()
    {
        match source.config_file(T::CONFIG, dtype).await {
            Ok(config) if !T::cut(&config, layers)? => return Ok(None),
            // A static embedding has no config, and no layers to choose, which the load then reports.
            Err(error) if error.status() != Some(404) => return Err(error),
            _ => {}
        }
    }
    Ok(Some(part))
}
