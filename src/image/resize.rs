//! Bilinear and bicubic resizing with antialiasing, which gives the same values as Pillow on 8 bits.
//!
//! *Source*: Pillow, `src/libImaging/Resample.c`: one pass along rows and one along columns, each in fixed point with 22 fractional bits,
//! rounded to 8 bits between them. Models were trained on images that Pillow resized; a resize that differs slightly changes their
//! vectors.

use std::ops::Range;

use pilotlight_kernels::image::{FRACTION, Taps, resample_column, resample_row};

use super::Rgb;

/// The filter by which neighbouring pixels are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resampling {
    Bilinear,
    Bicubic,
}

impl Resampling {
    /// The filter of Pillow's number.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Bilinear),
            3 => Some(Self::Bicubic),
            _ => None,
        }
    }

    /// The radius in pixels, if the image is not made smaller.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    /// The weight of a pixel at a distance.
    fn weight(self, x: f64) -> f64 {
        match self {
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Bicubic => bicubic(x),
        }
    }
}

/// Resizes an image to `width` by `height` pixels, of which only those in `columns` and `rows` are computed.
pub(super) fn resize(
    image: &Rgb,
    resampling: Resampling,
    [width, height]: [usize; 2],
    columns: Range<usize>,
    rows: Range<usize>,
) -> Rgb {
    let columns = Filter::new(resampling, image.width, width, columns);
    let rows = Filter::new(resampling, image.height, height, rows);
    // Rows that no output needs are skipped.
    let needed = rows.first()..rows.end();
    let mut between = Rgb::black(columns.outputs.len(), needed.len());
    for (y, to) in needed.clone().zip(between.rows_mut()) {
        resample_row(image.row(y), &columns.outputs, to.as_chunks_mut().0);
    }
    let mut resized = Rgb::black(columns.outputs.len(), rows.outputs.len());
    let mut sums = Vec::new();
    for (output, to) in rows.outputs.iter().zip(resized.rows_mut()) {
        let first = (output.first - needed.start) * to.len();
        resample_column(&between.data[first..], &output.weights, &mut sums, to);
    }
    resized
}

/// The weighted input pixels of each output pixel along one direction.
struct Filter {
    outputs: Vec<Taps>,
}

impl Filter {
    /// The filter for `outputs`, a range of the `to` output pixels.
    fn new(resampling: Resampling, from: usize, to: usize, outputs: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        // If the image is made smaller, the filter is widened in proportion.
        let stretch = scale.max(1.0);
        let support = resampling.support() * stretch;
        let output = |index: usize| {
            let centre = (index as f64 + 0.5) * scale;
            let first = ((centre - support + 0.5) as usize).min(from);
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights =
                (first..end).map(|x| resampling.weight((x as f64 - centre + 0.5) / stretch));
            let weights: Vec<f64> = weights.collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let weight = weight / sum * f64::from(1u32 << FRACTION);
                (weight + 0.5f64.copysign(weight)) as i32
            };
            Taps {
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
