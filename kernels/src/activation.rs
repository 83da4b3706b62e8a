//! Activation functions that a linear layer applies to its output.

/// The function that a layer applies to its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The identity.
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

/// The constants of the tanh form of GELU: √(2/π) and the cubic coefficient.
pub const GELU_TANH: (f32, f32) = (0.797_884_6, 0.044_715);

/// The factor of the quick form of GELU.
pub const QUICK_GELU: f32 = 1.702;
