//! Self-attention of one sequence and head at a time, with scores that stay in cache.

use super::math::exp;
use super::simd::{F32x4, kernel, mul_add};
use crate::ops::Spans;

/// *Shapes*: `query`, `key`, `value`, `out`: `[t, heads * d]`.
pub(super) fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    out: &mut [f32],
    width: usize,
    heads: usize,
    spans: &Spans,
) {
    let d = width / heads;
    let longest = spans.longest();
    // Of one head: keys transposed [d, t] and values [t, d], both padded to whole vectors; one row of scores.
    let padded = longest.next_multiple_of(4);
    let padded_d = d.next_multiple_of(4);
    let mut keys = vec![0.0; d * padded];
    let mut values = vec![0.0; longest * padded_d];
    let mut scores = vec![0.0; padded];
    let mut context = vec![0.0; padded_d];
    for rows in spans.iter() {
        let (t, stride) = (rows.len(), rows.len().next_multiple_of(4));
        for head in 0..heads {
            let cell = |row: usize| row * width + head * d..row * width + (head + 1) * d;
            for (i, row) in rows.clone().enumerate() {
                for (j, &x) in key[cell(row)].iter().enumerate() {
                    keys[j * stride + i] = x;
                }
                values[i * padded_d..i * padded_d + d].copy_from_slice(&value[cell(row)]);
            }
            for j in 0..d {
                keys[j * stride + t..(j + 1) * stride].fill(0.0);
            }
            for row in rows.clone() {
                score(
                    &query[cell(row)],
                    &keys[..d * stride],
                    &mut scores[..stride],
                );
                softmax(&mut scores[..stride], t);
                mix(&scores[..t], &values[..t * padded_d], &mut context);
                out[cell(row)].copy_from_slice(&context[..d]);
            }
        }
    }
}

kernel! {
    /// `scores = query · keys / √d`, four keys at a time.
    fn score(query: &[f32], keys: &[f32], scores: &mut [f32]) {
        let stride = scores.len();
        let scale = F32x4::splat(1.0 / (query.len() as f32).sqrt());
        for (block, scores) in scores.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut sum = F32x4::splat(0.0);
            for (q, keys) in query.iter().zip(keys.chunks_exact(stride)) {
                sum = mul_add(F32x4::splat(*q), F32x4::load(&keys.as_chunks::<4>().0[block]), sum);
            }
            sum.mul(scale).store(scores);
        }
    }

    /// Softmax over the first `t` scores; those behind become zeros.
    fn softmax(scores: &mut [f32], t: usize) {
        scores[t..].fill(f32::NEG_INFINITY);
        let (chunks, _) = scores.as_chunks_mut::<4>();
        let largest = chunks.iter().fold(F32x4::splat(f32::NEG_INFINITY), |most, chunk| most.max(F32x4::load(chunk)));
        let largest = F32x4::splat(largest.largest());
        for chunk in chunks.iter_mut() {
            exp(F32x4::load(chunk).sub(largest)).store(chunk);
        }
        scores[t..].fill(0.0);
        let (chunks, _) = scores.as_chunks_mut::<4>();
        let sum = chunks.iter().fold(F32x4::splat(0.0), |sum, chunk| sum.add(F32x4::load(chunk))).sum();
        let inverse = F32x4::splat(1.0 / sum);
        for chunk in chunks {
            F32x4::load(chunk).mul(inverse).store(chunk);
        }
    }

    /// `context = Σ weight · value`.
    fn mix(weights: &[f32], values: &[f32], context: &mut [f32]) {
        let width = context.len();
        for (block, context) in context.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let mut sum = F32x4::splat(0.0);
            for (weight, value) in weights.iter().zip(values.chunks_exact(width)) {
                sum = mul_add(F32x4::splat(*weight), F32x4::load(&value.as_chunks::<4>().0[block]), sum);
            }
            sum.store(context);
        }
    }
}
