//! The network of the digit generator: a small U-Net that predicts the clean digit from a noisy one.
//!
//! It is the network `Generator` of `training/digits/models.py`, and its fields have the names of that module's. The sampler is
//! in `tasks/digit_generator.rs`.
//!
//! *Source*: rectified flow with prediction of the clean image (Liu, Gong & Liu, "Flow Straight and Fast", 2022; Li & He, "Back
//! to Basics: Let Denoising Generative Models Denoise", 2025); blocks and conditions as in Dhariwal & Nichol, "Diffusion Models
//! Beat GANs on Image Synthesis", 2021.

use burn::tensor::{Device, Tensor, activation};

use crate::error::Result;
use crate::ops::{
    Activation, Conv2d, GroupNorm, Linear, Window, floats, group_norm, read, upsample,
};
use crate::scheduler::Scheduler;
use crate::weights::{Dtype, Tensors};

/// Pixels along an edge of a digit.
pub const EDGE: usize = 28;
/// The number of rows of the class table: ten digits, and one row for no class.
pub const CLASSES: usize = 11;

/// The number of channels at 14x14; there are twice as many at 7x7.
const WIDTH: usize = 48;
/// The number of values of a condition.
const CONDITION: usize = 128;
/// The number of sines, and of cosines, in the encoding of the time.
const FREQUENCIES: usize = 32;
/// The highest rate of these sines.
const HIGHEST_RATE: f32 = 1000.0;
const GROUPS: usize = 8;
const EPSILON: f32 = 1e-5;

/// The network of the digit generator.
pub struct DigitUNet {
    /// `[condition, 2 · frequencies]`
    time1: Linear,
    /// `[condition, condition]`
    time2: Linear,
    /// `[classes, condition]`, row by row.
    classes: Vec<f32>,
    /// 28x28x1 → 14x14x48
    stem: Conv2d,
    down: Vec<Block>,
    /// 14x14x48 → 7x7x96
    shrink: Conv2d,
    middle: Vec<Block>,
    /// 7x7x96 → 7x7x48
    grow: Conv2d,
    up: Vec<Block>,
    norm: GroupNorm,
    /// 14x14x48 → 14x14x4: the channels are 2x2 pixels of the digit.
    head: Conv2d,
    device: Device,
}

/// A residual block of two convolutions, between which the condition scales and shifts.
struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    /// The layers that compute the second norm's gain and offset from the condition, `[c, condition]` each.
    gain: Linear,
    offset: Linear,
    conv2: Conv2d,
}

const SAME: Window = Window {
    size: 3,
    stride: 1,
    padding: 1,
};
const HALF: Window = Window { stride: 2, ..SAME };
const POINT: Window = Window {
    size: 1,
    stride: 1,
    padding: 0,
};

impl DigitUNet {
    /// Takes the network's tensors.
    pub fn new(tensors: &mut Tensors) -> Result<Self> {
        let mut blocks = |part: &str, count: usize, c: usize| {
            let block = |i| Block::new(&format!("{part}.{i}"), c, tensors);
            (0..count).map(block).collect::<Result<Vec<_>>>()
        };
        let (down, middle) = (blocks("down", 2, WIDTH)?, blocks("middle", 3, 2 * WIDTH)?);
        let up = blocks("up", 2, WIDTH)?;
        Ok(Self {
            time1: tensors.linear_of_rows("time1", [CONDITION, 2 * FREQUENCIES])?,
            time2: tensors.linear_of_rows("time2", [CONDITION, CONDITION])?,
            classes: tensors.rows("classes.weight", [CLASSES, CONDITION])?,
            stem: tensors.conv2d("stem", [WIDTH, 1], HALF)?,
            down,
            shrink: tensors.conv2d("shrink", [2 * WIDTH, WIDTH], HALF)?,
            middle,
            grow: tensors.conv2d("grow", [WIDTH, 2 * WIDTH], POINT)?,
            up,
            norm: tensors.group_norm("norm", WIDTH, GROUPS, EPSILON)?,
            head: tensors.conv2d("head", [4, WIDTH], SAME)?,
            device: tensors.device().clone(),
        })
    }

    /// Predicts the clean digits from noisy ones, at a time between 0, noise, and 1, clean.
    ///
    /// *Shapes*: `x`: 28 rows of 28 values from about -1 to 1 for each digit, `class_shares`: the share of each class in each;
    /// the result has the shape of `x`. *Errors*: `Aborted`.
    pub async fn predict_clean(
        &self,
        x: Vec<f32>,
        time: f32,
        class_shares: &[[f32; CLASSES]],
        scheduler: &dyn Scheduler,
    ) -> Result<Vec<f32>> {
        let b = class_shares.len();
        // The condition is the sum of the time's, [1, condition], and the classes', [b, condition].
        let time = floats(frequencies(time), [1, 2 * FREQUENCIES], &self.device);
        let time = self.time1.forward(time, Activation::Silu);
        let time = self.time2.forward(time, Activation::Identity);
        let classes = floats(self.embed(class_shares), [b, CONDITION], &self.device);
        let condition = activation::silu(time + classes);
        let mut h = self
            .stem
            .forward(floats(x, [b, EDGE, EDGE, 1], &self.device));
        for block in &self.down {
            scheduler.yield_now().await?;
            h = block.forward(h, &condition);
        }
        let skip = h.clone();
        h = self.shrink.forward(h);
        for block in &self.middle {
            scheduler.yield_now().await?;
            h = block.forward(h, &condition);
        }
        h = upsample(self.grow.forward(h), 2) + skip;
        for block in &self.up {
            scheduler.yield_now().await?;
            h = block.forward(h, &condition);
        }
        let h = self.head.forward(self.norm.forward(h, Activation::Silu));
        Ok(unfold(&read(h).await?))
    }

