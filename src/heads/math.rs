//! Elementary functions in f64 whose bits are the same on every platform; those of the standard library are the platform's own.

/// ln 2 in two parts, of which the first has few bits. *Source*: Cephes `exp`.
const LN2: [f64; 2] = [6.931_457_519_531_25e-1, 1.428_606_820_309_417_2e-6];

/// Computes `eˣ` within 2 units in the last place; below -745 it is 0, above 709.7 infinite, and NaN gives NaN.
///
/// *Source*: Cephes `exp`.
pub fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x < -745.2 {
        return 0.0;
    }
    if x > 709.79 {
        return f64::INFINITY;
    }
    let n = (x * std::f64::consts::LOG2_E + 0.5).floor();
    let r = x - n * LN2[0] - n * LN2[1];
    let s = r * r;
    let p = r * ((1.261_771_930_748_105_9e-4 * s + 3.029_944_077_074_419_6e-2) * s + 1.0);
    let q = ((3.001_985_051_386_644_6e-6 * s + 2.524_483_403_496_841e-3) * s
        + 2.272_655_482_081_550_3e-1)
        * s
        + 2.0;
    let y = 1.0 + 2.0 * (p / (q - p));
    // Two factors, because a power of two alone may be too large or too small for a number.
    let half = (n / 2.0).floor();
    y * power_of_two(half) * power_of_two(n - half)
}

/// `2ⁿ` for an integer from -1022 to 1023.
fn power_of_two(n: f64) -> f64 {
    f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// Computes the natural logarithm of a positive, normal number within 2 units in the last place of the largest of result and 1.
///
/// *Source*: the series of the inverse hyperbolic tangent, of `(m - 1) / (m + 1)` with `m` between √½ and √2.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1.0;
    }
    let f = (m - 1.0) / (m + 1.0);
    let s = f * f;
    let series = (0..12)
        .rev()
        .fold(0.0, |sum, i| sum * s + 1.0 / f64::from(2 * i + 1));
    exponent * LN2[0] + (2.0 * f * series + exponent * LN2[1])
}

/// Computes `ln(1 + eˣ)` without overflow.
pub fn ln_1p_exp(x: f64) -> f64 {
    let small = exp(-x.abs());
    // For a tiny argument the sum would round to 1: there ln(1 + y) is y within its last bit.
    let log = if small < 1e-17 { small } else { ln_1p(small) };
    x.max(0.0) + log
}

/// Computes `ln(1 + y)` for `y` from 0 to 1.
fn ln_1p(y: f64) -> f64 {
    let u = 1.0 + y;
    // The second term restores, to first order, what the sum has lost by rounding.
    ln(u) + (y - (u - 1.0)) / u
}

/// The logistic function `1 / (1 + e⁻ˣ)`, stable for large arguments.
pub fn sigmoid(x: f64) -> f64 {
    let small = exp(-x.abs());
    if x >= 0.0 {
        1.0 / (1.0 + small)
    } else {
        small / (1.0 + small)
    }
}

/// The hyperbolic tangent.
pub fn tanh(x: f64) -> f64 {
    let small = exp(-2.0 * x.abs());
    (1.0 - small) / (1.0 + small) * x.signum()
}

/// Replaces logits by probabilities: `softmax(factor · logits)`.
pub fn softmax(logits: &mut [f64], factor: f64) {
    let largest = logits
        .iter()
        .fold(f64::NEG_INFINITY, |a, b| a.max(*b * factor));
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = exp(*logit * factor - largest);
        sum += *logit;
    }
    for logit in logits {
        *logit /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_equal_those_of_the_standard_library() {
        for i in -7400..7090 {
            let x = f64::from(i) * 0.1 + 0.0123;
            let error = (exp(x) / x.exp() - 1.0).abs();
            // Below the smallest normal number fewer bits are left.
            assert!(
                error < if x > -708.0 { 5e-16 } else { 1e-1 },
                "exp {x}: {error}"
            );
            assert!((sigmoid(x) - 1.0 / (1.0 + (-x).exp())).abs() < 4e-16, "{x}");
            assert!((tanh(x) - x.tanh()).abs() < 4e-16, "{x}");
            let expected = if x > 0.0 {
                x + (-x).exp().ln_1p()
            } else {
                x.exp().ln_1p()
            };
            assert!(
                (ln_1p_exp(x) - expected).abs() <= 8e-16 * expected.max(1e-300),
                "{x}"
            );
        }
        for i in 1..4000 {
            let x = (f64::from(i) * 0.35 - 700.0).exp();
            assert!(
                (ln(x) - x.ln()).abs() <= 4.5e-16 * x.ln().abs().max(1.0),
                "ln {x}"
            );
        }
    }

    #[test]
    fn edges_are_those_of_the_standard_library() {
        assert_eq!(exp(-1e300), 0.0);
        assert_eq!(exp(1e300), f64::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(sigmoid(f64::NEG_INFINITY), 0.0);
        assert_eq!(sigmoid(f64::INFINITY), 1.0);
    }

    #[test]
    fn softmax_sums_to_one() {
        let mut values = [1000.0, 999.0, -1000.0];
        softmax(&mut values, 1.0);
        assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!((values[0] - 0.731_058_578_630_004_9).abs() < 1e-15);
    }
}
