//! Tests of the whole index, run natively and in each WebAssembly build.

mod calls;
mod scores;

use pilotlight_kernels::testing::Random;

use super::*;
use crate::error::ErrorKind;

const PRECISIONS: [IndexPrecision; 3] = [
    IndexPrecision::Float32,
    IndexPrecision::Int8,
    IndexPrecision::Binary,
];

/// Vectors scattered around `centres` random centres, as sentences are around topics.
fn clustered(random: &mut Random, count: usize, dimensions: usize, centres: usize) -> Vec<f32> {
    let centres = random.values(centres * dimensions);
    let mut all = Vec::new();
    for _ in 0..count {
        let centre = random.below(centres.len() / dimensions) * dimensions;
        let vector = &centres[centre..centre + dimensions];
        all.extend(vector.iter().map(|x| x + 0.8 * random.value()));
    }
    all
}

fn index(dimensions: usize, precision: IndexPrecision) -> VectorIndex {
    VectorIndex::new(IndexOptions {
        dimensions,
        precision,
        ..IndexOptions::default()
    })
    .unwrap()
}

fn integers(range: std::ops::Range<i64>) -> Vec<Id> {
    range.map(Id::Integer).collect()
}

fn kind<T>(result: Result<T>) -> (ErrorKind, String) {
    let error = result.map(|_| ()).unwrap_err();
    (error.kind(), error.to_string())
}

fn search(index: &VectorIndex, query: &[f32], k: usize) -> Vec<Hit> {
    index.search(query, k, SearchOptions::default()).unwrap()
}

fn exact(index: &VectorIndex, query: &[f32], k: usize) -> Vec<Hit> {
    let options = SearchOptions {
        exact: true,
        ..SearchOptions::default()
    };
    index.search(query, k, options).unwrap()
}

/// The cosines computed in f64 by their definition, the largest first; equal ones in the order of rows.
fn plain(rows: &[f32], query: &[f32]) -> Vec<(usize, f64)> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    let cosine = |row: &[f32]| dot(row, query) / (dot(row, row) * dot(query, query)).sqrt();
    let mut all: Vec<_> = rows
        .chunks_exact(query.len())
        .map(cosine)
        .enumerate()
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}
