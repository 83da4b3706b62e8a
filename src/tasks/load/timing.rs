//! The times by which a model is loaded on a GPU or on the CPU.

use std::fmt;

#[cfg(feature = "webgpu")]
use burn::tensor::{Device, Tensor};

#[cfg(feature = "webgpu")]
use super::Pretrained;
#[cfg(feature = "webgpu")]
use crate::error::{Error, Result};
use crate::weights::Dtype;

/// The input of a timed network, about as large as that of a usual call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleInput {
    /// A text of this many tokens.
    Tokens(usize),
    /// An image of this many rows, and of columns.
    Image(usize),
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

    /// The number of tokens, or of the rows of the image.
    pub fn size(self) -> usize {
        match self {
            Self::Tokens(size) | Self::Image(size) => size,
        }
    }
}

impl fmt::Display for SampleInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(count) => write!(f, "{count} tokens"),
            Self::Image(_) => write!(f, "an image"),
        }
    }
}

/// A model that can be timed before its weights are loaded, on a network of its first layers. By default it has none.
#[cfg(feature = "webgpu")]
pub trait Timed {
    /// Sets the number of layers, and returns the number before; 0 for a model that is not timed, because a GPU computes it no faster.
    fn set_layers(_config: &mut Self::Config, _layers: usize) -> usize
    where
        Self: Pretrained,
    {
        0
    }

    /// The input with which the network is timed.
    fn sample_input(_config: &Self::Config) -> SampleInput
    where
        Self: Pretrained,
    {
        SampleInput::Tokens(0)
    }

    /// Computes the network for an input of this size, which is zeros.
    async fn sample(
        _network: &Self::Network,
        _input: SampleInput,
        _device: &Device,
    ) -> Result<Tensor<2>>
    where
        Self: Pretrained,
    {
        Err(Error::internal("a model without layers was timed"))
    }
}

/// Without a GPU, no model is timed.
#[cfg(not(feature = "webgpu"))]
pub trait Timed {}

#[cfg(not(feature = "webgpu"))]
impl<T> Timed for T {}

/// Milliseconds for layers of a model on each device. It is written as a clause in which the GPU is "it".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerTimes {
    /// The number of layers, of which all have the sizes of the model's first ones; 0 for a model that is not timed.
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
            1 => write!(f, "the layer of the model")?,
            _ => write!(f, "{layers} layers of the model")?,
        }
        let name = dtype.name();
        write!(
            f,
            " in {name} took {gpu_ms:.1} ms on it and {cpu_ms:.1} ms on the CPU for {input}"
        )
    }
}
