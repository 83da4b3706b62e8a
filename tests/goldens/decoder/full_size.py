"""Qwen2.5-0.5B in its true shapes with weights that a small portable generator makes, and what PyTorch answers for it.

`tools/src/seeded_qwen2.rs` makes the same weights, and `cargo run --release -p pilotlight-tools --bin seed-qwen2 -- FOLDER` writes
them. They are Qwen2's 290 tensors by their names on the hub, without `lm_head.weight`, which is tied. In the file they stand in
the order of their names, in bf16, which all values fit exactly. A tensor's values depend on its name alone: with u the integers
-1024..1023 that `clip-vit-b32/make_goldens.py` draws for a name (SplitMix64 from the name's FNV-1a hash),
    1 + floor(u / 64) / 64     where the name ends in `norm.weight`
    floor(u / 8) / 2^8         where it ends in `.bias`
    floor(u / 8) / 2^12        in `embed_tokens.weight` and `down_proj.weight`
    floor(u / 8) / 2^11        in all others.
`sha256` in expected.json is over all tensors' bf16 bytes, little endian, in that order.

expected.json: `layers`, `separator`, and per case `text`, its `ids` by Qwen2.5's tokenizer, and `ranks`.
expected.safetensors, f32, for the case N: `mean.N` and `last.N` [4, 896], the mean of all tokens' hidden states and the last
token's, at the layers in `layers` (24 is after the final norm), of the text alone; `log_probabilities.N`, `entropies.N` and
`variances.N` [t] of the text after the separator.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from reference import generator, hidden_states, likelihoods, logits, write_cases
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Qwen2Config

GOLDENS = Path(__file__).resolve().parents[1]
FOLDER = GOLDENS / "qwen2-0.5b"
SEPARATOR = 151643
LAYERS = [1, 16, 22, 24]

# As on the hub in Qwen/Qwen2.5-0.5B.
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "hidden_act": "silu",
    "hidden_size": 896,
    "initializer_range": 0.02,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 24,
    "model_type": "qwen2",
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "sliding_window": 32768,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.1",
    "use_cache": True,
    "use_mrope": False,
    "use_sliding_window": False,
    "vocab_size": 151936,
}

# The ids are those of Qwen2.5's tokenizer.
CASES = [
    ("A pilot light is a small flame that is always on; when the water is cold, it lights the burner. In 1960, un caf\u00e9",
     [32, 17708, 3100, 374, 264, 2613, 34578, 429, 374, 2677, 389, 26, 979, 279, 3015, 374, 9255, 11, 432, 12711, 279, 64719,
      13, 758, 220, 16, 24, 21, 15, 11, 650, 51950]),
    ("The capital of France is", [785, 6722, 315, 9625, 374]),
]


def draw(name: str, count: int) -> np.ndarray:
    """The `count` integers u in -1024..1023 that belong to a name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(53)).astype(np.int16) - np.int16(1024)


def make(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """One tensor, bf16."""
    u = draw(name, int(np.prod(shape)))
    if name.endswith("norm.weight"):
        values = 1 + (u // 64).astype(np.float32) / 64
    elif name.endswith(".bias"):
        values = (u // 8).astype(np.float32) / 2**8
    elif name.endswith(("embed_tokens.weight", "down_proj.weight")):
        values = (u // 8).astype(np.float32) / 2**12
    else:
        values = (u // 8).astype(np.float32) / 2**11
    whole = torch.from_numpy(values).reshape(shape)
    stored = whole.to(torch.bfloat16)
    assert torch.equal(stored.float(), whole), name
    return stored


def make_model():
    """The network in f32, and the digest of its weights."""
    config = Qwen2Config.from_dict(CONFIG)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    digest = hashlib.sha256()
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        stored = make(name, tuple(parameter.shape))
        digest.update(stored.view(torch.int16).numpy().astype("<i2").tobytes())
        weights[name] = stored.float()
    missing = model.load_state_dict(weights, strict=False, assign=True)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys, missing
    model.tie_weights()
    # A module made on the meta device has no values of its own, and no weight holds the rotary frequencies.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=config)
    assert not any(value.is_meta for value in [*model.parameters(), *model.buffers()])
    return model.eval(), digest.hexdigest()


def make_goldens(check: bool) -> None:
    """Writes config.json and what PyTorch answers."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    model, digest = make_model()
    tensors, cases = {}, []
    for index, (text, ids) in enumerate(CASES):
        states = hidden_states(model, ids)[LAYERS]
        told = likelihoods(logits(model, ids, SEPARATOR), ids)
        tensors[f"mean.{index}"] = states.double().mean(1).float()
        tensors[f"last.{index}"] = states[:, -1].contiguous()
        for name in ("log_probabilities", "entropies", "variances"):
            tensors[f"{name}.{index}"] = told[name].float()
        cases.append({"text": text, "ids": ids, "ranks": told["ranks"].tolist()})
        for layer, values in zip(LAYERS, states):
            unit = torch.nn.functional.normalize(values, dim=-1)
            print(f"text {index}, layer {layer}: rms {values.square().mean().sqrt():.3f}, largest {values.abs().max():.2f}, "
                  f"cosine of the first and the last token {unit[0] @ unit[-1]:.3f}")
        print(f"text {index}: ln p {told['log_probabilities'].min():.2f} to {told['log_probabilities'].max():.2f}")
    save_file(tensors, FOLDER / "expected.safetensors")
    head = {"generator": generator(), "sha256": digest, "layers": LAYERS, "separator": SEPARATOR}
    write_cases(FOLDER / "expected.json", head, cases)
    if check:
        model.double()
        for index, (_, ids) in enumerate(CASES):
            exact = hidden_states(model, ids)[LAYERS].mean(1)
            away = (exact - tensors[f"mean.{index}"]).abs().amax(1) / exact.abs().amax(1)
            print(f"text {index}: f32 is {', '.join(f'{value:.1e}' for value in away)} of the largest value from f64")
