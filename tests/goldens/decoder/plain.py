"""A decoder in plain numpy and f64, and the mistakes that a port of it can make: both check what the tiny goldens tell apart."""

import numpy as np

# The mistakes that the goldens must reveal, each with the models that can reveal it.
ALL = ("qwen2", "llama", "qwen3")
MISTAKES = {
    "rotation of neighbours instead of halves": ALL,
    "another theta": ALL,
    "epsilon ten times larger": ALL,
    "epsilon ten times smaller": ALL,
    "key heads interleaved over the query heads": ALL,
    "scores of later tokens": ALL,
    "scores scaled by hidden / heads": ("qwen3",),
    "GELU instead of SiLU": ALL,
    "gate and up exchanged": ALL,
    "no q_proj.bias": ("qwen2",),
    "no k_proj.bias": ("qwen2",),
    "no v_proj.bias": ("qwen2",),
    "the sliding window of the config": ("qwen2",),
    "words beyond the tokenizer's left out": ("qwen2",),
    "the embeddings as the word head": ("llama",),
    "no q_norm": ("qwen3",),
    "no k_norm": ("qwen3",),
    "q_norm and k_norm after the rotation": ("qwen3",),
    "no final norm": ALL,
}


def rms(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotated(x, theta, neighbours=False):
    """`x: [h, t, d]`."""
    d = x.shape[-1]
    angles = np.arange(x.shape[1])[:, None] * theta ** (-np.arange(0, d, 2) / d)
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = (x[..., 0::2], x[..., 1::2]) if neighbours else (x[..., : d // 2], x[..., d // 2 :])
    halves = first * cos - second * sin, second * cos + first * sin
    return np.stack(halves, -1).reshape(x.shape) if neighbours else np.concatenate(halves, -1)


def decode(config, weights, ids, words, mistake=None):
    """Hidden states as in `reference.py`, and logits after every token. `words` is the size of the tokenizer's vocabulary."""
    kind, heads, kv_heads = config.model_type, config.num_attention_heads, config.num_key_value_heads
    d = getattr(config, "head_dim", None) or config.hidden_size // heads
    eps = config.rms_norm_eps * {"epsilon ten times larger": 10, "epsilon ten times smaller": 0.1}.get(mistake, 1)
    theta = config.rope_parameters["rope_theta"] * (10 if mistake == "another theta" else 1)
    x = weights["model.embed_tokens.weight"][ids]
    t = len(ids)
    allowed = np.tri(t, dtype=bool)
    if mistake == "scores of later tokens":
        allowed[:] = True
    if mistake == "the sliding window of the config":
        allowed &= ~np.tri(t, k=-8, dtype=bool)
    states = [x]
    for layer in range(config.num_hidden_layers):
        part = lambda name: weights[f"model.layers.{layer}.{name}"]  # noqa: B023, E731
        normed = rms(x, part("input_layernorm.weight"), eps)
        q, k, v = (normed @ part(f"self_attn.{name}_proj.weight").T for name in "qkv")
        if kind == "qwen2":
            q, k, v = (y + (0 if mistake == f"no {name}_proj.bias" else part(f"self_attn.{name}_proj.bias"))
                       for y, name in ((q, "q"), (k, "k"), (v, "v")))
        q, k, v = (y.reshape(t, -1, d).swapaxes(0, 1) for y in (q, k, v))
        late = mistake == "q_norm and k_norm after the rotation"
        turn = lambda y: rotated(y, theta, mistake == "rotation of neighbours instead of halves")  # noqa: E731
        if late:
            q, k = turn(q), turn(k)
        if kind == "qwen3":
            q = q if mistake == "no q_norm" else rms(q, part("self_attn.q_norm.weight"), eps)
            k = k if mistake == "no k_norm" else rms(k, part("self_attn.k_norm.weight"), eps)
        if not late:
            q, k = turn(q), turn(k)
        if mistake == "key heads interleaved over the query heads":
            k, v = (np.tile(y, (heads // kv_heads, 1, 1)) for y in (k, v))
        else:
            k, v = (np.repeat(y, heads // kv_heads, axis=0) for y in (k, v))
        scale = config.hidden_size // heads if mistake == "scores scaled by hidden / heads" else d
        scores = np.where(allowed, q @ k.swapaxes(1, 2) / np.sqrt(scale), -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (p / p.sum(-1, keepdims=True) @ v).swapaxes(0, 1).reshape(t, heads * d)
        x = x + mixed @ part("self_attn.o_proj.weight").T
        normed = rms(x, part("post_attention_layernorm.weight"), eps)
        gate, up = (normed @ part(f"mlp.{name}_proj.weight").T for name in ("gate", "up"))
        if mistake == "gate and up exchanged":
            gate, up = up, gate
        if mistake == "GELU instead of SiLU":
            active = gate / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
        else:
            active = gate / (1 + np.exp(-gate))
        x = x + (active * up) @ part("mlp.down_proj.weight").T
        states.append(x)
    if mistake != "no final norm":
        states[-1] = rms(x, weights["model.norm.weight"], eps)
    head = weights["model.embed_tokens.weight"]
    if "lm_head.weight" in weights and mistake != "the embeddings as the word head":
        head = weights["lm_head.weight"]
    logits = states[-1] @ head.T
    if mistake == "words beyond the tokenizer's left out":
        logits = logits[:, :words]
    return np.stack(states), logits
