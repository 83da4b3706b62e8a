"""The encoders in plain PyTorch and f64, and the mistakes: what `transformers` is checked against.

`forward(family, weights, config, ids)` gives the hidden states after the embeddings and after each layer. With the name
of a mistake (one of `MISTAKES[family]`) it does what a reader of the papers could take for right.
"""

import math

import torch

ACTIVATIONS = {"gelu": torch.nn.functional.gelu, "relu": torch.relu, "silu": torch.nn.functional.silu,
               "gelu_new": lambda x: torch.nn.functional.gelu(x, approximate="tanh")}
ABSOLUTE = ["positions from 0", "positions from padding_idx", "another epsilon", "the other GELU"]
ROTARY = ["interleaved rotary", "positions from 1 for queries", "heads interleaved in Wqkv", "gate and up exchanged",
          "another epsilon"]
MISTAKES = {
    "roberta": [*ABSOLUTE, "no token type"],
    "xlm-roberta": [*ABSOLUTE, "no token type"],
    "camembert": [*ABSOLUTE, "no token type"],
    "mpnet": [*ABSOLUTE, "bias towards the other side", "bias in the first layer only", "bias scaled too",
              "one bucket for both sides", "no bias beyond 8"],
    "modernbert": [*ROTARY, "whole window", "window without its ends", "window everywhere", "no window",
                   "thetas exchanged", "global theta everywhere", "last layer of three is global",
                   "norm before the first attention", "no final norm", "the other GELU"],
    "nomic_bert": [*ROTARY, "theta 10000", "no token type", "gelu"],
    "jina": ["no bias", "causal bias", "bias scaled too", "slopes of 2^(-8 h / n)", "gate and up exchanged",
             "no token type", "another epsilon", "the other GELU"],
}


def norm(x, weights, name, epsilon):
    """LayerNorm over the last axis; without a tensor of that name nothing is scaled or shifted."""
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt()
    return x * weights.get(f"{name}.weight", 1) + weights.get(f"{name}.bias", 0)


def other_epsilon(right, mistake):
    """1e-5 and 1e-12 are the two that configs name, and either is the default of some class."""
    return (1e-12 if right > 1e-9 else 1e-5) if mistake == "another epsilon" else right


def linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)


