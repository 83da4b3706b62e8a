//! Pictures of 8 bits: resampling in fixed point, laying on white, and normalizing.

/// Bits behind the point of a resampling weight: 32, less 8 of a pixel and 2 for sums over 1.
pub const FRACTION: u32 = 32 - 8 - 2;

/// Which neighbouring pixels make an output pixel, and how much of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taps {
    /// Of the neighbours, the first.
    pub first: usize,
    /// One for each neighbour, with [`FRACTION`] bits behind the point.
    pub weights: Vec<i32>,
}

/// Each output is a weighted sum of pixels of one row.
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

/// A row is the weighted sum of rows that lie one after the other, `to.len()` values each.
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

/// Pixels with transparency as they look on white paper.
pub fn on_white(pixels: &[[u8; 4]], to: &mut [[u8; 3]]) {
    for (&[red, green, blue, alpha], to) in pixels.iter().zip(to) {
        let alpha = u32::from(alpha);
        let blend = |colour: u8| (u32::from(colour) * alpha + 255 * (255 - alpha) + 127) / 255;
        *to = [red, green, blue].map(|colour| blend(colour) as u8);
    }
}

/// One value of each pixel, as the table has it.
pub fn look_up(pixels: &[[u8; 3]], colour: usize, table: &[f32; 256], to: &mut [f32]) {
    for (pixel, to) in pixels.iter().zip(to) {
        *to = table[usize::from(pixel[colour])];
    }
}
