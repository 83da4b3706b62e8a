//! Checkpoints of PyTorch of the models in this folder.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use super::{Files, tensors_of, with_weights};

#[path = "../../src/weights/pytorch/testing.rs"]
pub mod testing;

use testing::{View, checkpoint};

pub const PYTORCH: &str = "pytorch_model.bin";

/// The repository with a checkpoint of PyTorch in place of the safetensors.
pub fn pytorch_of(files: &Files) -> Files {
    with_weights(files, PYTORCH, of_safetensors)
}

/// The checkpoint with the tensors of a safetensors file of f32.
pub fn of_safetensors(file: &[u8]) -> Vec<u8> {
    let tensors = tensors_of(file);
    let views: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(key, (name, shape, _))| View::whole(name, key, shape))
        .collect();
    let storages: Vec<_> = tensors.iter().map(|(.., values)| values.to_vec()).collect();
    checkpoint(&views, &storages)
}
