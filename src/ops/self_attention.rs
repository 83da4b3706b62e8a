//! Self-attention with its projections: queries, keys and values of the same input.

use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor};

use super::attention::attention;
use super::{Activation, HotOps, Linear, LinearWeight, PANEL, Spans};

/// The layers that compute queries, keys and values, of the same numbers of inputs and outputs.
#[derive(Clone, Debug)]
pub struct QueryKeyValue(Parts);

/// On a GPU the layers are one, where their outputs fill panels: each dispatch costs as much as the work of many rows. The CPU
/// kernels would gain nothing, and attention would have to take their results apart.
#[derive(Clone, Debug)]
enum Parts {
    Apart([Linear; 3]),
    Joined(Linear),
}

impl QueryKeyValue {
    /// Makes the layers of queries, keys and values, which are on the same device.
    pub fn new(layers: [Linear; 3]) -> Self {
        let device = layers[0].bias.device();
        let joined = (device != Device::flex()).then(|| join(&layers)).flatten();
        Self(joined.map_or(Parts::Apart(layers), Parts::Joined))
    }

    /// Computes the attention of the rows of each sequence to each other. *Shapes*: `x: [t, d]`, result `[t, n]`.
    pub fn attention(&self, x: Tensor<2>, spans: &Spans, heads: usize) -> Tensor<2> {
        match &self.0 {
            Parts::Apart(layers) => {
                let [query, key, value] = layers
                    .each_ref()
                    .map(|layer| layer.forward(x.clone(), Activation::Identity));
                attention(query, key, value, spans, heads)
            }
            Parts::Joined(layer) => {
                let all = layer.forward(x, Activation::Identity).into_dispatch();
                Tensor::from_dispatch(Dispatch::joined_attention(all, spans.clone(), heads))
            }
        }
    }
}

/// Joins layers of the same kind, whose outputs fill panels, to one of all outputs.
fn join(layers: &[Linear; 3]) -> Option<Linear> {
    let [n] = layers[0].bias.dims();
    let fits = |layer: &Linear| layer.bias.dims() == [n] && n.is_multiple_of(PANEL);
    if !layers.iter().all(fits) {
        return None;
    }
    let weights = layers.each_ref().map(|layer| &layer.weight);
    let weight = match weights {
        [
            LinearWeight::F32(query),
            LinearWeight::F32(key),
            LinearWeight::F32(value),
        ] => LinearWeight::F32(cat([query, key, value])),
        [
            LinearWeight::Q8 { .. },
            LinearWeight::Q8 { .. },
            LinearWeight::Q8 { .. },
        ] => LinearWeight::Q8 {
            packed: cat_int(of(weights, packed)?),
            sums: cat(of(weights, |weight| match weight {
                LinearWeight::Q8 { sums, .. } => Some(sums),
                _ => None,
            })?),
            scale: cat(of(weights, |weight| match weight {
                LinearWeight::Q8 { scale, .. } => Some(scale),
                _ => None,
            })?),
            smooth: cat(of(weights, |weight| match weight {
                LinearWeight::Q8 { smooth, .. } => Some(smooth),
                _ => None,
            })?),
        },
        [
            LinearWeight::Q4 { .. },
            LinearWeight::Q4 { .. },
            LinearWeight::Q4 { .. },
        ] => {
            let offsets = weights.map(|weight| match weight {
                LinearWeight::Q4 { offset, .. } => offset.as_ref(),
                _ => None,
            });
            LinearWeight::Q4 {
                packed: cat_int(of(weights, packed)?),
                scale: cat_int(of(weights, |weight| match weight {
                    LinearWeight::Q4 { scale, .. } => Some(scale),
                    _ => None,
                })?),
                offset: match offsets {
                    [Some(query), Some(key), Some(value)] => Some(cat_int([query, key, value])),
                    [None, None, None] => None,
                    _ => return None,
                },
            }
        }
        _ => return None,
    };
    let bias = cat(layers.each_ref().map(|layer| &layer.bias));
    Some(Linear { weight, bias })
}

fn packed(weight: &LinearWeight) -> Option<&Tensor<3, Int>> {
    match weight {
        LinearWeight::Q8 { packed, .. } | LinearWeight::Q4 { packed, .. } => Some(packed),
        LinearWeight::F32(_) => None,
    }
}

/// A tensor of each of the layers.
fn of<'a, T>(
    weights: [&'a LinearWeight; 3],
    tensor: impl Fn(&'a LinearWeight) -> Option<&'a T>,
) -> Option<[&'a T; 3]> {
    let [query, key, value] = weights.map(tensor);
    Some([query?, key?, value?])
}

fn cat<const D: usize>(tensors: [&Tensor<D>; 3]) -> Tensor<D> {
    Tensor::cat(tensors.map(Clone::clone).into(), 0)
}

fn cat_int<const D: usize>(tensors: [&Tensor<D, Int>; 3]) -> Tensor<D, Int> {
    Tensor::cat(tensors.map(Clone::clone).into(), 0)
}
