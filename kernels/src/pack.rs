//! Quantizing rows of weights and packing them for the kernels.

use half::f16;

use crate::blocks::{Format, groups_of_nibbles};
use crate::layout::{FOURS, MOST_OF_FOUR, PANEL, Q4_GROUP, padded_quads};

/// Whether all values are finite.
pub fn are_finite(values: &[f32]) -> bool {
    // One comparison at the end instead of a branch for each value.
    let all = |finite, value: &f32| finite & value.is_finite();
    values.iter().fold(true, all)
}

/// Divides each value by the factor of its input.
pub fn divide(row: &mut [f32], factors: &[f32]) {
    for (x, factor) in row.iter_mut().zip(factors) {
        *x /= factor;
    }
}

/// Packs the f32 weights of one output of a linear layer: `packed: [⌈n / 8⌉, k, 8]`, `row: [k]`.
pub fn pack_row_f32(packed: &mut [f32], k: usize, output: usize, row: &[f32]) {
    let (panel, lane) = (output / PANEL, output % PANEL);
    let panel = &mut packed[panel * k * PANEL..(panel + 1) * k * PANEL];
    for (slots, value) in panel.chunks_exact_mut(PANEL).zip(row) {
        slots[lane] = *value;
    }
}

/// Packs the weights of one output of a linear layer in f16: `packed: [⌈n / 8⌉, k, 4]` of two, `row: [k]`.
pub fn pack_row_f16(packed: &mut [i32], k: usize, output: usize, row: &[f32]) {
    let (panel, lane) = (output / PANEL, output % PANEL);
    let panel = &mut packed[panel * k * PANEL / 2..(panel + 1) * k * PANEL / 2];
    for (slots, value) in panel.chunks_exact_mut(PANEL / 2).zip(row) {
        set_half(&mut slots[lane / 2], lane, f16::from_f32(*value));
    }
}

/// Packs a row of a table in f16: `packed: [⌈d / 2⌉]` of two, `row: [d]`.
pub fn pack_embedding_row_f16(packed: &mut [i32], row: &[f32]) {
    for (slot, values) in packed.iter_mut().zip(row.chunks(2)) {
        for (half, value) in values.iter().enumerate() {
            set_half(slot, half, f16::from_f32(*value));
        }
    }
}

/// Packs the int8 weights of one output of a linear layer: `packed: [⌈n / 8⌉, quads, 8]` of four bytes, `row: [k]`.
pub fn pack_row_q8(packed: &mut [i32], k: usize, output: usize, row: &[i8]) {
    let quads = padded_quads(k);
    let (panel, lane) = (output / PANEL, output % PANEL);
    let panel = &mut packed[panel * quads * PANEL..(panel + 1) * quads * PANEL];
    for (slots, values) in panel.chunks_exact_mut(PANEL).zip(row.chunks(4)) {
        slots[lane] = quad(values);
    }
}

/// Quantizes the weights of one output to int4 in groups of 32, and packs them.
///
/// *Shapes*: `packed: [⌈n / 8⌉, 4 groups, 8]` of eight int4, `scale: [⌈n / 8⌉, groups, 4]` of two f16, `row: [k]`.
pub fn pack_row_q4(packed: &mut [i32], scale: &mut [i32], output: usize, row: &[f32]) {
    let groups = row.len().div_ceil(Q4_GROUP);
    for (index, x) in row.chunks(Q4_GROUP).enumerate() {
        let mut group = [0.0; Q4_GROUP];
        group[..x.len()].copy_from_slice(x);
        let (half, values) = quantize_q4(&group);
        pack_group(packed, groups, output, index, &values);
        pack_half(scale, groups, output, index, half);
    }
}

/// Packs the weights of one output from the blocks of a GGUF file, whose 4-bit numbers stay as they are. `offset` is empty for blocks
/// without a minimum.
///
/// *Shapes*: `packed`, `scale` as for [`pack_row_q4`], `offset` as `scale`, `row`: the blocks of `32 groups` weights.
pub fn pack_blocks_q4(
    packed: &mut [i32],
    scale: &mut [i32],
    offset: &mut [i32],
    output: usize,
    row: &[u8],
    format: Format,
) {
    let size = format.block();
    let groups = row.len() / size.bytes * size.values / Q4_GROUP;
    groups_of_nibbles(row, format, &mut |index, nibbles| {
        pack_group(packed, groups, output, index, &nibbles.values);
        pack_half(scale, groups, output, index, nibbles.scale);
        if !offset.is_empty() {
            pack_half(offset, groups, output, index, nibbles.offset);
        }
    });
}

