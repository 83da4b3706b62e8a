//! CLIP ViT-B/32 with weights that a small portable generator makes: the ones of `tests/goldens/clip-vit-b32`, whose script says
//! how. None of it has to be kept or fetched, and all values are exact in f16.

use half::f16;

use crate::seeded::{Tensor, count, draw, header};

/// The checkpoint as one safetensors file in f16, 303 MB.
pub fn checkpoint() -> Vec<u8> {
    let tensors = tensors();
    let (mut file, bytes) = header(&tensors, "F16");
    file.reserve_exact(bytes);
    for (name, shape) in &tensors {
        let values = values(name, count(shape));
        file.extend(values.flat_map(|value| f16::from_f32(value).to_le_bytes()));
    }
    file
}

/// Names and shapes in the order of a file of the hub's: by name.
fn tensors() -> Vec<Tensor> {
    let mut all = vec![
        ("logit_scale".to_string(), vec![]),
        ("text_projection.weight".into(), vec![512, 512]),
        ("visual_projection.weight".into(), vec![512, 768]),
    ];
    let mut add = |name: String, shape: &[usize]| all.push((name, shape.to_vec()));
    let text = "text_model.embeddings";
    add(format!("{text}.token_embedding.weight"), &[49408, 512]);
    add(format!("{text}.position_embedding.weight"), &[77, 512]);
    let vision = "vision_model.embeddings";
    add(format!("{vision}.class_embedding"), &[768]);
    add(
        format!("{vision}.patch_embedding.weight"),
        &[768, 3, 32, 32],
    );
    add(format!("{vision}.position_embedding.weight"), &[50, 768]);
    for (norm, d) in [
        ("text_model.final_layer_norm", 512),
        ("vision_model.pre_layrnorm", 768),
        ("vision_model.post_layernorm", 768),
    ] {
        add(format!("{norm}.weight"), &[d]);
        add(format!("{norm}.bias"), &[d]);
    }
    for (tower, d) in [("text_model", 512), ("vision_model", 768)] {
        for layer in 0..12 {
            let part = |name: &str| format!("{tower}.encoder.layers.{layer}.{name}");
            for (name, n, k) in [
                ("self_attn.q_proj", d, d),
                ("self_attn.k_proj", d, d),
                ("self_attn.v_proj", d, d),
                ("self_attn.out_proj", d, d),
                ("mlp.fc1", 4 * d, d),
                ("mlp.fc2", d, 4 * d),
            ] {
                add(part(&format!("{name}.weight")), &[n, k]);
                add(part(&format!("{name}.bias")), &[n]);
            }
            for norm in ["layer_norm1", "layer_norm2"] {
                add(part(&format!("{norm}.weight")), &[d]);
                add(part(&format!("{norm}.bias")), &[d]);
            }
        }
    }
    all.sort();
    all
}

fn values(name: &str, count: usize) -> impl Iterator<Item = f32> {
    let kind = Kind::of(name);
    draw(name, count).map(move |u| match kind {
        Kind::Norm => 1.0 + u.div_euclid(16) as f32 / 1024.0,
        Kind::Scale => 4.605_468_8,
        Kind::Uniform(bits) => u as f32 * 0.5f32.powi(bits),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Norm,
    Scale,
    Uniform(i32),
}

impl Kind {
    fn of(name: &str) -> Self {
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
        if name == "logit_scale" {
            Self::Scale
        } else if ends(&[
            "layer_norm1.weight",
            "layer_norm2.weight",
            "layernorm.weight",
            "layrnorm.weight",
            "layer_norm.weight",
        ]) {
            Self::Norm
        } else if ends(&[".bias"]) {
            Self::Uniform(16)
        } else if ends(&[
            "token_embedding.weight",
            "position_embedding.weight",
            "patch_embedding.weight",
            "mlp.fc2.weight",
        ]) {
            Self::Uniform(15)
        } else {
            Self::Uniform(14)
        }
    }
}
