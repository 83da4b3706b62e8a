//! The tensors of a small safetensors file.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

/// The contents of a safetensors file.
pub struct Tensors {
    head: HashMap<String, Value>,
    data: Vec<u8>,
}

impl Tensors {
    pub fn read(path: &Path) -> Self {
        let mut file = std::fs::read(path).unwrap();
        let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
        let data = file.split_off(8 + length);
        let head = serde_json::from_slice(&file[8..]).unwrap();
        Self { head, data }
    }

    /// The values of an f32 tensor.
    pub fn values(&self, name: &str) -> Vec<f32> {
        let entry = self.head.get(name);
        let entry = entry.unwrap_or_else(|| panic!("the file has no tensor {name}"));
        assert_eq!(entry["dtype"], "F32");
        let place = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
        let fours = self.data[place(0)..place(1)].as_chunks().0;
        fours.iter().map(|four| f32::from_le_bytes(*four)).collect()
    }
}
