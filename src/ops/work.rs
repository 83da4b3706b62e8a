//! How much this thread has computed, for runtimes whose clock stands still meanwhile.

use std::cell::Cell;

thread_local! {
    static MULTIPLY_ADDS: Cell<u64> = const { Cell::new(0) };
}

/// Adds a product of a matrix of `rows` by `inputs` with one of `inputs` by `outputs`.
pub(crate) fn count(rows: usize, inputs: usize, outputs: usize) {
    let product = rows as u64 * inputs as u64 * outputs as u64;
    MULTIPLY_ADDS.set(MULTIPLY_ADDS.get() + product);
}

/// Multiply-adds of matrix products and convolutions since the thread began; attention and norms are not counted.
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
