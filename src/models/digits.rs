//! The digit generator: a small U-Net that sees the clean picture in a noisy one.
//!
//! The same network as `Generator` in `training/digits/models.py`, whose module names the fields bear. Its way of drawing is in
//! `tasks/generate.rs`.
//!
//! *Source*: rectified flow by predicting the picture (Liu, Gong & Liu, "Flow Straight and Fast", 2022; Li & He, "Back to
//! Basics: Let Denoising Generative Models Denoise", 2025); blocks and conditions as in Dhariwal & Nichol, "Diffusion Models
//! Beat GANs on Image Synthesis", 2021.

use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::ops::{Activation, Conv2d, GroupNorm, Linear, Window, floats, upsample};
use crate::pace::Pace;
use crate::weights::{Parameter, Role, Weights};

/// Pixels along an edge of a picture.
pub const EDGE: usize = 28;
/// Rows of the table of classes: ten digits, and one for no class.
pub const CLASSES: usize = 11;

/// Channels at 14x14; there are twice as many at 7x7.
const WIDTH: usize = 48;
/// Values of a condition.
const CONDITION: usize = 128;
/// Sines and cosines that tell the time, and the highest of their rates.
const FREQUENCIES: usize = 32;
const HIGHEST_RATE: f32 = 1000.0;
const GROUPS: usize = 8;
const EPSILON: f32 = 1e-5;

/// The network.
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
    /// 14x14x48 → 14x14x4, four pixels of the picture in each.
    head: Conv2d,
    device: Device,
}

/// Two convolutions beside the residual; the condition scales and shifts between them.
struct Block {
    norm1: GroupNorm,
    conv1: Conv2d,
    /// `[2 · c, condition]`: the scales, then the shifts.
    condition: Linear,
    norm2: GroupNorm,
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

/// The names of the blocks and their channels.
fn blocks() -> impl Iterator<Item = (String, usize)> {
    [
        ("down", 2, WIDTH),
        ("middle", 3, 2 * WIDTH),
        ("up", 2, WIDTH),
    ]
    .into_iter()
    .flat_map(|(part, count, c)| (0..count).map(move |i| (format!("{part}.{i}"), c)))
}

impl DigitUNet {
    /// Every tensor of the network. Weights of convolutions are `[n, rows, columns, c]` as rows of `n`.
    pub fn parameters() -> Vec<Parameter> {
        let mut parameters = Vec::new();
        let mut layer = |name: &str, n: usize, k: usize| {
            parameters.push(Parameter::new(
                format!("{name}.weight"),
                Role::Embedding,
                &[n, k],
            ));
            parameters.push(Parameter::new(format!("{name}.bias"), Role::Plain, &[n]));
        };
        layer("time1", CONDITION, 2 * FREQUENCIES);
        layer("time2", CONDITION, CONDITION);
        layer("stem", WIDTH, 9);
        layer("shrink", 2 * WIDTH, 9 * WIDTH);
        layer("grow", WIDTH, 2 * WIDTH);
        layer("head", 4, 9 * WIDTH);
        for (block, c) in blocks() {
            layer(&format!("{block}.conv1"), c, 9 * c);
            layer(&format!("{block}.condition"), 2 * c, CONDITION);
            layer(&format!("{block}.conv2"), c, 9 * c);
        }
        let table = Parameter::new("classes.weight", Role::Embedding, &[CLASSES, CONDITION]);
        parameters.push(table);
        let norms = blocks()
            .flat_map(|(block, c)| ["norm1", "norm2"].map(|norm| (format!("{block}.{norm}"), c)));
        for (name, c) in norms.chain([("norm".to_owned(), WIDTH)]) {
            for part in ["weight", "bias"] {
                let name = format!("{name}.{part}");
                parameters.push(Parameter::new(name, Role::Plain, &[c]));
            }
        }
        parameters
    }

    /// Takes the network's tensors out of `weights`.
    ///
    /// *Errors*: `Internal` where `weights` were loaded for other parameters.
    pub fn new(mut weights: Weights, device: Device) -> Result<Self> {
        let (mut down, mut middle, mut up) = (Vec::new(), Vec::new(), Vec::new());
        for (name, c) in blocks() {
            let block = Block::new(&name, c, &mut weights)?;
            match name.split('.').next() {
                Some("down") => down.push(block),
                Some("middle") => middle.push(block),
                _ => up.push(block),
            }
        }
        Ok(Self {
            time1: weights.linear_of_rows("time1", 2 * FREQUENCIES)?,
            time2: weights.linear_of_rows("time2", CONDITION)?,
            classes: weights.rows("classes.weight", CONDITION)?,
            stem: weights.conv2d("stem", 1, HALF)?,
            down,
            shrink: weights.conv2d("shrink", WIDTH, HALF)?,
            middle,
            grow: weights.conv2d("grow", 2 * WIDTH, POINT)?,
            up,
            norm: weights.group_norm("norm", GROUPS, EPSILON)?,
            head: weights.conv2d("head", WIDTH, SAME)?,
            device,
        })
    }

