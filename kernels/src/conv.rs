//! 2-D convolution with channels last: a matrix product whose rows are windows of the padded image, which are read in place.

use super::matmul_f32::{of_panel, store};
use super::simd::{F32x4, kernel, mul_add};
use crate::layout::PANEL;

/// Pixels in one register tile, as many as the rows in a tile of the matrix product.
const PIXELS: usize = super::matmul_f32::ROWS;

/// The window of a convolution, which is square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The number of rows and of columns of the window.
    pub size: usize,
    /// The distance from one window to the next in pixels.
    pub stride: usize,
    /// The number of zeros at each edge of the image.
    pub padding: usize,
}

impl Window {
    /// The length of an edge of the result, where the input has `length` pixels.
    pub fn outputs(&self, length: usize) -> usize {
        (length + 2 * self.padding + self.stride).saturating_sub(self.size) / self.stride
    }
}

/// Computes the convolution `y = x ∗ weight + bias`.
///
/// *Shapes*: `x: [b, h, w, c]` with the sizes of `dims`, `weight: [⌈n / 8⌉, size · size · c, 8]` with inputs by row, column and channel,
/// `bias: [n]`, `y: [b, h', w', n]`.
pub fn conv2d(
    x: &[f32],
    dims: [usize; 4],
    weight: &[f32],
    bias: &[f32],
    window: Window,
    y: &mut [f32],
) {
    let [b, h, w, c] = dims;
    let (wide, high) = (w + 2 * window.padding, h + 2 * window.padding);
    let padded;
    let x = if window.padding == 0 {
        x
    } else {
        padded = pad(x, dims, window.padding);
        &padded
    };
    // The offset at which the window of each output begins.
    let mut starts = Vec::with_capacity(y.len() / bias.len().max(1));
    for image in 0..b {
        for row in 0..window.outputs(h) {
            let first = (image * high + row * window.stride) * wide;
            let columns = 0..window.outputs(w);
            starts.extend(columns.map(|column| (first + column * window.stride) * c));
        }
    }
    let windows = Windows {
        x,
        rows: window.size,
        row: window.size * c,
        stride: wide * c,
    };
    product(windows, &starts, weight, bias, y);
}

fn pad(x: &[f32], [b, h, w, c]: [usize; 4], padding: usize) -> Vec<f32> {
    let (wide, high) = ((w + 2 * padding) * c, h + 2 * padding);
    let mut padded = vec![0.0; b * high * wide];
    for (index, row) in x.chunks_exact((w * c).max(1)).enumerate() {
        let (image, row_of) = (index / h, index % h);
        let at = (image * high + row_of + padding) * wide + padding * c;
        padded[at..at + w * c].copy_from_slice(row);
    }
    padded
}

/// The position of a window in the padded image: rows of `row` values each, `stride` values apart.
#[derive(Clone, Copy)]
struct Windows<'a> {
    x: &'a [f32],
    rows: usize,
    row: usize,
    stride: usize,
}

kernel! {
    fn product(
        windows: Windows,
        starts: &[usize],
        weight: &[f32],
        bias: &[f32],
        y: &mut [f32],
    ) {
        let n = bias.len();
        let panels = weight.chunks_exact(windows.rows * windows.row * PANEL);
        for (panel, weight) in panels.enumerate() {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            let bias = of_panel(&bias[columns.clone()]);
            let weight = weight.as_chunks::<4>().0.as_chunks::<2>().0;
            let mut first = 0;
            for starts in starts.chunks(PIXELS) {
                let mut take = |pixel: usize, sums: [F32x4; 2]| {
                    let at = (first + pixel) * n + columns.start;
                    let sums = [0, 1].map(|half| sums[half].add(bias[half]));
                    store(sums, &mut y[at..][..columns.len()]);
                };
                match starts.len() {
                    6 => tile::<6>(windows, starts, weight, &mut take),
                    5 => tile::<5>(windows, starts, weight, &mut take),
                    4 => tile::<4>(windows, starts, weight, &mut take),
                    3 => tile::<3>(windows, starts, weight, &mut take),
                    2 => tile::<2>(windows, starts, weight, &mut take),
                    _ => tile::<1>(windows, starts, weight, &mut take),
                }
                first += starts.len();
            }
        }
    }

    /// Computes some pixels of one panel of outputs. Each is summed in the same order, so that it does not depend on the other pixels.
    fn tile<const M: usize>(
        windows: Windows,
        starts: &[usize],
        weight: &[[[f32; 4]; 2]],
        take: &mut impl FnMut(usize, [F32x4; 2]),
    ) {
        let mut sums = [[F32x4::splat(0.0); 2]; M];
        for (row, weight) in weight.chunks_exact(windows.row).enumerate() {
            let x: [&[f32]; M] =
                std::array::from_fn(|pixel| &windows.x[starts[pixel] + row * windows.stride..][..windows.row]);
            for (i, w) in weight.iter().enumerate().take(windows.row) {
                let w = [F32x4::load(&w[0]), F32x4::load(&w[1])];
                for pixel in 0..M {
                    let x = F32x4::splat(x[pixel][i]);
                    sums[pixel][0] = mul_add(x, w[0], sums[pixel][0]);
                    sums[pixel][1] = mul_add(x, w[1], sums[pixel][1]);
                }
            }
        }
        for (pixel, sums) in sums.into_iter().enumerate() {
            take(pixel, sums);
        }
    }
}
