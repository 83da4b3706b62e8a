//! Times the kernels alone, in WebAssembly: linear layers and convolutions of any shape, and bare loops that are the upper bound of
//! their speed, such as one that only reads memory for a search.
//!
//! `benches/kernels.mjs`, `benches/digits.mjs` and `benches/search.mjs` build it, run it in Chromium and print tables,
//! `benches/bounds.mjs` in Node.

#![cfg(target_arch = "wasm32")]

use pilotlight::{Activation, Dtype, Linear, cpu};
use pilotlight_kernels::layout::packed_f32_shape;
use pilotlight_kernels::scan::{dots_f32, dots_q8};
use pilotlight_kernels::testing::Random;
use pilotlight_kernels::{Window, attention, conv2d};
use wasm_bindgen::prelude::wasm_bindgen;

/// Random values from -1 to 1, the same for the same seed.
fn values(count: usize, seed: u32) -> Vec<f32> {
    Random::new(seed).values(count)
}

/// A linear layer with its input.
#[wasm_bindgen]
pub struct LinearBench {
    layer: Linear,
    x: burn::tensor::Tensor<2>,
}

#[wasm_bindgen]
impl LinearBench {
    /// *Shapes*: input `[m, k]`, output `[m, n]`.
    pub fn of(dtype: &str, m: usize, k: usize, n: usize) -> Option<LinearBench> {
        let dtype = Dtype::from_name(dtype).ok()?;
        let layer = Linear::pack(&values(n * k, 1), &values(n, 2), dtype, &cpu()).ok()?;
        let data = burn::tensor::TensorData::new(values(m * k, 3), [m, k]);
        Some(Self {
            layer,
            x: burn::tensor::Tensor::from_data(data, &cpu()),
        })
    }

    /// Computes the output `repeats` times.
    pub fn run(&self, repeats: usize, gelu: bool) {
        let activation = if gelu {
            Activation::Gelu
        } else {
            Activation::Identity
        };
        for _ in 0..repeats {
            std::hint::black_box(self.layer.forward(self.x.clone(), activation));
        }
    }
}

/// A convolution of 3 by 3 pixels with its input.
#[wasm_bindgen]
pub struct ConvBench {
    x: Vec<f32>,
    dims: [usize; 4],
    weight: Vec<f32>,
    bias: Vec<f32>,
    y: Vec<f32>,
}

#[wasm_bindgen]
impl ConvBench {
    /// *Shapes*: input `[b, edge, edge, c]`, output `[b, edge, edge, n]`.
    pub fn of(b: usize, edge: usize, c: usize, n: usize) -> Self {
        Self {
            x: values(b * edge * edge * c, 1),
            dims: [b, edge, edge, c],
            weight: values(packed_f32_shape(n, 9 * c).iter().product(), 2),
            bias: values(n, 3),
            y: vec![0.0; b * edge * edge * n],
        }
    }

    /// Computes the output `repeats` times.
    pub fn run(&mut self, repeats: usize) {
        let window = Window {
            size: 3,
            stride: 1,
            padding: 1,
        };
        for _ in 0..repeats {
            let Self {
                x, weight, bias, ..
            } = self;
            conv2d(x, self.dims, weight, bias, window, &mut self.y);
            std::hint::black_box(&mut self.y);
        }
    }
}

/// Self-attention of one sequence.
#[wasm_bindgen]
pub struct AttentionBench {
    /// Queries, keys and values.
    x: [Vec<f32>; 3],
    y: Vec<f32>,
    width: usize,
    heads: usize,
}

#[wasm_bindgen]
impl AttentionBench {
    /// *Shapes*: inputs and output `[t, width]`.
    pub fn of(t: usize, width: usize, heads: usize) -> Self {
        Self {
            x: [1, 2, 3].map(|seed| values(t * width, seed)),
            y: vec![0.0; t * width],
            width,
            heads,
        }
    }

