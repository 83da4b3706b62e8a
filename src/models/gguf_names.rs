//! The names of tensors in GGUF files.
//!
//! *Source*: llama.cpp, `gguf-py/gguf/tensor_mapping.py`.

/// The name of a tensor of a BERT encoder.
pub fn bert(name: &str) -> Option<String> {
    of(
        name,
        "encoder.layer.",
        &[
            ("embeddings.word_embeddings", "token_embd"),
            ("embeddings.position_embeddings", "position_embd"),
            ("embeddings.token_type_embeddings", "token_types"),
            ("embeddings.LayerNorm", "token_embd_norm"),
        ],
        &[
            ("attention.self.query", "attn_q"),
            ("attention.self.key", "attn_k"),
            ("attention.self.value", "attn_v"),
            ("attention.output.dense", "attn_output"),
            ("attention.output.LayerNorm", "attn_output_norm"),
            ("intermediate.dense", "ffn_up"),
            ("output.dense", "ffn_down"),
            ("output.LayerNorm", "layer_output_norm"),
        ],
    )
}

/// The name of a tensor of a decoder: Llama, Qwen2 or Qwen3.
pub fn decoder(name: &str) -> Option<String> {
    of(
        name,
        "layers.",
        &[
            ("embed_tokens", "token_embd"),
            ("norm", "output_norm"),
            ("lm_head", "output"),
        ],
        &[
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ],
    )
}

/// Translates a name by the modules outside of layers and those of a layer, whose names begin with `layers` and a number.
fn of(
    name: &str,
    layers: &str,
    outside: &[(&str, &str)],
    inside: &[(&str, &str)],
) -> Option<String> {
    let (module, kind) = name.rsplit_once('.')?;
    if !matches!(kind, "weight" | "bias") {
        return None;
    }
    let find = |modules: &[(&str, &str)], module: &str| {
        let found = modules.iter().find(|(own, _)| *own == module);
        found.map(|(_, gguf)| (*gguf).to_string())
    };
    let Some(rest) = module.strip_prefix(layers) else {
        return Some(format!("{}.{kind}", find(outside, module)?));
    };
    let (layer, module) = rest.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    Some(format!("blk.{layer}.{}.{kind}", find(inside, module)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_has_its_name_and_others_have_none() {
        for (name, expected) in [
            (
                "embeddings.word_embeddings.weight",
                Some("token_embd.weight"),
            ),
            ("embeddings.LayerNorm.bias", Some("token_embd_norm.bias")),
            (
                "encoder.layer.11.attention.self.key.bias",
                Some("blk.11.attn_k.bias"),
            ),
            (
                "encoder.layer.0.output.dense.weight",
                Some("blk.0.ffn_down.weight"),
            ),
            (
                "encoder.layer.0.output.LayerNorm.weight",
                Some("blk.0.layer_output_norm.weight"),
            ),
            ("encoder.layer.x.output.dense.weight", None),
            ("encoder.layer.0.weight", None),
            ("pooler.dense.weight", None),
        ] {
            assert_eq!(bert(name).as_deref(), expected, "{name}");
        }
        for (name, expected) in [
            ("embed_tokens.weight", Some("token_embd.weight")),
            ("lm_head.weight", Some("output.weight")),
            ("norm.weight", Some("output_norm.weight")),
            ("layers.3.self_attn.q_proj.bias", Some("blk.3.attn_q.bias")),
            (
                "layers.3.self_attn.k_norm.weight",
                Some("blk.3.attn_k_norm.weight"),
            ),
            (
                "layers.3.mlp.gate_proj.weight",
                Some("blk.3.ffn_gate.weight"),
            ),
            ("layers.3.mlp.gate_proj.scale", None),
            ("layers.3", None),
        ] {
            assert_eq!(decoder(name).as_deref(), expected, "{name}");
        }
    }
}