    /// The embeddings of mixed classes, one a picture: `[b, condition]`.
    pub fn classes(&self, mixes: &[[f32; CLASSES]]) -> Tensor<2> {
        let mut rows = Vec::with_capacity(mixes.len() * CONDITION);
        for mix in mixes {
            rows.extend((0..CONDITION).map(|i| -> f32 {
                let column = self.classes.iter().skip(i).step_by(CONDITION);
                mix.iter()
                    .zip(column)
                    .map(|(share, value)| share * value)
                    .sum()
            }));
        }
        floats(rows, [mixes.len(), CONDITION], &self.device)
    }

    /// The clean pictures that the network sees in noisy ones at a time between 0, noise, and 1, clean.
    ///
    /// *Shapes*: `x: [b, 28, 28, 1]` in -1 to 1, `classes: [b, condition]` by [`classes`](Self::classes), result as `x`.
    /// *Errors*: `Aborted`.
    pub async fn forward(
        &self,
        x: Tensor<4>,
        time: f32,
        classes: Tensor<2>,
        pace: &dyn Pace,
    ) -> Result<Tensor<4>> {
        let [b, ..] = x.dims();
        // The condition: the time's, [1, condition], and the classes'.
        let time = floats(frequencies(time), [1, 2 * FREQUENCIES], &self.device);
        let time = self.time1.forward(time, Activation::Silu);
        let time = self.time2.forward(time, Activation::Identity);
        let condition = silu(time + classes);
        let mut h = self.stem.forward(x);
        for block in &self.down {
            pace.breathe().await?;
            h = block.forward(h, &condition);
        }
        let skip = h.clone();
        h = self.shrink.forward(h);
        for block in &self.middle {
            pace.breathe().await?;
            h = block.forward(h, &condition);
        }
        h = upsample(self.grow.forward(h), 2) + skip;
        for block in &self.up {
            pace.breathe().await?;
            h = block.forward(h, &condition);
        }
        let h = self.head.forward(self.norm.forward(h, Activation::Silu));
        // Four channels become two by two pixels: [b, 14, 14, 2, 2] → [b, 14, 2, 14, 2]
        let half = EDGE / 2;
        let h: Tensor<5> = h.reshape([b, half, half, 2, 2]);
        Ok(h.permute([0, 1, 3, 2, 4]).reshape([b, EDGE, EDGE, 1]))
    }
}

impl Block {
    fn new(name: &str, c: usize, weights: &mut Weights) -> Result<Self> {
        Ok(Self {
            norm1: weights.group_norm(&format!("{name}.norm1"), GROUPS, EPSILON)?,
            conv1: weights.conv2d(&format!("{name}.conv1"), c, SAME)?,
            condition: weights.linear_of_rows(&format!("{name}.condition"), CONDITION)?,
            norm2: weights.group_norm(&format!("{name}.norm2"), GROUPS, EPSILON)?,
            conv2: weights.conv2d(&format!("{name}.conv2"), c, SAME)?,
        })
    }

    /// *Shapes*: `x: [b, h, w, c]`, `condition: [b, condition]`, result as `x`.
    fn forward(&self, x: Tensor<4>, condition: &Tensor<2>) -> Tensor<4> {
        let modulation = self
            .condition
            .forward(condition.clone(), Activation::Identity);
        let [_, both] = modulation.dims();
        let scale = modulation.clone().narrow(1, 0, both / 2);
        let shift = modulation.narrow(1, both / 2, both / 2);
        let h = self.norm1.forward(x.clone(), Activation::Silu);
        let h = self.conv1.forward(h);
        let h = self.norm2.forward_with(h, scale, shift, Activation::Silu);
        self.conv2.forward(h) + x
    }
}

fn silu(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::silu(x)
}

/// Sines, then cosines, of the time at rates from 1 to 1000. *Source*: Vaswani et al., "Attention Is All You Need", 2017, 3.5.
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
