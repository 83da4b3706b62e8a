//! Hidden states of texts after any layer of an encoder or decoder.

use burn::tensor::Tensor;

use super::embeddings::{Embeddings, Precision, try_reserve};
use super::pooling::Pooling;
use crate::device::is_cpu;
use crate::error::{Error, Result};
use crate::ops::{Spans, pool, read};
use crate::scheduler::Scheduler;
use crate::text::{Tokens, batches};

/// The options of `hidden_states`.
#[derive(Clone, Copy, Debug)]
pub struct HiddenStatesOptions {
    /// The layer after which the states are taken; 0 is the input of the first layer, and `None` the last loaded layer.
    pub layer: Option<usize>,
    /// The pooling of the states of a text's tokens to one vector; with `None` each token keeps its own.
    pub pooling: Option<Pooling>,
}

impl Default for HiddenStatesOptions {
    fn default() -> Self {
        Self {
            layer: None,
            pooling: Some(Pooling::Mean),
        }
    }
}

/// Computes the hidden states of texts. `layers`: the number of loaded layers, `d`: the values of a state, `forward`: computes the states of
/// some sequences after some layers.
///
/// *Shapes*: a row of `d` values for each text, or without pooling for each token, special tokens included, one text after the other.
/// *Errors*: `InvalidInput` naming the option, `ResourceLimit`, and those of `forward`.
pub(super) async fn hidden_states(
    tokens: &[Tokens],
    options: &HiddenStatesOptions,
    [layers, d]: [usize; 2],
    forward: impl AsyncFn(&[&[u32]], usize) -> Result<(Tensor<2>, Spans)>,
    scheduler: &dyn Scheduler,
) -> Result<Embeddings> {
    let layer = options.layer.unwrap_or(layers);
    if layer > layers {
        return Err(Error::invalid_input(format!(
            "layer is {layer}, expected 0 to {layers}, the number of loaded layers"
        )));
    }
    let rows = match options.pooling {
        Some(_) => tokens.len(),
        None => tokens.iter().map(|tokens| tokens.ids.len()).sum(),
    };
    let mut states = try_reserve(rows, d)?;
    let mut keep = |hidden: &[f32]| states.extend_from_slice(hidden);
    let forward = async |sequences: &[&[u32]]| forward(sequences, layer).await;
    match options.pooling {
        Some(pooling) => {
            each_pooled(tokens, d, (&[pooling], 0), forward, &mut keep, scheduler).await?;
        }
        None => each_text(tokens, d, forward, &mut keep, scheduler).await?,
    }
    Ok(Embeddings::new(states, d, Precision::Float32, tokens))
}

/// Passes the pooled hidden states of each text to `take`, a vector of each mode after the other, in the order of the texts. The modes leave
/// out the first tokens, as many as `modes` says. A GPU pools them itself, so that only its results are read back.
pub(super) async fn each_pooled(
    tokens: &[Tokens],
    d: usize,
    (modes, skipped): (&[Pooling], usize),
    forward: impl AsyncFn(&[&[u32]]) -> Result<(Tensor<2>, Spans)>,
    take: &mut dyn FnMut(&[f32]),
    scheduler: &dyn Scheduler,
) -> Result<()> {
    let mut vector = vec![0.0; d * modes.len()];
    for batch in batches(tokens) {
        // Without a layer to compute, the encoder itself does not yield.
        scheduler.yield_now().await?;
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let (hidden, spans) = forward(&sequences).await?;
        if is_cpu(&hidden.device()) {
            let hidden = read(hidden).await?;
            for rows in spans.iter() {
                let hidden = &hidden[rows.start * d..rows.end * d];
                for (mode, to) in modes.iter().zip(vector.chunks_exact_mut(d)) {
                    mode.pool_after(skipped, hidden, to);
                }
                take(&vector);
            }
        } else {
            let pools = spans
                .iter()
                .flat_map(|rows| modes.iter().map(move |mode| mode.rows(skipped, &rows)));
            let pooled = read(pool(hidden, pools.collect())).await?;
            pooled.chunks_exact(vector.len()).for_each(&mut *take);
        }
    }
    Ok(())
}

/// Passes the hidden states of each text, `[t, d]`, to `take`, in the order of the texts.
pub(super) async fn each_text(
    tokens: &[Tokens],
    d: usize,
    forward: impl AsyncFn(&[&[u32]]) -> Result<(Tensor<2>, Spans)>,
    take: &mut dyn FnMut(&[f32]),
    scheduler: &dyn Scheduler,
) -> Result<()> {
    for batch in batches(tokens) {
        // Without a layer to compute, the encoder itself does not yield.
        scheduler.yield_now().await?;
        let sequences: Vec<&[u32]> = batch.iter().map(|tokens| tokens.ids.as_slice()).collect();
        let (hidden, spans) = forward(&sequences).await?;
        let hidden = read(hidden).await?;
        for rows in spans.iter() {
            take(&hidden[rows.start * d..rows.end * d]);
        }
    }
    Ok(())
}
