//! Elementary functions on vectors: exp, erf, tanh and sigmoid, and the activations built on them.

// In the relaxed build a function has a target feature and is therefore no `Fn`, but a closure that calls it is.
#![allow(clippy::redundant_closure)]

use super::simd::{F32x4, ROUND, kernel, mul_add};
use crate::activation::{Activation, GELU_TANH, QUICK_GELU};

/// The coefficients of a polynomial, that of the highest power first, behind a pointer that is opaque to the compiler.
///
/// Engines compile each use of a vector constant to up to four instructions, and a load to one.
struct Coefficients<const N: usize>([f32; N]);

impl<const N: usize> Coefficients<N> {
    #[inline]
    fn get(&'static self) -> &'static [f32; N] {
        std::hint::black_box(&self.0)
    }
}

/// The polynomial of `e^r` without its first two terms; then log₂ e, and ln 2 in two parts, of which the first has few bits.
/// *Source*: Cephes `expf`.
static EXP: Coefficients<9> = Coefficients([
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    1.666_666_5e-1,
    0.5,
    std::f32::consts::LOG2_E,
    -0.693_359_4,
    2.121_944_4e-4,
]);

/// The numerator of `erf(x) / x`, a polynomial in x². *Source*: Eigen, `generic_fast_erf_float`.
static ERF_NUMERATOR: Coefficients<7> = Coefficients([
    -2.726_142_3e-10,
    2.770_681_4e-8,
    -2.101_024e-6,
    -5.692_506_4e-5,
    -7.349_906_3e-4,
    -2.954_6e-3,
    -1.609_603_3e-2,
]);

/// The denominator of `erf(x) / x`, a polynomial in x².
static ERF_DENOMINATOR: Coefficients<5> = Coefficients([
    -1.456_607_2e-5,
    -2.133_740_6e-4,
    -1.682_827e-3,
    -7.373_329e-3,
    -1.426_473_9e-2,
]);

kernel! {
    fn polynomial(coefficients: &[f32], x: F32x4) -> F32x4 {
        let mut p = F32x4::splat(coefficients[0]);
        for c in &coefficients[1..] {
            p = mul_add(p, x, F32x4::splat(*c));
        }
        p
    }

    /// Computes `eˣ` within 2 units in the last place from -87 to 88.7. Below that the result is 1.6e-38, above it 3.4e38; NaN gives NaN.
    pub fn exp(x: F32x4) -> F32x4 {
        let [c0, c1, c2, c3, c4, c5, log2_e, ln2_high, ln2_low] = EXP.get();
        let within = x.min(F32x4::splat(88.722)).max(F32x4::splat(-87.0));
        let rounded = mul_add(within, F32x4::splat(*log2_e), F32x4::splat(ROUND));
        let n = rounded.sub(F32x4::splat(ROUND));
        // x - n ln 2 is accurate because the product with the first part of ln 2 is exact.
        let r = mul_add(n, F32x4::splat(*ln2_high), within);
        let r = mul_add(n, F32x4::splat(*ln2_low), r);
        let p = polynomial(&[*c0, *c1, *c2, *c3, *c4, *c5], r);
        let y = mul_add(p, r.mul(r), r.add(F32x4::splat(1.0))).times_power_of_two(rounded);
        y.or_nan_of(x)
    }

    /// Computes the error function with an absolute error below 5e-7; NaN gives NaN. From 4 on the result is ±1.
    pub fn erf(x: F32x4) -> F32x4 {
        let s = x.mul(x);
        let ratio = polynomial(ERF_NUMERATOR.get(), s).mul(x).div(polynomial(ERF_DENOMINATOR.get(), s));
        // The approximation ends one unit in the last place below 1, an error that GELU would multiply by its argument.
        ratio.or_where_at_least(s, 16.0, F32x4::splat(1.0).copysign(x))
    }

    /// Computes the hyperbolic tangent with an absolute error below 5e-7; NaN gives NaN.
    pub fn tanh(x: F32x4) -> F32x4 {
        let one = F32x4::splat(1.0);
        let e = exp(x.abs().mul(F32x4::splat(-2.0)));
        one.sub(e).div(one.add(e)).copysign(x)
    }

    /// Computes `1 / (1 + e⁻ˣ)` with a relative error below 1e-6 from -87 on; NaN gives NaN.
    pub fn sigmoid(x: F32x4) -> F32x4 {
        let one = F32x4::splat(1.0);
        one.div(one.add(exp(F32x4::splat(0.0).sub(x))))
    }

    /// Applies an activation to each value.
    pub fn activate(values: &mut [F32x4], activation: Activation) {
        match activation {
            Activation::Identity => {}
            Activation::Gelu => each(values, |x| gelu(x)),
            Activation::GeluTanh => each(values, |x| gelu_tanh(x)),
            Activation::QuickGelu => each(values, |x| x.mul(sigmoid(x.mul(F32x4::splat(QUICK_GELU))))),
            Activation::Silu => each(values, |x| x.mul(sigmoid(x))),
            Activation::Relu => each(values, |x| x.max(F32x4::splat(0.0))),
        }
    }

    fn each(values: &mut [F32x4], f: impl Fn(F32x4) -> F32x4) {
        for value in values {
            *value = f(*value);
        }
    }

    fn gelu(x: F32x4) -> F32x4 {
        let half = x.mul(F32x4::splat(0.5));
        mul_add(half, erf(x.mul(F32x4::splat(std::f32::consts::FRAC_1_SQRT_2))), half)
    }

    fn gelu_tanh(x: F32x4) -> F32x4 {
        let half = x.mul(F32x4::splat(0.5));
        let cubic = mul_add(x.mul(x).mul(x), F32x4::splat(GELU_TANH.1), x);
        mul_add(half, tanh(cubic.mul(F32x4::splat(GELU_TANH.0))), half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    /// Every 8th float between two bounds would take minutes; a fine linear sweep over the range that matters does not.
    fn sweep(from: f64, to: f64) -> impl Iterator<Item = f32> {
        (0..200_000).map(move |i| (from + (to - from) * f64::from(i) / 200_000.0) as f32)
    }

    fn one(f: impl Fn(F32x4) -> F32x4, x: f32) -> f32 {
        let lanes = f(F32x4::splat(x)).to_array();
        assert!(
            lanes
                .iter()
                .all(|lane| lane.to_bits() == lanes[0].to_bits())
        );
        lanes[0]
    }

    /// The error function in f64, by its series and continued fraction to 1e-15. `std` has none.
    fn erf_f64(x: f64) -> f64 {
        let a = x.abs();
        let value = if a < 3.0 {
            let (mut term, mut sum) = (a, a);
            for n in 1..200 {
                term *= -a * a / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let fraction = (1..60).rev().fold(0.0, |f, k| f64::from(k) / 2.0 / (a + f));
            1.0 - (-a * a).exp() / std::f64::consts::PI.sqrt() / (a + fraction)
        };
        value.copysign(x)
    }

    fn activated(x: F32x4, activation: Activation) -> F32x4 {
        let mut values = [x; 3];
        activate(&mut values, activation);
        values[2]
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn exp_is_within_two_units_in_the_last_place() {
        for x in sweep(-87.0, 88.6) {
            let exact = f64::from(x).exp();
            let relative = (f64::from(one(|v| exp(v), x)) - exact).abs() / exact;
            assert!(
                relative < 2.0 * f64::from(f32::EPSILON),
                "exp({x}) is off by {relative:e}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn erf_and_tanh_are_within_one_millionth() {
        for x in sweep(-12.0, 12.0) {
            let error = (f64::from(one(|v| erf(v), x)) - erf_f64(f64::from(x))).abs();
            assert!(error < 1e-6, "erf({x}) is off by {error:e}");
            let error = (f64::from(one(|v| tanh(v), x)) - f64::from(x).tanh()).abs();
            assert!(error < 1e-6, "tanh({x}) is off by {error:e}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn sigmoid_is_within_one_millionth_of_its_value() {
        for x in sweep(-86.0, 86.0) {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(one(|v| sigmoid(v), x)) - exact).abs() / exact;
            assert!(error < 1e-6, "sigmoid({x}) is off by {error:e}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_ends_of_the_range_are_right() {
        assert_eq!(one(|v| erf(v), f32::INFINITY), 1.0);
        assert_eq!(one(|v| erf(v), f32::NEG_INFINITY), -1.0);
        assert_eq!(one(|v| tanh(v), f32::INFINITY), 1.0);
        assert_eq!(one(|v| tanh(v), -1e30), -1.0);
        assert!(one(|v| exp(v), f32::NEG_INFINITY) < 2e-38);
        assert!(one(|v| exp(v), f32::INFINITY) > 3e38);
        assert!(one(|v| exp(v), f32::NAN).is_nan());
        assert_eq!(one(|v| sigmoid(v), f32::INFINITY), 1.0);
        assert!(one(|v| sigmoid(v), f32::NEG_INFINITY) < 2e-38);
        assert!(one(|v| sigmoid(v), f32::NAN).is_nan());
        assert!(one(|v| erf(v), f32::NAN).is_nan());
        assert!(one(|v| tanh(v), f32::NAN).is_nan());
        for activation in [
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::QuickGelu,
            Activation::Silu,
            Activation::Relu,
        ] {
            assert_eq!(one(|v| activated(v, activation), 0.0), 0.0);
            assert_eq!(one(|v| activated(v, activation), 30.0), 30.0);
            assert!(one(|v| activated(v, activation), -30.0).abs() < 1e-6);
        }
    }
}
