//! Group norm with channels last, with gain and offset for each image, followed by an activation.

use super::math::activate;
use super::simd::{F32x4, kernel, mul_add};
use crate::activation::Activation;

/// Vectors to which the activation is applied together.
const BLOCK: usize = 8;

/// Computes `y = activation(norm(x) * gain + offset)`, the norm being over the pixels and channels of each group.
///
/// *Shapes*: `x`, `y: [b, pixels, c]`, `gain`, `offset: [b, c]`, or `[1, c]` for the same in all images; `groups` divides `c`.
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
    let images = x
        .chunks_exact((pixels * c).max(1))
        .zip(y.chunks_exact_mut((pixels * c).max(1)));
    let rows = gain.len() / c.max(1);
    for (image, (x, y)) in images.enumerate() {
        let row = image.min(rows - 1) * c..(image.min(rows - 1) + 1) * c;
        let (gain, offset) = (&gain[row.clone()], &offset[row]);
        let count = (pixels * c / groups) as f32;
        let mean = of_groups(&channel_sums(x, &vec![0.0; c], false), groups, count);
        // The variance takes a second pass over the centred values: a plain sum of squares loses digits if the mean is large.
        let variance = of_groups(&channel_sums(x, &mean, true), groups, count);
        let factor: Vec<f32> = (variance.iter().zip(gain))
            .map(|(variance, gain)| gain / (variance + epsilon).sqrt())
            .collect();
        scale(x, &mean, &factor, offset, activation, y);
    }
}

/// Computes the mean of each group from the sums of its channels, and returns it for each channel.
fn of_groups(sums: &[f32], groups: usize, count: f32) -> Vec<f32> {
    let width = sums.len() / groups;
    let means = sums.chunks_exact(width.max(1)).flat_map(|group| {
        let mean = group.iter().sum::<f32>() / count;
        std::iter::repeat_n(mean, width)
    });
    means.collect()
}

kernel! {
    /// Sums the values of each channel minus `centre`, or their squares, over the pixels.
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
        let [(mean, mean_rest), (factor, factor_rest), (offset, offset_rest)] =
            [mean, factor, offset].map(|values| values.as_chunks::<4>());
        for (x, y) in x.chunks_exact(c).zip(y.chunks_exact_mut(c)) {
            let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<4>(), y.as_chunks_mut::<4>());
            let blocks = x.chunks(BLOCK).zip(y.chunks_mut(BLOCK));
            let channels = mean.chunks(BLOCK).zip(factor.chunks(BLOCK)).zip(offset.chunks(BLOCK));
            for ((x, y), ((mean, factor), offset)) in blocks.zip(channels) {
                let mut block = [F32x4::splat(0.0); BLOCK];
                let whole = x.iter().zip(mean).zip(factor).zip(offset);
                for ((((x, mean), factor), offset), value) in whole.zip(&mut block) {
                    *value = scaled(F32x4::load(x), F32x4::load(mean), F32x4::load(factor), F32x4::load(offset));
                }
                activate(&mut block[..y.len()], activation);
                for (value, y) in block.iter().zip(y) {
                    value.store(y);
                }
            }
            if !x_rest.is_empty() {
                let [x, mean, factor, offset] = [x_rest, mean_rest, factor_rest, offset_rest].map(F32x4::load_partial);
                let mut rest = [scaled(x, mean, factor, offset)];
                activate(&mut rest, activation);
                rest[0].store_partial(y_rest);
            }
        }
    }

    fn scaled(x: F32x4, mean: F32x4, factor: F32x4, offset: F32x4) -> F32x4 {
        mul_add(x.sub(mean), factor, offset)
    }
}
