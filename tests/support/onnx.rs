//! ONNX files of the models in this folder.

#![allow(clippy::unwrap_used, clippy::panic, dead_code)]

use super::{Files, tensors_of, with_weights};

#[path = "../../src/weights/onnx/testing.rs"]
pub mod testing;

use testing::{initializer, model, node};

pub const ONNX: &str = "onnx/model.onnx";

/// The repository with an ONNX file in place of the safetensors.
pub fn onnx_of(files: &Files) -> Files {
    with_weights(files, ONNX, of_safetensors)
}

/// The ONNX file with the tensors of a safetensors file of f32, in the form in which PyTorch's exporter writes them.
fn of_safetensors(file: &[u8]) -> Vec<u8> {
    let tensors = tensors_of(file);
    let (mut nodes, mut kept, mut renamed) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (name, shape, values)) in tensors.iter().enumerate() {
        let bias = name
            .strip_suffix("weight")
            .map(|module| format!("{module}bias"));
        let bias =
            bias.filter(|bias| shape.len() == 2 && tensors.iter().any(|(name, ..)| name == bias));
        let Some(bias) = bias else {
            kept.push(initializer(name, 1, shape, values));
            continue;
        };
        let (own, product) = (format!("onnx::MatMul_{index}"), format!("product_{index}"));
        nodes.push(node("MatMul", "", &["x", &own], &product));
        nodes.push(node("Add", "", &[&bias, &product], "x"));
        let [n, k] = [shape[0], shape[1]].map(|dim| dim as usize);
        let mut columns = Vec::with_capacity(values.len());
        for (column, row) in (0..k).flat_map(|column| (0..n).map(move |row| (column, row))) {
            let at = 4 * (row * k + column);
            columns.extend(&values[at..at + 4]);
        }
        renamed.push(initializer(&own, 1, &[shape[1], shape[0]], &columns));
    }
    model(&[nodes.concat(), kept.concat(), renamed.concat()])
}
