//! The contract between the loader and the models: what a model says of itself, so that `load` and `plan` can do the rest.

use burn::tensor::Device;

use super::{Loading, Source, load_newest_with, load_with};
use crate::error::Result;
use crate::weights::{Dtype, Needs, Parameter, Tensors};

/// A model that can be loaded from a repository. [`load`], [`load_newest`] and [`plan`](super::plan) are the only callers.
pub trait Pretrained: Sized {
    /// The small files that it reads, the largest last. The others say what the model is; the last one, of which something slow
    /// is made (a tokenizer), goes to [`prepare`](Self::prepare) while the weights arrive.
    const FILES: &'static [&'static str];

    /// What the small files say of the model.
    type Config;

    /// What is made of the last small file.
    type Prepared;

    /// What is made of the weights.
    type Network;

    /// Reads the small files but the last.
    async fn config(files: &mut Loading<'_, '_>) -> Result<Self::Config>;

    /// What an upstream checkpoint may put before the names of its tensors.
    fn prefixes(config: &Self::Config) -> &'static [&'static str];

    /// Makes what is needed beside the network, of the last small file; of nothing where there are no files.
    fn prepare(config: &Self::Config, file: &[u8]) -> Result<Self::Prepared>;

    /// Names each tensor once and builds the layers of them. It runs twice: see [`Tensors`].
    fn network(config: &Self::Config, tensors: &mut Tensors) -> Result<Self::Network>;

    /// Puts the parts together.
    fn assemble(
        config: Self::Config,
        prepared: Self::Prepared,
        network: Self::Network,
        device: &Device,
    ) -> Self;
}

/// A loaded model, and where it came from.
pub struct Loaded<T> {
    /// The model.
    pub model: T,
    /// The commit of its files, or what stands in for one.
    pub commit: String,
    /// Whether it came from the store.
    pub cached: bool,
}

/// The tensors that a model needs.
pub(super) fn declared<T: Pretrained>(config: &T::Config) -> Result<Vec<Parameter>> {
    let mut tensors = Tensors::declaring();
    T::network(config, &mut tensors)?;
    Ok(tensors.into_parameters())
}

/// Builds a model from the store where it is whole there, else from the host, and then keeps it.
///
/// *Errors*: `FetchFailed`, `Integrity`, `InvalidWeights`, `UnsupportedModel`, `ResourceLimit`, `QuotaExceeded`, `Aborted`. The
/// store then holds a partial download that can be resumed, or nothing; never a readable model.
pub async fn load<T: Pretrained>(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    load_with(source, async |loading| build(loading, dtype, device).await).await
}

/// Builds the model that the host has now. The store serves only where it is known to hold the same.
///
/// *Errors*: as [`load`], and `FetchFailed` where the host cannot be asked.
pub async fn load_newest<T: Pretrained>(
    source: &Source<'_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    load_newest_with(source, async |loading| build(loading, dtype, device).await).await
}

async fn build<T: Pretrained>(
    loading: &mut Loading<'_, '_>,
    dtype: Dtype,
    device: &Device,
) -> Result<Loaded<T>> {
    let weights = loading.resolve(dtype, T::FILES).await?;
    let config = T::config(loading).await?;
    let largest = match T::FILES.last() {
        Some(file) => loading.required(file).await?,
        None => Vec::new(),
    };
    // Stored weights arrive while the last small file is read, which takes as long.
    let weights = loading.open_weights(weights).await;
    if let Some(file) = T::FILES.last() {
        loading.prepare(file);
    }
    let prepared = T::prepare(&config, &largest)?;
    drop(largest);
    let needs = Needs {
        parameters: &declared::<T>(&config)?,
        prefixes: T::prefixes(&config),
        dtype,
    };
    let mut tensors = loading.weights(weights, &needs, device).await?;
    let network = T::network(&config, &mut tensors)?;
    Ok(Loaded {
        model: T::assemble(config, prepared, network, device),
        commit: loading.commit().into(),
        cached: loading.is_cached(),
    })
}
