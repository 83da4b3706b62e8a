//! Self-attention, one sequence and head at a time, so that the scores stay in cache.

use std::ops::Range;

use super::math::exp;
use super::matmul_f32::{Rows, product, store};
use super::simd::{F32x4, kernel};
use crate::layout::PANEL;
use crate::parallel::{self, Buffers, Tile};

/// Queries whose scores are computed at a time: a multiple of the tiles of 4 and of 6 rows.
pub const BLOCK: usize = 24;

/// The bias that attention adds to the score of a query and a key; it depends on how far the key is after the query.
#[derive(Clone, Copy)]
pub struct Bias<'a> {
    /// `[rows, 2 * longest - 1]`, from the key that is `longest - 1` before the query.
    pub table: &'a [f32],
    /// One for each head of the queries, or 1 for the same in all.
    pub rows: usize,
    /// The rows of the longest sequence, at least.
    pub longest: usize,
}

impl<'a> Bias<'a> {
    /// The values of a head, from the first key for query 0 on; those of query `i` begin `i` before them.
    fn of_head(self, head: usize) -> HeadBias<'a> {
        let length = 2 * self.longest - 1;
        let row = if self.rows == 1 { 0 } else { head };
        HeadBias {
            table: &self.table[row * length..][..length],
            origin: self.longest - 1,
        }
    }
}

/// The bias of one head.
#[derive(Clone, Copy)]
struct HeadBias<'a> {
    table: &'a [f32],
    /// The index of the value for a key at the place of the query.
    origin: usize,
}

/// Scaled dot-product self-attention of each sequence. `offsets` has the first row of each sequence, followed by the total number of
/// rows. If `causal`, a row attends to none after it. With a `reach`, it attends only to that many rows before and after it. Each head of the keys and values serves as many neighbouring heads of the queries as
/// their number divides. If there are fewer queries than keys, there is one sequence, and they are those of its last rows: rows have the
/// same bits in parts of a sequence which begin at a multiple of [`BLOCK`] as in all of it.
///
/// *Shapes*: `query`, `out`: `[queries, heads * d]`, `key`, `value`: `[t, key_heads * d]`.
pub fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    out: &mut [f32],
    width: usize,
    heads: usize,
    key_heads: usize,
    offsets: &[u32],
    causal: bool,
    reach: Option<usize>,
    bias: Option<Bias<'_>>,
) {
    static SCRATCH: Buffers<Scratch> = Buffers::new();
    let shape = Shape {
        d: width / heads,
        heads,
        key_heads,
        causal,
        reach,
    };
    let rows = offsets.last().map_or(0, |rows| *rows as usize);
    let missing = rows - out.len() / width.max(1);
    let bounds: Vec<usize> = offsets
        .iter()
        .map(|row| (*row as usize).saturating_sub(missing))
        .collect();
    let cost = offsets
        .windows(2)
        .map(|span| u64::from(span[1] - span[0]).pow(2) * 2 * width as u64)
        .sum();
    let columns = width / key_heads.max(1);
    parallel::tiles(out, width, &bounds, columns, cost, |tile| {
        let queries = tile.rows();
        let span = &offsets[tile.part()..][..2];
        let key_width = shape.d * key_heads;
        let keys = span[0] as usize * key_width..span[1] as usize * key_width;
        SCRATCH.lend(|scratch| {
            scratch.heads(
                &query[queries.start * width..queries.end * width],
                &key[keys.clone()],
                &value[keys],
                tile,
                shape,
                bias,
            );
        });
    });
}

/// The width of a head, the number of heads of queries and of keys, and which keys a query attends to.
#[derive(Clone, Copy)]
struct Shape {
    d: usize,
    heads: usize,
    key_heads: usize,
    causal: bool,
    reach: Option<usize>,
}

impl Shape {
    /// The keys, of `t`, that the query at this place attends to.
    fn seen(&self, query: usize, t: usize) -> Range<usize> {
        let [before, after] = match self.reach {
            Some(reach) => [query.saturating_sub(reach), query.saturating_add(reach)],
            None => [0, t],
        };
        let last = if self.causal { query } else { after };
        before..t.min(last.min(after).saturating_add(1))
    }
}

/// Buffers that are reused by later calls.
#[derive(Default)]
struct Scratch {
    /// The keys of one head, `[⌈t / 8⌉, d, 8]`, packed as weights with an output for each key.
    keys: Vec<f32>,
    /// The values of one head, `[⌈d / 8⌉, t, 8]`, packed as weights with an input for each row.
    values: Vec<f32>,
    /// The scores of a block of queries, `[BLOCK, t]`, with rows padded to whole panels.
    scores: Vec<f32>,
    /// The inverse of each query's sum of exponentials.
    inverses: [f32; BLOCK],
}

impl Scratch {
    /// Computes the heads of the queries that share a head of the keys, which are the columns of `out`.
    fn heads(
        &mut self,
        query: &[f32],
        key: &[f32],
        value: &[f32],
        mut out: Tile<'_>,
        shape: Shape,
        bias: Option<Bias<'_>>,
    ) {
        let Shape {
            d,
            heads,
            key_heads,
            ..
        } = shape;
        let (width, key_width) = (heads * d, key_heads * d);
        let t = key.len() / key_width;
        let missing = t - query.len() / width;
        let padded = t.next_multiple_of(PANEL);
        self.keys.resize(padded * d, 0.0);
        self.values.resize(t * d.next_multiple_of(PANEL), 0.0);
        self.scores.resize(BLOCK * padded, 0.0);
        let scale = 1.0 / (d as f32).sqrt();
        let (shared, key_head) = (heads / key_heads, out.column());
        let columns = key_head * d..(key_head + 1) * d;
        self.pack_keys(key, key_width, columns.clone(), scale);
        self.pack_values(value, key_width, columns);
        for part in 0..shared {
            let head = key_head * shared + part;
            for (index, query) in query.chunks(BLOCK * width).enumerate() {
                self.block(
                    &query[head * d..],
                    &mut out,
                    part * d,
                    index * BLOCK,
                    missing,
                    t,
                    shape,
                    bias.map(|bias| bias.of_head(head)),
                );
            }
        }
    }

