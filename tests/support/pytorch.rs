//! Checkpoints of PyTorch of the models in this folder.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use super::{Files, WEIGHTS};

#[path = "../../src/weights/pytorch/testing.rs"]
pub mod testing;

use testing::{View, checkpoint};

pub const PYTORCH: &str = "pytorch_model.bin";

/// The repository with a checkpoint of PyTorch in place of the safetensors.
pub fn pytorch_of(files: &Files) -> Files {
    let mut files = files.clone();
    let weights = files.remove(WEIGHTS).unwrap();
    files.insert(PYTORCH.into(), of_safetensors(&weights));
    files
}

/// The checkpoint with the tensors of a safetensors file of f32.
pub fn of_safetensors(file: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    let (head, data) = file.split_at(8 + length);
    let entries: serde_json::Map<_, _> = serde_json::from_slice(&head[8..]).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<u64> {
        let numbers = value.as_array().unwrap().iter();
        numbers.map(|number| number.as_u64().unwrap()).collect()
    };
    let (mut views, mut storages) = (Vec::new(), Vec::new());
    for (key, (name, entry)) in entries.iter().enumerate() {
        let range = numbers(&entry["data_offsets"]);
        views.push(View::whole(name, key, &numbers(&entry["shape"])));
        storages.push(data[range[0] as usize..range[1] as usize].to_vec());
    }
    checkpoint(&views, &storages)
}
