//! Operations on images of 8 bits: resampling in fixed point, compositing on white, and normalizing.

/// Fractional bits of a resampling weight: 32, less 8 for a pixel and 2 for sums above 1.
pub const FRACTION: u32 = 32 - 8 - 2;

/// The neighbouring input pixels of an output pixel, with their weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// The index of the first neighbour.
    pub first: usize,
    /// A weight for each neighbour, with [`FRACTION`] fractional bits.
    pub weights: Vec<i32>,
}

/// Resamples a row: each output is a weighted sum of its pixels.
pub fn resample_row(row: &[[u8; 3]], outputs: &[Taps], to: &mut [[u8; 3]]) {
    for (Taps { first, weights }, to) in outputs.iter().zip(to) {
        let mut sums = [HALF; 3];
        for (weight, pixel) in weights.iter().zip(&row[*first..]) {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*value) * weight;
            }
        }
        *to = sums.map(rounded);
    }
}

/// Resamples along columns: a row of the result is the weighted sum of consecutive rows of `to.len()` values each.
pub fn resample_column(rows: &[u8], weights: &[i32], sums: &mut Vec<i32>, to: &mut [u8]) {
    sums.clear();
    sums.resize(to.len(), HALF);
    for (weight, row) in weights.iter().zip(rows.chunks_exact(to.len())) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += i32::from(*value) * weight;
        }
    }
    for (to, sum) in to.iter_mut().zip(sums) {
        *to = rounded(*sum);
    }
}

const HALF: i32 = 1 << (FRACTION - 1);

fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

/// Composites pixels with alpha on white.
pub fn on_white(pixels: &[[u8; 4]], to: &mut [[u8; 3]]) {
    for (&[red, green, blue, alpha], to) in pixels.iter().zip(to) {
        let alpha = u32::from(alpha);
        let blend = |colour: u8| (u32::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255;
        *to = [red, green, blue].map(|colour| blend(colour) as u8);
    }
}

/// Maps one colour of each pixel by the table.
pub fn look_up(pixels: &[[u8; 3]], colour: usize, table: &[f32; 256], to: &mut [f32]) {
    for (pixel, to) in pixels.iter().zip(to) {
        *to = table[usize::from(pixel[colour])];
    }
}
