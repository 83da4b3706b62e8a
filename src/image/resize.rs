//! Bicubic resizing with antialiasing, value for value as Pillow does it on 8 bits.
//!
//! *Source*: Pillow, `src/libImaging/Resample.c`: one pass along rows, one along columns, each in fixed point with 22 bits behind
//! the point, rounded to 8 bits between them. Models were trained on pictures that went through this; a resize that is only about
//! the same moves their vectors.

use std::ops::Range;

use super::Rgb;

/// Bits behind the point of a weight: 32, less 8 of a pixel and 2 for sums over 1.
const FRACTION: u32 = 32 - 8 - 2;
/// Pixels to each side that a bicubic filter looks at, where nothing is made smaller.
const SUPPORT: f64 = 2.0;

/// A part of the picture in another size, `width` by `height` in whole: only what is in `columns` and `rows` is computed.
pub(super) fn resize(
    picture: &Rgb,
    [width, height]: [usize; 2],
    columns: Range<usize>,
    rows: Range<usize>,
) -> Rgb {
    let columns = Filter::new(picture.width, width, columns);
    let rows = Filter::new(picture.height, height, rows);
    // Rows that no output needs are not looked at.
    let needed = rows.first()..rows.end();
    let mut between = Rgb::black(columns.outputs.len(), needed.len());
    for (y, to) in needed.clone().zip(between.rows_mut()) {
        let from = picture.row(y);
        for (weights, to) in columns.outputs.iter().zip(to.as_chunks_mut::<3>().0) {
            *to = weights.sum(|x| from[x]);
        }
    }
    let mut resized = Rgb::black(columns.outputs.len(), rows.outputs.len());
    for (weights, to) in rows.outputs.iter().zip(resized.rows_mut()) {
        for (x, to) in to.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *to = weights.sum(|y| between.row(y - needed.start)[x]);
        }
    }
    resized
}

/// What each output pixel along one direction is made of.
struct Filter {
    outputs: Vec<Weights>,
}

/// Fixed-point weights of neighbouring pixels.
struct Weights {
    first: usize,
    weights: Vec<i32>,
}

impl Filter {
    /// For some of the `to` outputs.
    fn new(from: usize, to: usize, outputs: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        // Where a picture is made smaller, the filter grows with it.
        let stretch = scale.max(1.0);
        let support = SUPPORT * stretch;
        let output = |index: usize| {
            let centre = (index as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5) as usize).min(from);
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights = (first..end).map(|x| bicubic((x as f64 - centre + 0.5) / stretch));
            let weights: Vec<f64> = weights.collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let weight = weight / sum * f64::from(1u32 << FRACTION);
                (weight + 0.5f64.copysign(weight)) as i32
            };
            Weights {
                first,
                weights: weights.iter().map(fixed).collect(),
            }
        };
        Self {
            outputs: outputs.map(output).collect(),
        }
    }

    fn first(&self) -> usize {
        self.outputs.first().map_or(0, |output| output.first)
    }

    fn end(&self) -> usize {
        let last = self.outputs.last();
        last.map_or(0, |output| output.first + output.weights.len())
    }
}

impl Weights {
    fn sum(&self, pixel: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
        let mut sums = [1i32 << (FRACTION - 1); 3];
        for (i, weight) in self.weights.iter().enumerate() {
            for (sum, value) in sums.iter_mut().zip(pixel(self.first + i)) {
                *sum += i32::from(value) * weight;
            }
        }
        sums.map(|sum| (sum >> FRACTION).clamp(0, 255) as u8)
    }
}

/// Keys' cubic with a = -0.5. *Source*: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