/// Packs a group of int4 of one output, which has `groups` groups.
fn pack_group(
    packed: &mut [i32],
    groups: usize,
    output: usize,
    index: usize,
    values: &[i8; Q4_GROUP],
) {
    let (panel, lane) = (output / PANEL, output % PANEL);
    let octets = &mut packed[(panel * groups + index) * 4 * PANEL..][..4 * PANEL];
    for (octet, eight) in octets
        .chunks_exact_mut(PANEL)
        .zip(values.as_chunks::<8>().0)
    {
        // The first four inputs are in the low halves of the bytes, the others in the high halves.
        octet[lane] = i32::from_le_bytes([0, 1, 2, 3].map(|i| {
            let (low, high) = (eight[i].cast_unsigned(), eight[i + 4].cast_unsigned());
            low & 15 | high << 4
        }));
    }
}

/// Packs a number of a group of one output, of which two neighbouring outputs share an i32.
fn pack_half(halves: &mut [i32], groups: usize, output: usize, index: usize, half: f16) {
    let (panel, lane) = (output / PANEL, output % PANEL);
    let pair = &mut halves[(panel * groups + index) * PANEL / 2 + lane / 2];
    set_half(pair, lane, half);
}

/// Sets the half of an i32 of zeros that the lowest bit of `place` names.
fn set_half(pair: &mut i32, place: usize, half: f16) {
    *pair |= i32::from(half.to_bits()) << (16 * (place % 2));
}

/// Quantizes a group to integers from -8 to 7. Of a few scales, which put the largest magnitude at -8 or slightly beyond, the one with
/// the smallest error is taken.
fn quantize_q4(group: &[f32; Q4_GROUP]) -> (f16, [i8; Q4_GROUP]) {
    let largest = group.iter().fold(
        0.0f32,
        |most, x| if x.abs() > most.abs() { *x } else { most },
    );
    let mut best = (f16::ZERO, [0; Q4_GROUP], f32::INFINITY);
    for steps in [-8.0, -7.5, -8.5, -9.0] {
        let half = f16::from_f32(largest / steps);
        let scale = half.to_f32();
        let inverse = if scale == 0.0 || !scale.is_finite() {
            0.0
        } else {
            1.0 / scale
        };
        let values = group.map(|x| (x * inverse).round_ties_even().clamp(-8.0, 7.0));
        let error = group
            .iter()
            .zip(values)
            .map(|(x, q)| (x - q * scale).powi(2))
            .sum::<f32>();
        if error < best.2 {
            best = (half, values.map(|q| q as i8), error);
        }
    }
    (best.0, best.1)
}

/// Packs a row of an int8 embedding table: `packed: [⌈d / 4⌉]` of four bytes, `row: [d]`.
pub fn pack_embedding_row_q8(packed: &mut [i32], row: &[i8]) {
    for (slot, values) in packed.iter_mut().zip(row.chunks(4)) {
        *slot = quad(values);
    }
}

/// Packs up to four int8 in an i32, the first in the lowest byte.
fn quad(values: &[i8]) -> i32 {
    let mut bytes = [0; 4];
    for (byte, value) in bytes.iter_mut().zip(values) {
        *byte = value.cast_unsigned();
    }
    i32::from_le_bytes(bytes)
}

/// The scale by which the largest magnitude of a row becomes 127.
pub fn row_scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 127.0
}

/// Like [`row_scale`], but increased if weights would exceed [`MOST_OF_FOUR`]. In MiniLM that concerns an eighth of the outputs, most of
/// them by less than a tenth.
pub fn linear_scale(row: &[f32]) -> f32 {
    let mut most = 0.0f32;
    for eight in row.chunks(8) {
        for four in FOURS {
            let four = four.map(|i| eight.get(i).copied().unwrap_or(0.0));
            let positive: f32 = four.iter().map(|w| w.max(0.0)).sum();
            let negative: f32 = four.iter().map(|w| w.min(0.0)).sum();
            most = most.max(positive).max(-negative);
        }
    }
    // Rounding adds at most a half to each of four weights.
    row_scale(row).max(most / (MOST_OF_FOUR - 2) as f32)
}