def attend(q, k, v, heads, bias):
    """Softmax attention of `[t, d]` in heads, with `bias` `[heads or 1, t, t]` added to the scaled scores."""
    t, d = q.shape
    q, k, v = (x.reshape(t, heads, d // heads).transpose(0, 1) for x in (q, k, v))
    scores = q @ k.transpose(1, 2) / math.sqrt(d // heads) + bias
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(t, d)


def rotate(x, heads, theta, interleaved, start):
    """Rotary positions over whole heads: the halves of a head are the two coordinates of its planes."""
    t, d = x.shape
    x = x.reshape(t, heads, d // heads)
    half = d // heads // 2
    frequencies = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = (torch.arange(t, dtype=torch.float64)[:, None] + start)[..., None] * frequencies
    cos, sin = angles.cos(), angles.sin()
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(t, d)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).reshape(t, d)


def distances(t):
    """`[t, t]`: the key's place minus the query's."""
    return torch.arange(t)[None, :] - torch.arange(t)[:, None]


def bucket(distance, mistake):
    """MPNet's (T5's) bucket of a distance: 16 to each side, one for each of 8 distances, then wider ones up to 128."""
    far = abs(distance)
    offset = 16 if distance > 0 else 0
    if mistake == "bias towards the other side":
        offset = 16 if distance < 0 else 0
    if mistake == "one bucket for both sides":
        offset = 0
    if far < 8:
        return offset + far
    if mistake == "no bias beyond 8":
        return offset + 8
    # In integers, as logarithms may round: far / 8 reaches 16^(n / 8).
    return offset + 8 + max(step for step in range(8) if far ** 8 >= 8 ** 8 * 16 ** step)


def slopes(heads, mistake):
    """ALiBi's slopes, also for numbers of heads that are no power of two."""
    def powers(n):
        return [2 ** (-8 * (index + 1) / n) for index in range(n)]
    whole = 2 ** int(math.log2(heads))
    if mistake == "slopes of 2^(-8 h / n)":
        return powers(heads)
    return powers(whole) + powers(2 * whole)[0::2][:heads - whole]


def bert_layers(x, weights, config, mistake, names, bias, epsilon, act):
    """The post-norm layers of BERT, under the names of a family."""
    states = [x]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (linear(x, weights, at + name) for name in names["qkv"])
        here = 0 * bias if mistake == "bias in the first layer only" and layer else bias
        attended = attend(q, k, v, config["num_attention_heads"], here)
        x = norm(linear(attended, weights, at + names["out"]) + x, weights, at + names["norm"], epsilon)
        if "mlp" in names:
            first, second = linear(x, weights, f"{at}mlp.gated_layers").chunk(2, -1)
            if mistake == "gate and up exchanged":
                first, second = second, first
            x = norm(linear(act(first) * second, weights, f"{at}mlp.wo") + x, weights, f"{at}mlp.layernorm", epsilon)
        else:
            inner = act(linear(x, weights, f"{at}intermediate.dense"))
            x = norm(linear(inner, weights, f"{at}output.dense") + x, weights, f"{at}output.LayerNorm", epsilon)
        states.append(x)
    return states


BERT = dict(qkv=[f"attention.self.{name}" for name in ("query", "key", "value")], out="attention.output.dense",
            norm="attention.output.LayerNorm")
MPNET = dict(qkv=[f"attention.attn.{name}" for name in "qkv"], out="attention.attn.o", norm="attention.LayerNorm")


def embedded(weights, ids, positions, with_types):
    x = weights["embeddings.word_embeddings.weight"][ids]
    if with_types:
        x = x + weights["embeddings.token_type_embeddings.weight"][0]
    return x if positions is None else x + weights["embeddings.position_embeddings.weight"][positions]


def bert_like(family, weights, config, ids, mistake):
    """RoBERTa, XLM-RoBERTa, CamemBERT, MPNet and JinaBERT."""
    t, heads = len(ids), config["num_attention_heads"]
    epsilon = other_epsilon(config["layer_norm_eps"], mistake)
    act = ACTIVATIONS[{"gelu": "gelu_new", "gelu_new": "gelu"}[config["hidden_act"]] if mistake == "the other GELU"
                      else config["hidden_act"]]
    bias, positions, names = torch.zeros(1, t, t, dtype=torch.float64), None, BERT
    if family != "jina":
        # A padding token within a text has no place: it does not count, and its position is padding_idx.
        padding = 1 if family == "mpnet" else config["pad_token_id"]
        counted = (ids != padding).long()
        first = {"positions from 0": 0, "positions from padding_idx": padding}.get(mistake, padding + 1)
        positions = counted.cumsum(0) * counted + (first - 1) * counted + padding * (1 - counted)
    if family == "mpnet":
        names = MPNET
        buckets = torch.tensor([[bucket(distance, mistake) for distance in row] for row in distances(t).tolist()])
        bias = weights["encoder.relative_attention_bias.weight"][buckets].permute(2, 0, 1)
    if family == "jina":
        names = BERT | dict(mlp=True)
        far = distances(t).abs() if mistake != "causal bias" else (-distances(t)).clamp(min=0)
        bias = -torch.tensor(slopes(heads, mistake), dtype=torch.float64)[:, None, None] * far
        bias = 0 * bias if mistake == "no bias" else bias
    if mistake == "bias scaled too":
        bias = bias / math.sqrt(config["hidden_size"] // heads)
    with_types = family != "mpnet" and mistake != "no token type"
    x = norm(embedded(weights, ids, positions, with_types), weights, "embeddings.LayerNorm", epsilon)
    return bert_layers(x, weights, config, mistake, names, bias, epsilon, act)


def split(qkv, heads, mistake):
    if mistake == "heads interleaved in Wqkv":
        t, d = qkv.shape
        return [x.reshape(t, d // 3) for x in qkv.reshape(t, heads, 3, d // 3 // heads).unbind(2)]
    return qkv.chunk(3, -1)


def turned(q, k, heads, theta, mistake):
    interleaved = mistake == "interleaved rotary"
    return (rotate(q, heads, theta, interleaved, int(mistake == "positions from 1 for queries")),
            rotate(k, heads, theta, interleaved, 0))


def modernbert(weights, config, ids, mistake):
    t, heads, epsilon = len(ids), config["num_attention_heads"], other_epsilon(config["norm_eps"], mistake)
    act = ACTIVATIONS["gelu_new" if mistake == "the other GELU" else config["hidden_activation"]]
    half = config["local_attention"] // 2
    half = {"whole window": 2 * half, "window without its ends": half - 1, "no window": t}.get(mistake, half)
    window = torch.where(distances(t).abs() <= half, 0.0, -math.inf).double()[None]
    whole = torch.zeros_like(window)
    x = norm(weights["embeddings.tok_embeddings.weight"][ids], weights, "embeddings.norm", epsilon)
    states = [x]
    for layer, kind in enumerate(config["layer_types"]):
        at, is_local = f"layers.{layer}.", kind == "sliding_attention"
        if mistake == "last layer of three is global":
            is_local = layer % 3 != 2
        theta = config["thetas"][is_local != (mistake == "thetas exchanged")]
        theta = config["thetas"][False] if mistake == "global theta everywhere" else theta
        is_normed = layer > 0 or mistake == "norm before the first attention"
        y = norm(x, weights, at + "attn_norm", epsilon) if is_normed else x
        q, k, v = split(linear(y, weights, at + "attn.Wqkv"), heads, mistake)
        q, k = turned(q, k, heads, theta, mistake)
        attended = attend(q, k, v, heads, window if is_local or mistake == "window everywhere" else whole)
        x = x + linear(attended, weights, at + "attn.Wo")
        first, second = linear(norm(x, weights, at + "mlp_norm", epsilon), weights, at + "mlp.Wi").chunk(2, -1)
        if mistake == "gate and up exchanged":
            first, second = second, first
        x = x + linear(act(first) * second, weights, at + "mlp.Wo")
        states.append(x)
    if mistake != "no final norm":
        states[-1] = norm(x, weights, "final_norm", epsilon)
    return states


def nomic(weights, config, ids, mistake):
    heads, epsilon = config["num_attention_heads"], other_epsilon(config["layer_norm_eps"], mistake)
    theta = 10000.0 if mistake == "theta 10000" else config["thetas"][False]
    act = ACTIVATIONS["gelu" if mistake == "gelu" else "silu"]
    x = norm(embedded(weights, ids, None, mistake != "no token type"), weights, "emb_ln", epsilon)
    states = [x]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layers.{layer}."
        q, k, v = split(linear(x, weights, at + "attn.Wqkv"), heads, mistake)
        q, k = turned(q, k, heads, theta, mistake)
        bias = torch.zeros(1, len(ids), len(ids), dtype=torch.float64)
        attended = linear(attend(q, k, v, heads, bias), weights, at + "attn.out_proj")
        x = norm(x + attended, weights, at + "norm1", epsilon)
        up, gate = linear(x, weights, at + "mlp.fc11"), linear(x, weights, at + "mlp.fc12")
        if mistake == "gate and up exchanged":
            up, gate = gate, up
        x = norm(x + linear(up * act(gate), weights, at + "mlp.fc2"), weights, at + "norm2", epsilon)
        states.append(x)
    return states


def forward(family, weights, config, ids, mistake=None):
    """The hidden states, each `[t, d]` in f64: after the embeddings, and after each layer."""
    assert mistake is None or mistake in MISTAKES[family], mistake
    weights = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    ids = torch.tensor(ids)
    if family == "modernbert":
        return modernbert(weights, config, ids, mistake)
    if family == "nomic_bert":
        return nomic(weights, config, ids, mistake)
    return bert_like(family, weights, config, ids, mistake)
