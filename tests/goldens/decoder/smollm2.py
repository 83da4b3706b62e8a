"""Makes PyTorch's results for the real SmolLM2-135M-Instruct, in f32 with the weights of its Q4_1 GGUF file.

The 64 texts are half human and half machine: of each of the twelve sets in aitext two pairs, and of those in bias eight texts by
people and eight by a machine. expected.json names them: `file`, `list` (aitext only) and `index` find the raw text; after
`clean`, it is the `words` words after the first `skip`, joined by single spaces. `skip` leaves out the words that a pair has in
common at its start, `words` makes both of a pair equally long, with three words dropped, and not longer than 160.
`sha256` is that of the text in UTF-8.

For each text, after the separator and cut at 400 tokens, `tokens` (their count) and over these `mean_log_probability`,
`mean_entropy` and `mean_log_rank`: in f64 from f32 logits. expected.safetensors, of the texts N in `per_token`:
`log_probabilities.N`, `entropies.N` and `variances.N` [t] f32, `ranks.N` [t] i32; of the texts N in `hidden_states`, alone, without
the separator: `mean.N` and `last.N` [4, 576] f32 at the layers in `layers` (30 is after the final norm).
"""

import hashlib
import json
import re
import time
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch
from reference import generator, hidden_states, likelihoods, logits, write_cases
from safetensors.torch import save_file
from token_ids import smollm2_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

FOLDER = Path(__file__).resolve().parents[1] / "smollm2"
SEPARATOR, LIMIT, WORDS = 0, 400, 160
LAYERS = [0, 1, 20, 30]
PER_TOKEN, HIDDEN_STATES = [0, 25, 48, 63], [0, 1]
DOMAINS = ("xsum", "writing", "pubmed")
MACHINES = ("davinci", "gpt-3.5-turbo", "gpt-4", "claude-3-opus")
PAIRS = (10, 100)
BIAS = (("toefl_human", 4), ("hewlett_human", 4), ("college_gpt35", 8))
REPLACED = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "...",
            "``": '"', "''": '"', "\u00a0": " "}


def clean(text: str) -> list[str]:
    """The words after replacing quotes, dashes and the like in the order of `REPLACED`; any white space parts them."""
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    return re.sub(r"\s+", " ", text).strip().split(" ")


def choose(data: Path) -> list[dict]:
    """The texts, each with where it is from."""
    cases = []

    def add(file, where, words, skip, count):
        count = min(count, WORDS)
        text = " ".join(words[skip : skip + count])
        assert len(text.split(" ")) == count > 10, (file, where)
        cases.append({"file": file, **where, "skip": skip, "words": count, "text": text})

    for domain in DOMAINS:
        for machine in MACHINES:
            file = f"aitext/{domain}_{machine}.raw_data.json"
            pairs = json.loads((data / file).read_text(encoding="utf-8"))
            for index in PAIRS:
                both = [clean(pairs[name][index]) for name in ("original", "sampled")]
                same = [one.lower().strip(".,") == other.lower().strip(".,") for one, other in zip(*both)]
                skip = same.index(False)
                count = min(map(len, both)) - skip - 3
                for name, words in zip(("original", "sampled"), both):
                    add(file, {"list": name, "index": index}, words, skip, count)
    for name, count in BIAS:
        file = f"bias/{name}.json"
        for index, text in enumerate(json.loads((data / file).read_text(encoding="utf-8"))[:count]):
            words = clean(text)
            add(file, {"index": index}, words, 0, len(words))
    assert len(cases) == 64
    return cases


