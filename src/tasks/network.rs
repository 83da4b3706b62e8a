//! Loading networks that are their weights alone: they have no config and no tokenizer.

use burn::tensor::Device;

use super::load::{Source, load};
use crate::error::Result;
use crate::weights::{Dtype, Needs, Parameter, Tensors};

/// Loads the tensors, packed or as they were trained, and builds the network of them.
///
/// *Errors*: as `TextEmbedder::load`.
pub(super) async fn load_bundled<T>(
    source: &Source<'_>,
    parameters: &[Parameter],
    device: &Device,
    build: impl Fn(Tensors) -> Result<T>,
) -> Result<T> {
    let needs = Needs {
        parameters,
        prefixes: &[""],
        dtype: Dtype::Q8,
    };
    load(source, async |loading| {
        let file = loading.plan(needs.dtype, &[]).await?;
        let weights = loading.open_weights(file).await;
        build(loading.weights(weights, &needs, device).await?)
    })
    .await
}
