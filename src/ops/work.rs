//! Counts the multiply-adds of this thread, as a measure of time in runtimes whose clock stands still while code runs.

use std::cell::Cell;

thread_local! {
    static MULTIPLY_ADDS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the product of a `rows` by `inputs` matrix and an `inputs` by `outputs` matrix.
pub(crate) fn count(rows: usize, inputs: usize, outputs: usize) {
    let product = rows as u64 * inputs as u64 * outputs as u64;
    MULTIPLY_ADDS.set(MULTIPLY_ADDS.get() + product);
}

/// The number of multiply-adds of matrix products, convolutions and attention since the thread began. Norms are not counted, and causal
/// attention as if it were not.
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) fn multiply_adds() -> u64 {
    MULTIPLY_ADDS.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_add_up() {
        let before = multiply_adds();
        count(3, 5, 7);
        count(1, 2, 1);
        assert_eq!(multiply_adds() - before, 107);
    }
}
