//! Reproducible random values for tests, benchmarks and the self-test of a GPU.

/// A random number generator whose values depend on the seed alone.
///
/// *Source*: Marsaglia, "Xorshift RNGs", 2003.
#[derive(Clone, Debug)]
pub struct Random(u32);

impl Random {
    /// A generator for this seed. Seed 0 gives the same values as 1, because xorshift never leaves the state 0.
    pub fn new(seed: u32) -> Self {
        Self(seed.max(1))
    }

    /// The next 32 bits, which are never all zero.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// An integer from 0 to `end - 1`.
    pub fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }

    /// A number from -1 up to, but not including, 1.
    pub fn value(&mut self) -> f32 {
        (self.bits() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// `count` numbers as [`value`](Self::value) gives them.
    pub fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bits_of_seed_1_do_not_change() {
        let mut random = Random::new(1);
        assert_eq!([random.bits(), random.bits()], [270_369, 67_634_689]);
    }

    #[test]
    fn values_lie_in_their_range() {
        let values = Random::new(7).values(10_000);
        assert!(values.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.05, "{mean}");
    }
}
