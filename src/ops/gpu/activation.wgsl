// Activation functions. This text is appended to that of kernels that end with an activation.

// The error function. Source: Abramowitz & Stegun, 7.1.26, absolute error 1.5e-7.
fn erf(v: vec4<f32>) -> vec4<f32> {
    let a = abs(v);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let poly = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(v) * (1.0 - poly * exp(-a * a));
}

// 0 identity, 1 gelu, 2 gelu by tanh, 3 relu, 4 quick gelu, 5 silu
fn activate(v: vec4<f32>, activation: u32) -> vec4<f32> {
    switch activation {
        case 1u: {
            return 0.5 * v * (1.0 + erf(v * 0.70710678));
        }
        case 2u: {
            // Past ±10 tanh is ±1 in f32, and some drivers compute it by an exponential that overflows.
            let inner = clamp(0.7978846 * (v + 0.044715 * v * v * v), vec4(-10.0), vec4(10.0));
            return 0.5 * v * (1.0 + tanh(inner));
        }
        case 3u: {
            return max(v, vec4(0.0));
        }
        case 4u: {
            return v / (1.0 + exp(-1.702 * v));
        }
        case 5u: {
            // Past 80 the exponential would overflow, and its inverse is zero in f32 either way.
            return v / (1.0 + exp(min(-v, vec4(80.0))));
        }
        default: {
            return v;
        }
    }
}