    /// Computes the output `repeats` times.
    pub fn run(&mut self, repeats: usize) {
        let rows = (self.y.len() / self.width) as u32;
        for _ in 0..repeats {
            let [query, key, value] = &self.x;
            attention(
                query,
                key,
                value,
                &mut self.y,
                self.width,
                self.heads,
                self.heads,
                &[0, rows],
                false,
                None,
                None,
            );
            std::hint::black_box(&mut self.y);
        }
    }
}

/// One query against rows of f32 or int8.
#[wasm_bindgen]
pub struct SearchBench {
    /// The rows of each type; empty for the type that is not measured.
    rows: (Vec<f32>, Vec<i8>),
    query: (Vec<f32>, Vec<i16>),
    factors: Vec<f32>,
    dots: Vec<f32>,
}

#[wasm_bindgen]
impl SearchBench {
    /// *Shapes*: rows `[n, d]` with `d` a multiple of 16.
    pub fn of(dtype: &str, n: usize, d: usize) -> Self {
        let rows = values(n * d, 1);
        let query = values(d, 2);
        let bytes = |x: &f32| (x * 127.0) as i8;
        Self {
            query: (
                query.clone(),
                query.iter().map(|x| (x * 1000.0) as i16).collect(),
            ),
            rows: if dtype == "f32" {
                (rows, Vec::new())
            } else {
                (Vec::new(), rows.iter().map(bytes).collect())
            },
            factors: vec![1.0; n],
            dots: vec![0.0; n],
        }
    }

    /// Computes the products `repeats` times.
    pub fn run(&mut self, repeats: usize) {
        for _ in 0..repeats {
            dots_f32(&self.rows.0, &self.query.0, &mut self.dots);
            dots_q8(&self.rows.1, &self.query.1, &self.factors, &mut self.dots);
            std::hint::black_box(&mut self.dots);
        }
    }
}

/// Reads bytes once and adds them up, which is the upper bound of the speed of a search.
#[wasm_bindgen]
pub struct BareRead {
    bytes: Vec<[i32; 32]>,
}

#[wasm_bindgen]
impl BareRead {
    /// Allocates `bytes` bytes, rounded down to a multiple of 128.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: usize) -> Self {
        let vectors = |i: usize| [i as i32; 32];
        Self {
            bytes: (0..bytes / 128).map(vectors).collect(),
        }
    }

    /// Reads all bytes.
    pub fn run(&self) -> i32 {
        let mut sums = [0; 32];
        for bytes in &self.bytes {
            for (sum, x) in sums.iter_mut().zip(bytes) {
                *sum = x.wrapping_add(*sum);
            }
        }
        sums.into_iter().fold(0, i32::wrapping_add)
    }
}

#[cfg(feature = "relaxed-simd")]
mod bare {
    use std::arch::wasm32::*;

    use wasm_bindgen::prelude::wasm_bindgen;

    const ROWS: usize = 3;

    /// Multiplies packed weights and activations in the layout of the kernels, without quantizing or scaling.
    #[wasm_bindgen]
    pub struct BareLoop {
        /// `[n / 8, k / 8, 16]`
        weights: Vec<[i32; 16]>,
        /// `[m / rows, k / 8, 2, rows]`
        activations: Vec<[[i32; ROWS]; 2]>,
        steps: usize,
        sums: Vec<[i32; 8 * ROWS]>,
    }

    #[wasm_bindgen]
    impl BareLoop {
        /// `m` is rounded down to whole tiles of three rows.
        #[wasm_bindgen(constructor)]
        pub fn new(m: usize, k: usize, n: usize) -> Self {
            let steps = k / 8;
            Self {
                weights: (0..n / 8 * steps)
                    .map(|i| [0x0102_fffe ^ (i as i32 & 0x0303_0303); 16])
                    .collect(),
                activations: (0..m / ROWS * steps)
                    .map(|i| [[i as i32 & 0x7f7f_7f7f; ROWS]; 2])
                    .collect(),
                steps,
                sums: vec![[0; 8 * ROWS]; m / ROWS],
            }
        }

