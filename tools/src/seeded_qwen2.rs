//! Qwen2.5-0.5B with weights that a small portable generator makes: the ones of `tests/goldens/qwen2-0.5b`, whose script
//! `tests/goldens/decoder/full_size.py` says how. None of it has to be kept or fetched, and all values are exact in bf16.

use std::io::{self, Write};

use half::bf16;

use crate::seeded::{Tensor, count, draw, header};

const LAYERS: usize = 24;
const HIDDEN: usize = 896;
const KEYS: usize = 128;
const INNER: usize = 4864;
const WORDS: usize = 151_936;

/// Writes the checkpoint as one safetensors file in bf16, 988 MB.
pub fn write_checkpoint(file: &mut impl Write) -> io::Result<()> {
    let tensors = tensors();
    file.write_all(&header(&tensors, "BF16").0)?;
    let mut block = Vec::with_capacity(1 << 20);
    for (name, shape) in &tensors {
        for value in values(name, count(shape)) {
            block.extend(bf16::from_f32(value).to_le_bytes());
            if block.len() == block.capacity() {
                file.write_all(&block)?;
                block.clear();
            }
        }
    }
    file.write_all(&block)
}

/// Names and shapes in the order of a file of the hub's: by name.
fn tensors() -> Vec<Tensor> {
    let mut all: Vec<Tensor> = vec![
        ("model.embed_tokens.weight".into(), vec![WORDS, HIDDEN]),
        ("model.norm.weight".into(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            all.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        };
        for (name, outputs) in [("q_proj", HIDDEN), ("k_proj", KEYS), ("v_proj", KEYS)] {
            add(&format!("self_attn.{name}.weight"), &[outputs, HIDDEN]);
            add(&format!("self_attn.{name}.bias"), &[outputs]);
        }
        add("self_attn.o_proj.weight", &[HIDDEN, HIDDEN]);
        add("mlp.gate_proj.weight", &[INNER, HIDDEN]);
        add("mlp.up_proj.weight", &[INNER, HIDDEN]);
        add("mlp.down_proj.weight", &[HIDDEN, INNER]);
        add("input_layernorm.weight", &[HIDDEN]);
        add("post_attention_layernorm.weight", &[HIDDEN]);
    }
    all.sort();
    all
}

fn values(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let (start, divisor, unit) = if ends(&["norm.weight"]) {
        (1.0, 64, 1.0 / 64.0)
    } else if ends(&[".bias"]) {
        (0.0, 8, 1.0 / 256.0)
    } else if ends(&["embed_tokens.weight", "down_proj.weight"]) {
        (0.0, 8, 1.0 / 4096.0)
    } else {
        (0.0, 8, 1.0 / 2048.0)
    };
    draw(name, count).map(move |u| start + u.div_euclid(divisor) as f32 * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_qwen2_5_0_5b() {
        let tensors = tensors();
        assert_eq!(tensors.len(), 290);
        let parameters: usize = tensors.iter().map(|(_, shape)| count(shape)).sum();
        assert_eq!(parameters, 494_032_768);
    }

    #[test]
    fn each_kind_of_tensor_has_the_values_of_the_script() {
        let check = |name: &str, parts: i32, expected: [i32; 4]| {
            let first: Vec<i32> = values(name, 4)
                .map(|value| (value * parts as f32) as i32)
                .collect();
            assert_eq!(first, expected, "{name}");
        };
        check("model.norm.weight", 64, [49, 52, 60, 68]);
        check(
            "model.layers.3.self_attn.k_proj.bias",
            256,
            [-9, 72, 67, 112],
        );
        check("model.embed_tokens.weight", 4096, [-33, -47, 3, -65]);
        check(
            "model.layers.23.mlp.down_proj.weight",
            4096,
            [113, -95, -77, -110],
        );
        check(
            "model.layers.7.mlp.up_proj.weight",
            2048,
            [50, -54, -34, 51],
        );
    }
}
