//! The times by which a model is loaded on a GPU or on the CPU.

use std::fmt;

#[cfg(feature = "webgpu")]
use burn::tensor::{Device, Tensor};

#[cfg(feature = "webgpu")]
use super::Pretrained;
#[cfg(feature = "webgpu")]
use crate::error::Result;
use crate::weights::Dtype;

/// The input of a timed network, about as large as that of a usual call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleInput {
    /// A text of this many tokens.
    Tokens(usize),
    /// An image of this many rows, and of columns.
    Image(usize),
    /// This many digits.
    Digits(usize),
}

/// The most tokens of a timed text, as many as a long sentence or a batch of short ones has.
#[cfg(feature = "webgpu")]
const TOKENS: usize = 128;

#[cfg(feature = "webgpu")]
impl SampleInput {
    /// A text for a model whose longest one has `longest` tokens.
    pub fn text(longest: usize) -> Self {
        Self::Tokens(TOKENS.min(longest))
    }

    /// The number of tokens, of digits, or of the rows of the image.
    pub fn size(self) -> usize {
        match self {
            Self::Tokens(size) | Self::Image(size) | Self::Digits(size) => size,
        }
    }
}

impl fmt::Display for SampleInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(count) => write!(f, "{count} tokens"),
            Self::Image(_) => write!(f, "an image"),
            Self::Digits(count) => write!(f, "{count} digits"),
        }
    }
}

/// A model that can be timed before its weights are loaded, on a network of its first layers.
#[cfg(feature = "webgpu")]
pub trait Timed {
    /// Sets the number of layers, and returns the number before: 0 for a model that a GPU computes no faster, and always 1 for a network that
    /// has no such layers.
    fn set_layers(config: &mut Self::Config, layers: usize) -> usize
    where
        Self: Pretrained;

    /// The input with which the network is timed.
    fn sample_input(config: &Self::Config) -> SampleInput
    where
        Self: Pretrained;

    /// Computes the network for an input of this size, which is zeros.
    async fn sample(
        network: &Self::Network,
        input: SampleInput,
        device: &Device,
    ) -> Result<Tensor<2>>
    where
        Self: Pretrained;
}

/// Without a GPU, no model is timed.
#[cfg(not(feature = "webgpu"))]
pub trait Timed {}

#[cfg(not(feature = "webgpu"))]
impl<T> Timed for T {}

/// Milliseconds for layers of a model on each device. It is written as a clause in which the GPU is "it".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerTimes {
    /// The number of layers, of which all have the sizes of the model's first ones; 1 stands for a network that has no such layers,
    /// and 0 for a model that a GPU computes no faster, which is not timed.
    pub layers: usize,
    /// The input.
    pub input: SampleInput,
    /// The format of the weights.
    pub dtype: Dtype,
    /// On one thread of the CPU.
    pub cpu_ms: f64,
    /// On the GPU, including reading the values back.
    pub gpu_ms: f64,
}

impl LayerTimes {
    /// Whether the GPU took less time.
    pub fn is_gpu_faster(&self) -> bool {
        self.gpu_ms < self.cpu_ms
    }
}

impl fmt::Display for LayerTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            layers,
            input,
            dtype,
            cpu_ms,
            gpu_ms,
        } = self;
        match layers {
            0 => return write!(f, "the model has no layers that it could compute"),
            1 => write!(f, "the network")?,
            _ => write!(f, "{layers} layers of the model")?,
        }
        let name = dtype.name();
        write!(
            f,
            " in {name} took {gpu_ms:.1} ms on it and {cpu_ms:.1} ms on the CPU for {input}"
        )
    }
}