    /// Transposes the keys of a head. Padding after the last key is zero.
    fn pack_keys(&mut self, key: &[f32], width: usize, columns: Range<usize>, scale: f32) {
        let d = columns.len();
        for (panel, rows) in self
            .keys
            .chunks_exact_mut(d * PANEL)
            .zip(key.chunks(PANEL * width))
        {
            let real = rows.len() / width;
            if real < PANEL {
                panel.fill(0.0);
            }
            for (lane, row) in rows.chunks_exact(width).enumerate() {
                for (slots, x) in panel
                    .as_chunks_mut::<PANEL>()
                    .0
                    .iter_mut()
                    .zip(&row[columns.clone()])
                {
                    slots[lane] = x * scale;
                }
            }
        }
    }

    fn pack_values(&mut self, value: &[f32], width: usize, columns: Range<usize>) {
        let t = value.len() / width;
        for (row, value) in value.chunks_exact(width).enumerate() {
            for (panel, x) in value[columns.clone()].chunks(PANEL).enumerate() {
                // Padding of the last panel is computed and then dropped.
                self.values[(panel * t + row) * PANEL..][..x.len()].copy_from_slice(x);
            }
        }
    }

    kernel! {
        /// Computes up to `BLOCK` queries of one head: rows of `out` from `first_out` on, and its columns from `column` on. The sequence has
        /// `missing` rows before those of `out`.
        fn block(
            &mut self,
            query: &[f32],
            out: &mut Tile<'_>,
            column: usize,
            first_out: usize,
            missing: usize,
            t: usize,
            shape: Shape,
            bias: Option<HeadBias<'_>>,
        ) {
            let (width, first) = (shape.heads * shape.d, missing + first_out);
            let d = shape.d;
            let padded = t.next_multiple_of(PANEL);
            let count = (query.len() + width - d) / width;
            // No query of the block attends to keys outside of these; they begin with a panel.
            let start = shape.seen(first, t).start / PANEL * PANEL;
            let end = shape.seen(first + BLOCK - 1, t).end;
            let end_padded = end.next_multiple_of(PANEL);
            let queries = Rows {
                x: query,
                stride: width,
                k: d,
            };
            let panels = self.keys[start * d..end_padded * d].chunks_exact(d * PANEL);
            for (keys, key) in panels.zip((start..end_padded).step_by(PANEL)) {
                product(queries, keys, |row, sums| {
                    let to = &mut self.scores[row * padded + key..][..PANEL];
                    store(sums, to);
                });
            }
            for (row, (scores, inverse)) in self
                .scores
                .chunks_exact_mut(padded)
                .zip(&mut self.inverses)
                .take(count)
                .enumerate()
            {
                let seen = shape.seen(first + row, t);
                if let Some(HeadBias { table, origin }) = bias {
                    let biases = &table[origin - first - row + seen.start..];
                    for (score, bias) in scores[seen.clone()].iter_mut().zip(biases) {
                        *score += bias;
                    }
                }
                let seen = seen.start - start..seen.end - start;
                *inverse = 1.0 / exponentials(&mut scores[start..end_padded], seen);
            }
            let weights = Rows {
                x: &self.scores[start..count * padded],
                stride: padded,
                k: end - start,
            };
            for (panel, values) in self.values.chunks_exact(t * PANEL).enumerate() {
                let values = &values[start * PANEL..end * PANEL];
                let columns = panel * PANEL..d.min((panel + 1) * PANEL);
                product(weights, values, |row, sums| {
                    let inverse = F32x4::splat(self.inverses[row]);
                    let to = &mut out.row(first_out + row)[column..][columns.clone()];
                    store(sums.map(|sum| sum.mul(inverse)), to);
                });
            }
        }
    }
}

/// The least weight that counts, of which the largest is 1. Smaller ones are lost in a sum, but their products with values may be denormal
/// numbers, for which processors take a hundred times as long.
const LEAST: f32 = 1e-30;

kernel! {
    /// Replaces the scores of the keys that are seen by the exponentials of their distances to the largest, the others by zero, and returns
    /// the sum.
    fn exponentials(scores: &mut [f32], seen: Range<usize>) -> f32 {
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
        let (chunks, _) = scores.as_chunks_mut::<4>();
        let largest = chunks.iter().fold(F32x4::splat(f32::NEG_INFINITY), |most, chunk| most.max(F32x4::load(chunk)));
        let largest = F32x4::splat(largest.largest());
        let mut sum = F32x4::splat(0.0);
        for chunk in chunks.iter_mut() {
            let e = exp(F32x4::load(chunk).sub(largest));
            F32x4::splat(0.0).or_where_at_least(e, LEAST, e).store(chunk);
            sum = sum.add(e);
        }
        // A score that is not seen contributes e⁻⁸⁷, which is lost in a sum of which one term is 1.
        sum.sum()
    }
}
