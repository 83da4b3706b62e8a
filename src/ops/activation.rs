//! Activation functions that a linear layer applies to its output.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Scalar};

use crate::error::{Error, Result};

/// What a linear layer does to its output before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `x · Φ(x)` by the error function. *Source*: Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016.
    Gelu,
    /// The tanh approximation of GELU, as in the same paper's section 2; `gelu_new` in `transformers`.
    GeluTanh,
    /// `x · σ(1.702 x)`, CLIP's approximation of GELU; the same paper's section 2.
    QuickGelu,
    /// `x · σ(x)`; the same paper's section 2.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

impl Activation {
    /// By the name that `config.json` has for it.
    ///
    /// *Errors*: `UnsupportedModel` for a name not known here.
    pub fn from_config(name: &str) -> Result<Self> {
        match name {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "quick_gelu" => Ok(Self::QuickGelu),
            "silu" | "swish" => Ok(Self::Silu),
            "relu" => Ok(Self::Relu),
            other => Err(Error::unsupported(format!(
                "config.json: hidden_act is '{other}', expected one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, relu"
            ))),
        }
    }
}

/// √(2/π) and the cubic coefficient of the tanh form.
pub(crate) const GELU_TANH: (f32, f32) = (0.797_884_6, 0.044_715);

/// The factor of the quick form.
pub(crate) const QUICK_GELU: f32 = 1.702;

pub(super) fn plain<B: Backend>(x: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Identity => x,
        Activation::Gelu => B::gelu(x),
        Activation::GeluTanh => {
            let cube = B::float_mul(B::float_mul(x.clone(), x.clone()), x.clone());
            let inner = B::float_add(
                x.clone(),
                B::float_mul_scalar(cube, Scalar::from(GELU_TANH.1)),
            );
            let tanh = B::float_tanh(B::float_mul_scalar(inner, Scalar::from(GELU_TANH.0)));
            let gate = B::float_mul_scalar(
                B::float_add_scalar(tanh, Scalar::from(1.0f32)),
                Scalar::from(0.5f32),
            );
            B::float_mul(x, gate)
        }
        Activation::QuickGelu => {
            let inner = B::float_mul_scalar(x.clone(), Scalar::from(QUICK_GELU));
            B::float_mul(x, B::sigmoid(inner))
        }
        Activation::Silu => B::float_mul(x.clone(), B::sigmoid(x)),
        Activation::Relu => B::relu(x),
    }
}