/// Computes the smoothing factors for the inputs of a linear layer, which equalize the magnitudes of channels.
///
/// The magnitude of a channel is estimated from the gain and offset of the preceding norm (`gamma`, `beta`) and from the weights (`rows`,
/// as many rows of the layer as are available): trained weights are small where a channel is large. *Shapes*: `gamma`, `beta`: `[k]`,
/// `beta` empty for a norm without offsets, `rows: [_, k]`, result `[k]`.
pub fn smoothing(gamma: &[f32], beta: &[f32], rows: &[f32]) -> Vec<f32> {
    let k = gamma.len();
    let mut squares = vec![f32::MIN_POSITIVE; k];
    for row in rows.chunks_exact(k) {
        for (square, w) in squares.iter_mut().zip(row) {
            *square += w * w;
        }
    }
    let sizes: Vec<f32> = gamma
        .iter()
        .zip(beta.iter().copied().chain(std::iter::repeat(0.0)))
        .zip(squares)
        .map(|((gamma, beta), square)| ((gamma * gamma + beta * beta) / square).sqrt())
        .collect();
    let mut sorted = sizes.clone();
    sorted.sort_by(f32::total_cmp);
    let median = sorted[k / 2];
    // Factors are limited to a thousandfold, so that a channel whose weights are all zero does not become zero.
    sizes
        .iter()
        .map(|size| (median / size).clamp(1e-3, 1.0))
        .collect()
}

/// Quantizes a row symmetrically, so that `row ≈ scale · to`, and returns the scale.
pub fn quantize_row(row: &[f32], scale: f32, to: &mut [i8]) -> f32 {
    // A row of zeros, or of values so small that the scale underflows, becomes zeros.
    let inverse = if scale > f32::MIN_POSITIVE {
        1.0 / scale
    } else {
        0.0
    };
    for (to, x) in to.iter_mut().zip(row) {
        *to = (x * inverse).round_ties_even() as i8;
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::packed_q8_shape;

    #[test]
    fn quantizing_is_within_half_a_step_and_keeps_zeros() {
        let row = [0.0, 1.0, -2.54, 0.013, 2.0];
        let mut to = [0; 5];
        let scale = quantize_row(&row, row_scale(&row), &mut to);
        assert_eq!((scale, to[0], to[2]), (0.02, 0, -127));
        for (x, q) in row.iter().zip(to) {
            assert!((x - f32::from(q) * scale).abs() <= scale / 2.0 + 1e-7);
        }
        assert_eq!(quantize_row(&[0.0; 5], 0.0, &mut to), 0.0);
        assert_eq!(to, [0; 5]);
    }

    #[test]
    fn a_linear_rows_fours_stay_within_sixteen_bits() {
        for row in [
            vec![1.0; 13],
            vec![-1.0; 8],
            vec![0.5, 0.5, -1.0, 0.0, 0.5, 0.5],
        ] {
            let mut to = vec![0; row.len()];
            quantize_row(&row, linear_scale(&row), &mut to);
            for eight in to.chunks(8) {
                for four in FOURS {
                    let four = four.map(|i| i32::from(eight.get(i).copied().unwrap_or(0)));
                    let positive: i32 = four.iter().map(|w| w.max(&0)).sum();
                    let negative: i32 = four.iter().map(|w| w.min(&0)).sum();
                    assert!(
                        positive <= MOST_OF_FOUR && -negative <= MOST_OF_FOUR,
                        "{to:?}"
                    );
                }
            }
            // The scale is increased no further than needed.
            assert!(to.iter().any(|w| w.abs() >= 64 - 1), "{to:?}");
        }
    }

    #[test]
    fn int4_is_within_half_a_step_where_nothing_is_clipped() {
        let group: [f32; Q4_GROUP] = std::array::from_fn(|i| (i as f32 * 0.7).sin() * 0.1);
        let (scale, values) = quantize_q4(&group);
        let scale = scale.to_f32();
        for (x, q) in group.iter().zip(values) {
            let most = if q == 7 || q == -8 { 1.0 } else { 0.5 };
            assert!(
                (x - f32::from(q) * scale).abs() <= scale.abs() * most + 1e-6,
                "{x}: {q} * {scale}"
            );
        }
        assert_eq!(quantize_q4(&[0.0; Q4_GROUP]).1, [0; Q4_GROUP]);
        // A scale beyond the range of f16 must not become infinite.
        assert!(quantize_q4(&[1e9; Q4_GROUP]).0.to_f32().is_finite());
    }

    #[test]
    fn rows_land_in_their_lane_and_padding_stays_zero() {
        let [panels, quads, _] = packed_q8_shape(10, 5);
        let mut packed = vec![0; panels * quads * PANEL];
        pack_row_q8(&mut packed, 5, 9, &[1, -2, 3, -4, 5]);
        assert_eq!(
            packed[quads * PANEL + 1].to_le_bytes().map(u8::cast_signed),
            [1, -2, 3, -4]
        );
        assert_eq!(
            packed[(quads + 1) * PANEL + 1]
                .to_le_bytes()
                .map(u8::cast_signed),
            [5, 0, 0, 0]
        );
        assert_eq!(packed.iter().filter(|quad| **quad != 0).count(), 2);
    }
}