        /// Adds each product in 32 bits.
        pub fn dot(&mut self, repeats: usize) {
            self.each(repeats, |w, a| dots(w, a));
        }

        /// Adds products in 16 bits first.
        pub fn pairs(&mut self, repeats: usize) {
            self.each(repeats, |w, a| pairs(w, a));
        }

        fn each(
            &mut self,
            repeats: usize,
            tile: impl Fn(&[[i32; 16]], &[[[i32; ROWS]; 2]]) -> [i32; 8 * ROWS],
        ) {
            for _ in 0..repeats {
                for weights in self.weights.chunks_exact(self.steps) {
                    for (activations, sums) in self
                        .activations
                        .chunks_exact(self.steps)
                        .zip(&mut self.sums)
                    {
                        *sums = tile(weights, activations);
                    }
                }
                std::hint::black_box(&mut self.sums);
            }
        }
    }

    /// Computes multiply-adds of vectors in registers only, with as many independent sums as the f32 kernels have.
    #[wasm_bindgen(js_name = bareMadd)]
    #[target_feature(enable = "relaxed-simd")]
    pub fn bare_madd(steps: usize) -> f32 {
        let (x, w) = (f32x4_splat(1.000_01), f32x4_splat(1e-6));
        let mut sums = [f32x4_splat(1.0); BARE_SUMS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = f32x4_relaxed_madd(*sum, x, w);
            }
        }
        sums.iter().map(|sum| f32x4_extract_lane::<0>(*sum)).sum()
    }

    /// The number of vectors of sums in [`bare_madd`].
    const BARE_SUMS: usize = 12;

    fn quarters(w: &[i32; 16]) -> [v128; 4] {
        [0, 4, 8, 12].map(|i| i32x4(w[i], w[i + 1], w[i + 2], w[i + 3]))
    }

    fn flatten(sums: [[v128; 2]; ROWS]) -> [i32; 8 * ROWS] {
        let mut flat = [0; 8 * ROWS];
        for (sum, to) in sums.as_flattened().iter().zip(flat.as_chunks_mut::<4>().0) {
            *to = [
                i32x4_extract_lane::<0>(*sum),
                i32x4_extract_lane::<1>(*sum),
                i32x4_extract_lane::<2>(*sum),
                i32x4_extract_lane::<3>(*sum),
            ];
        }
        flat
    }

    #[target_feature(enable = "relaxed-simd")]
    fn dots(weights: &[[i32; 16]], activations: &[[[i32; ROWS]; 2]]) -> [i32; 8 * ROWS] {
        let mut sums = [[i32x4_splat(0); 2]; ROWS];
        for (w, a) in weights.iter().zip(activations) {
            let w = quarters(w);
            for row in 0..ROWS {
                let [a, b] = [i32x4_splat(a[0][row]), i32x4_splat(a[1][row])];
                for half in 0..2 {
                    let sum = i32x4_relaxed_dot_i8x16_i7x16_add(w[half], a, sums[row][half]);
                    sums[row][half] = i32x4_relaxed_dot_i8x16_i7x16_add(w[2 + half], b, sum);
                }
            }
        }
        flatten(sums)
    }

    #[target_feature(enable = "relaxed-simd")]
    fn pairs(weights: &[[i32; 16]], activations: &[[[i32; ROWS]; 2]]) -> [i32; 8 * ROWS] {
        let mut sums = [[i32x4_splat(0); 2]; ROWS];
        for (w, a) in weights.iter().zip(activations) {
            let w = quarters(w);
            for row in 0..ROWS {
                let [a, b] = [i32x4_splat(a[0][row]), i32x4_splat(a[1][row])];
                for half in 0..2 {
                    let pair = i16x8_add(
                        i16x8_relaxed_dot_i8x16_i7x16(w[half], a),
                        i16x8_relaxed_dot_i8x16_i7x16(w[2 + half], b),
                    );
                    sums[row][half] =
                        i32x4_add(sums[row][half], i32x4_dot_i16x8(pair, i16x8_splat(1)));
                }
            }
        }
        flatten(sums)
    }
}
