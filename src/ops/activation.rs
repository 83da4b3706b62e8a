//! Activation functions: their names in configs, and their plain bodies.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Scalar};
use pilotlight_kernels::activation::{GELU_TANH, QUICK_GELU};

use crate::error::{Error, Result};

pub use pilotlight_kernels::Activation;

/// The activation of this name, which is the value of `key` in `config.json`.
///
/// *Errors*: `UnsupportedModel` for an unknown name.
pub fn from_config(key: &str, name: &str) -> Result<Activation> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "quick_gelu" => Ok(Activation::QuickGelu),
        "silu" | "swish" => Ok(Activation::Silu),
        "relu" => Ok(Activation::Relu),
        other => Err(Error::unsupported(format!(
            "config.json: {key} is '{other}', expected one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, swish, relu"
        ))),
    }
}

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
