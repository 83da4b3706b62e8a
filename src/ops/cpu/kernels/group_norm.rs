//! Group norm with channels last, with the scale and shift that a condition asks for, and an activation.

use super::math::activate;
use super::simd::{F32x4, kernel, mul_add};
use crate::activation::Activation;

/// Vectors that are activated together.
const BLOCK: usize = 8;

/// `y = activation(norm(x) * gain + offset)`, the norm over the pixels and channels of each group.
///
/// *Shapes*: `x`, `y: [b, pixels, c]`, `gain`, `offset: [b, c]`, or `[1, c]` for the same in all; `groups` divides `c`.
pub fn group_norm(
    x: &[f32],
    [pixels, c]: [usize; 2],
    groups: usize,
    gain: &[f32],
    offset: &[f32],
    epsilon: f32,
    activation: Activation,
    y: &mut [f32],
) {
    let pictures = x
        .chunks_exact((pixels * c).max(1))
        .zip(y.chunks_exact_mut((pixels * c).max(1)));
    let rows = gain.len() / c.max(1);
    for (picture, (x, y)) in pictures.enumerate() {
        let row = picture.min(rows - 1) * c..(picture.min(rows - 1) + 1) * c;
        let (gain, offset) = (&gain[row.clone()], &offset[row]);
        let count = (pixels * c / groups) as f32;
        let mean = of_groups(&channel_sums(x, &vec![0.0; c], false), groups, count);
        // In a second pass over the centred values: the sum of squares alone loses digits where the mean is large.
        let variance = of_groups(&channel_sums(x, &mean, true), groups, count);
        let factor: Vec<f32> = (variance.iter().zip(gain))
            .map(|(variance, gain)| gain / (variance + epsilon).sqrt())
            .collect();
        scale(x, &mean, &factor, offset, activation, y);
    }
}

/// The mean over each group, given sums over channels; one for each channel.
fn of_groups(sums: &[f32], groups: usize, count: f32) -> Vec<f32> {
    let width = sums.len() / groups;
    let means = sums.chunks_exact(width.max(1)).flat_map(|group| {
        let mean = group.iter().sum::<f32>() / count;
        std::iter::repeat_n(mean, width)
    });
    means.collect()
}

kernel! {
    /// Sums over pixels of each channel's values minus `centre`, or of their squares.
    fn channel_sums(x: &[f32], centre: &[f32], squares: bool) -> Vec<f32> {
        let mut sums = vec![0.0; centre.len()];
        for x in x.chunks_exact(centre.len()) {
            let ((x, x_rest), (centre, centre_rest)) = (x.as_chunks::<4>(), centre.as_chunks::<4>());
            let (sums, sums_rest) = sums.as_chunks_mut::<4>();
            for ((x, centre), sum) in x.iter().zip(centre).zip(sums) {
                let value = F32x4::load(x).sub(F32x4::load(centre));
                let before = F32x4::load(sum);
                if squares { mul_add(value, value, before) } else { before.add(value) }.store(sum);
            }
            for ((x, centre), sum) in x_rest.iter().zip(centre_rest).zip(sums_rest) {
                let value = x - centre;
                *sum += if squares { value * value } else { value };
            }
        }
        sums
    }

    fn scale(x: &[f32], mean: &[f32], factor: &[f32], offset: &[f32], activation: Activation, y: &mut [f32]) {
        let c = mean.len();
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            for first in (0..c).step_by(4 * BLOCK) {
                let part = first..c.min(first + 4 * BLOCK);
                let mut block = [F32x4::splat(0.0); BLOCK];
                let vectors = part.len().div_ceil(4);
                for (i, value) in block.iter_mut().enumerate().take(vectors) {
                    let from = first + 4 * i..c.min(first + 4 * i + 4);
                    let [x, mean, factor, offset] = [x, mean, factor, offset].map(|values| F32x4::load_partial(&values[from.clone()]));
                    *value = mul_add(x.sub(mean), factor, offset);
                }
                activate(&mut block[..vectors], activation);
                for (value, y) in block.iter().zip(y[part].chunks_mut(4)) {
                    value.store_partial(y);
                }
            }
        }
    }
}
