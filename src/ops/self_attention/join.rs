//! Layers of the same input as one layer of all their outputs.

use burn::tensor::{Device, Int, Tensor};

use crate::ops::{Linear, LinearWeight, PANEL, float_on, integer_on};

impl Linear {
    /// The layer on a device.
    pub(super) fn on(self, device: &Device) -> Self {
        let weight = match self.weight {
            LinearWeight::F32(weight) => LinearWeight::F32(float_on(weight, device)),
            LinearWeight::F16(weight) => LinearWeight::F16(integer_on(weight, device)),
            LinearWeight::Q8 {
                packed,
                sums,
                scale,
                smooth,
            } => LinearWeight::Q8 {
                packed: integer_on(packed, device),
                sums: float_on(sums, device),
                scale: float_on(scale, device),
                smooth: float_on(smooth, device),
            },
            LinearWeight::Q4 {
                packed,
                scale,
                offset,
            } => LinearWeight::Q4 {
                packed: integer_on(packed, device),
                scale: integer_on(scale, device),
                offset: offset.map(|offset| integer_on(offset, device)),
            },
        };
        let bias = float_on(self.bias, device);
        Self { weight, bias }
    }
}

/// Joins layers whose outputs fill panels to one of all outputs; `None` for layers of different kinds or sizes.
pub(super) fn join(layers: &[Linear; 3]) -> Option<Linear> {
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
            LinearWeight::F16(query),
            LinearWeight::F16(key),
            LinearWeight::F16(value),
        ] => LinearWeight::F16(cat_int([query, key, value])),
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
        LinearWeight::F32(_) | LinearWeight::F16(_) => None,
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
