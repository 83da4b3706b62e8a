//! Activation functions that a linear layer applies to its output.

/// What a linear layer does to its output before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// √(2/π) and the cubic coefficient of the tanh form.
pub const GELU_TANH: (f32, f32) = (0.797_884_6, 0.044_715);

/// The factor of the quick form.
pub const QUICK_GELU: f32 = 1.702;
