//! The goldens that PyTorch computed from the same inputs, for the unit tests of the tasks.

use std::collections::HashMap;
use std::future::Future;

use serde::Deserialize;

use crate::hub::MemoryHost;

const DIGITS: &[u8] = include_bytes!("../../tests/goldens/digits/expected.safetensors");

#[derive(Deserialize)]
struct Entry {
    data_offsets: [usize; 2],
}

/// The bytes of a tensor of the digits' goldens.
pub fn bytes(name: &str) -> &'static [u8] {
    bytes_in(DIGITS, name)
}

/// The values of an f32 tensor of the digits' goldens.
pub fn values(name: &str) -> Vec<f32> {
    values_in(DIGITS, name)
}

fn bytes_in<'a>(file: &'a [u8], name: &str) -> &'a [u8] {
    let (length, rest) = file.split_first_chunk().unwrap();
    let (head, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let entries: HashMap<String, serde_json::Value> = serde_json::from_slice(head).unwrap();
    let Entry { data_offsets } = serde_json::from_value(entries[name].clone()).unwrap();
    &data[data_offsets[0]..data_offsets[1]]
}

/// The values of an f32 tensor in a safetensors file.
pub fn values_in(file: &[u8], name: &str) -> Vec<f32> {
    let fours = bytes_in(file, name).as_chunks().0;
    fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// Makes a repository with one of the packed networks.
pub fn host(weights: &[u8]) -> MemoryHost {
    MemoryHost::new([("pilotlight-q8.safetensors".to_owned(), weights.to_vec())])
}

/// The largest difference of two lists of the same length.
pub fn largest_difference(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let pairs = got.iter().zip(expected);
    pairs.fold(0.0, |largest, (a, b)| {
        assert!(a.is_finite());
        largest.max((a - b).abs())
    })
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    pollster::block_on(future)
}