def load(path: Path) -> LlamaForCausalLM:
    reader = gguf.GGUFReader(path)
    field = lambda name: reader.fields[f"llama.{name}"].contents()  # noqa: E731
    stored = {tensor.name: tensor for tensor in reader.tensors}
    config = LlamaConfig(
        vocab_size=field("vocab_size"), hidden_size=field("embedding_length"), intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"), num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"), rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        max_position_embeddings=field("context_length"), tie_word_embeddings=True)

    def weight(name, heads=None):
        tensor = stored[f"{name}.weight"]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(tensor.shape[::-1].tolist())
        if heads:
            # llama.cpp stores the rows of q and k so that it rotates neighbours.
            values = values.reshape(heads, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        return torch.from_numpy(np.array(values, dtype=np.float32))

    weights = {"model.embed_tokens.weight": weight("token_embd"), "model.norm.weight": weight("output_norm")}
    for layer in range(config.num_hidden_layers):
        for ours, theirs, heads in (
            ("self_attn.q_proj", "attn_q", config.num_attention_heads), ("self_attn.k_proj", "attn_k", config.num_key_value_heads),
            ("self_attn.v_proj", "attn_v", None), ("self_attn.o_proj", "attn_output", None), ("mlp.gate_proj", "ffn_gate", None),
            ("mlp.up_proj", "ffn_up", None), ("mlp.down_proj", "ffn_down", None), ("input_layernorm", "attn_norm", None),
            ("post_attention_layernorm", "ffn_norm", None),
        ):
            weights[f"model.layers.{layer}.{ours}.weight"] = weight(f"blk.{layer}.{theirs}", heads)
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager", dtype=torch.float32)
    loading = model.load_state_dict(weights, strict=False)
    assert loading.missing_keys == ["lm_head.weight"] and not loading.unexpected_keys, loading
    model.tie_weights()
    return model.eval()


def rounded(model) -> list:
    """Makes every linear layer read its input as bf16 has it; the hooks that do, to be removed."""
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return [module.register_forward_pre_hook(lambda _, inputs: (inputs[0].bfloat16().float(),)) for module in linear]


def make_goldens(data: Path, path: Path, check: bool) -> None:
    """Writes what PyTorch answers."""
    FOLDER.mkdir(exist_ok=True)
    model, tokenizer = load(path), smollm2_tokenizer(path)
    cases, tensors, seconds = choose(data), {}, 0.0
    for index, case in enumerate(cases):
        text = case.pop("text")
        ids = tokenizer.encode(text).ids[:LIMIT]
        start = time.process_time()
        told = likelihoods(logits(model, ids, SEPARATOR), ids)
        seconds += time.process_time() - start
        case |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "tokens": len(ids),
                 "mean_log_probability": told["log_probabilities"].mean().item(),
                 "mean_entropy": told["entropies"].mean().item(), "mean_log_rank": told["ranks"].double().log().mean().item()}
        if index in PER_TOKEN:
            tensors |= {f"{name}.{index}": told[name].float() for name in ("log_probabilities", "entropies", "variances")}
            tensors[f"ranks.{index}"] = told["ranks"].int()
        if index in HIDDEN_STATES:
            states = hidden_states(model, ids)[LAYERS]
            tensors |= {f"mean.{index}": states.double().mean(1).float(), f"last.{index}": states[:, -1].contiguous()}
    save_file(tensors, FOLDER / "expected.safetensors")
    # Read in pieces: the file has 98 MB.
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    head = {"generator": generator(f"gguf {version('gguf')}"),
            "weights_sha256": digest, "separator": SEPARATOR, "limit": LIMIT, "layers": LAYERS, "per_token": PER_TOKEN,
            "hidden_states": HIDDEN_STATES}
    write_cases(FOLDER / "expected.json", head, cases)
    tokens = sum(case["tokens"] for case in cases)
    print(f"{len(cases)} texts of {tokens} tokens, {seconds / len(cases):.2f} s a text, {1000 * seconds / tokens:.1f} ms a token")
    for name in ("mean_log_probability", "mean_entropy", "mean_log_rank"):
        values = [case[name] for case in cases]
        print(f"{name}: {min(values):.3f} to {max(values):.3f}")
    if check:
        compare(model, tokenizer, choose(data)[0]["text"])


def compare(model, tokenizer, text: str) -> None:
    """Prints how far less exact arithmetic is, for one text."""
    ids = tokenizer.encode(text).ids[:LIMIT]
    exact = likelihoods(logits(model.double(), ids, SEPARATOR), ids)
    model.float()
    made = {"f32": likelihoods(logits(model, ids, SEPARATOR), ids)}
    hooks = rounded(model)
    made["inputs of linear layers as bf16"] = likelihoods(logits(model, ids, SEPARATOR), ids)
    for hook in hooks:
        hook.remove()
    made["all in bf16"] = likelihoods(logits(model.bfloat16(), ids, SEPARATOR).float(), ids)
    for name, told in made.items():
        away = (told["log_probabilities"] - exact["log_probabilities"]).abs()
        mean = (told["log_probabilities"].mean() - exact["log_probabilities"].mean()).abs()
        others = [(told[key] - exact[key]).abs().max() for key in ("entropies", "variances")]
        print(f"{name}, {len(ids)} tokens: ln p differs by {away.mean():.1e} on average, {away.max():.1e} at most, its mean by "
              f"{mean:.1e}; entropy by {others[0]:.1e}, variance by {others[1]:.1e} at most; "
              f"{(told['ranks'] != exact['ranks']).sum()} ranks")