    /// Computes the class embeddings, `[b, condition]` row by row: sums of table rows, weighted by the shares.
    fn embed(&self, class_shares: &[[f32; CLASSES]]) -> Vec<f32> {
        let row = |shares: &[f32; CLASSES]| {
            let mut row = vec![0.0; CONDITION];
            for (share, class) in shares.iter().zip(self.classes.chunks_exact(CONDITION)) {
                for (sum, value) in row.iter_mut().zip(class) {
                    *sum += share * value;
                }
            }
            row
        };
        class_shares.iter().flat_map(row).collect()
    }
}

impl Block {
    fn new(name: &str, c: usize, tensors: &mut Tensors) -> Result<Self> {
        let norm2 = |part: &str| format!("{name}.norm2.{part}");
        let gamma = tensors.values(&norm2("weight"), &[c])?;
        let beta = tensors.values(&norm2("bias"), &[c])?;
        // The condition gives a scale s and a shift t: norm · γ (1 + s) + β (1 + s) + t. Gain and offset are linear in it, so the
        // norm's γ and β are folded into two linear layers.
        let matrix = tensors.rows(&format!("{name}.condition.weight"), [2 * c, CONDITION])?;
        let bias = tensors.values(&format!("{name}.condition.bias"), &[2 * c])?;
        let ((scales, shifts), (scale, shift)) = (matrix.split_at(c * CONDITION), bias.split_at(c));
        let (mut gain, mut offset) = (scales.to_vec(), shifts.to_vec());
        for (i, (gain, offset)) in gain.iter_mut().zip(&mut offset).enumerate() {
            let channel = i / CONDITION;
            *offset += beta[channel] * *gain;
            *gain *= gamma[channel];
        }
        let gain_bias: Vec<f32> = gamma
            .iter()
            .zip(scale)
            .map(|(g, s)| g * (1.0 + s))
            .collect();
        let offset_bias = beta.iter().zip(scale).zip(shift);
        let offset_bias: Vec<f32> = offset_bias.map(|((b, s), t)| b * (1.0 + s) + t).collect();
        Ok(Self {
            norm1: tensors.group_norm(&format!("{name}.norm1"), c, GROUPS, EPSILON)?,
            conv1: tensors.conv2d(&format!("{name}.conv1"), [c, c], SAME)?,
            gain: Linear::pack(&gain, &gain_bias, Dtype::F32, tensors.device())?,
            offset: Linear::pack(&offset, &offset_bias, Dtype::F32, tensors.device())?,
            conv2: tensors.conv2d(&format!("{name}.conv2"), [c, c], SAME)?,
        })
    }

    /// Applies the block.
    ///
    /// *Shapes*: `x: [b, h, w, c]`, `condition: [b, condition]`, result as `x`.
    fn forward(&self, x: Tensor<4>, condition: &Tensor<2>) -> Tensor<4> {
        let gain = self.gain.forward(condition.clone(), Activation::Identity);
        let offset = self.offset.forward(condition.clone(), Activation::Identity);
        let h = self.norm1.forward(x.clone(), Activation::Silu);
        let h = self.conv1.forward(h);
        let h = group_norm(h, gain, offset, GROUPS, EPSILON, Activation::Silu);
        self.conv2.forward(h) + x
    }
}

/// Rearranges four channels into two by two pixels: `[b, 14, 14, 4]` → `[b, 28, 28]`.
fn unfold(fours: &[f32]) -> Vec<f32> {
    let half = EDGE / 2;
    let mut pixels = vec![0.0; fours.len()];
    for (i, four) in fours.as_chunks::<4>().0.iter().enumerate() {
        // The rows of all digits are numbered through.
        let (row, column) = (i / half * 2, i % half * 2);
        for (part, value) in four.iter().enumerate() {
            pixels[(row + part / 2) * EDGE + column + part % 2] = *value;
        }
    }
    pixels
}

/// Encodes the time as sines, then cosines, at rates from 1 to 1000. *Source*: Vaswani et al., "Attention Is All You Need",
/// 2017, 3.5.
fn frequencies(time: f32) -> Vec<f32> {
    let angles = (0..FREQUENCIES).map(|i| {
        let rate = (HIGHEST_RATE.ln() / (FREQUENCIES - 1) as f32 * i as f32).exp();
        time * rate
    });
    let angles: Vec<f32> = angles.collect();
    let sines = angles.iter().map(|angle| angle.sin());
    sines
        .chain(angles.iter().map(|angle| angle.cos()))
        .collect()
}
