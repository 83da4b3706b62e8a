//! Work that several threads share, in the core with threads; in others the calling thread does all of it.
//!
//! In the core with threads this crate and `pilotlight` are compiled with atomics (`pkg-config/build/rustc.sh`). The standard library and all other
//! crates are compiled without, so only the first thread may run them. The other threads run [`help`] alone, and so kernels, which call pure
//! functions of the standard library and allocate memory; [`lock`] has an allocator for several threads. Kernels must not use the locks,
//! thread-local values or channels of the standard library. A panic ends all threads.
//!
//! Results do not depend on the number of threads: each value is computed by one of them, in the same order of additions.

#[allow(unsafe_code)]
mod lock;
#[allow(unsafe_code)]
mod shared;

use std::ops::Range;

pub(crate) use lock::Buffers;
use shared::Pool;
pub use shared::Tile;

/// The least multiply-adds that are shared: less would be computed before another thread is awake.
const LEAST: u64 = 1 << 18;

/// The number of parts for each thread. If one thread is interrupted, the others take more of them.
const PARTS: usize = 2;

/// The fewest rows of a part, each of which reads all weights.
const ROWS: usize = 8;

#[cfg(any(test, target_feature = "atomics"))]
static POOL: Pool = Pool::new();

/// Computes for the thread that has the model, for ever: takes parts of its work, and sleeps while there are none.
#[cfg(any(test, target_feature = "atomics"))]
pub fn help() {
    POOL.help();
}

/// Sets how many threads share work from now on, of which the calling one is one. The others must run [`help`].
#[cfg(any(test, target_feature = "atomics"))]
pub fn set_threads(count: usize) {
    POOL.set_threads(count);
}

/// The number of parts that other threads have computed for this one so far.
#[cfg(any(test, target_feature = "atomics"))]
pub fn helped() -> u32 {
    POOL.helped()
}

/// Returns the threads that share work of `cost` multiply-adds, and their number.
fn threads_for(cost: u64) -> (Option<&'static Pool>, usize) {
    #[cfg(any(test, target_feature = "atomics"))]
    if cost >= LEAST && POOL.threads() > 1 {
        return (Some(&POOL), POOL.threads());
    }
    // The build of a core with one thread uses neither.
    let _ = cost >= LEAST;
    (None, 1)
}

/// Has `work` fill the rows of `y`, in parts of neighbouring rows. A row costs `cost` multiply-adds, and parts have a multiple of `unit` rows.
///
/// *Shapes*: `y: [m, width]`.
pub fn rows(
    y: &mut [f32],
    width: usize,
    cost: usize,
    unit: usize,
    work: impl Fn(Range<usize>, &mut [f32]) + Sync,
) {
    let count = y.len().checked_div(width).unwrap_or(0);
    let (pool, threads) = threads_for(count as u64 * cost as u64);
    let size = count
        .div_ceil(threads * PARTS)
        .max(ROWS)
        .next_multiple_of(unit);
    if pool.is_none() || size >= count {
        return work(0..count, y);
    }
    let bounds: Vec<usize> = (0..count).step_by(size).chain([count]).collect();
    shared::tiles(pool, y, width, &bounds, width, |mut tile| {
        work(tile.rows(), tile.whole());
    });
}

/// Has `work` fill the tiles of `y` between neighbouring `bounds` of rows, each of `columns` columns. All of it costs `cost` multiply-adds.
///
/// *Shapes*: `y: [m, width]`, of which `columns` is a divisor.
pub fn tiles(
    y: &mut [f32],
    width: usize,
    bounds: &[usize],
    columns: usize,
    cost: u64,
    work: impl Fn(Tile<'_>) + Sync,
) {
    shared::tiles(threads_for(cost).0, y, width, bounds, columns, work);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;
    use crate::{Activation, attention, linear_f32};

    /// Runs the work alone and with three helpers, many times, and compares the bits.
    fn assert_same_bits(work: impl Fn() -> Vec<f32>) {
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        set_threads(1);
        let alone = bits(work());
        for _ in 0..3 {
            std::thread::spawn(help);
        }
        for count in [2, 4] {
            set_threads(count);
            for _ in 0..50 {
                assert!(bits(work()) == alone, "{count} threads");
            }
        }
        // On a busy machine small work may be done before another thread is awake.
        let start = std::time::Instant::now();
        while helped() == 0 {
            assert!(start.elapsed().as_secs() < 60, "no thread helped");
            assert!(bits(work()) == alone);
        }
    }

    #[test]
    fn every_tile_is_filled_once_by_any_number_of_threads() {
        assert_same_bits(|| {
            let mut y = vec![0.0; 40 * 6];
            tiles(&mut y, 6, &[0, 1, 1, 13, 40], 2, LEAST, |mut tile| {
                let part = (tile.part() * 3 + tile.column()) as f32;
                for (index, row) in tile.rows().enumerate() {
                    for x in tile.row(index) {
                        *x += part + row as f32 / 64.0;
                    }
                }
            });
            y
        });
    }

    #[test]
    fn a_product_has_the_same_bits_by_any_number_of_threads() {
        let mut random = Random::new(3);
        let (m, k, n) = (67, 64, 80);
        let [x, weight, bias] = [m * k, k * n, n].map(|count| random.values(count));
        assert_same_bits(|| {
            let mut y = vec![0.0; m * n];
            linear_f32(&x, k, &weight, &bias, &mut y, Activation::Gelu);
            y
        });
    }

    #[test]
    fn attention_has_the_same_bits_by_any_number_of_threads() {
        let mut random = Random::new(4);
        let (offsets, heads, key_heads, d) = ([0, 70, 71, 71, 130], 6, 3, 12);
        let [q, k, v] = [heads, key_heads, key_heads].map(|heads| random.values(130 * heads * d));
        let width = heads * d;
        assert_same_bits(|| {
            let mut out = vec![0.0; q.len()];
            attention(
                &q, &k, &v, &mut out, width, heads, key_heads, &offsets, true, None, None,
            );
            out
        });
    }
}
