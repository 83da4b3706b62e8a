"""The tiny repositories `qwen2-tiny`, `llama-tiny` and `qwen3-tiny`, and what PyTorch answers for them.

Seeded random weights in the hub's layout. The arithmetic is f32 with the weights as stored.

`qwen2-tiny`: bf16, one file, config.json as transformers 4 wrote it (`rope_theta` on its own), with a sliding window that
`use_sliding_window` turns off, and more words than the tokenizer has, as Qwen's own files.
`llama-tiny`: f32, one file, an own word head, `<|endoftext|>` first and neither `bos_token_id` nor `eos_token_id`, as in SmolLM2.
`qwen3-tiny`: f16 in two shards, heads wider than hidden / heads. Both have config.json as transformers 5 writes it.

expected.safetensors, for the text N of expected.json: `hidden_states.N` [layers + 1, t, d] f32 of the text alone, and of the text
after the separator `log_probabilities.N`, `entropies.N`, `variances.N` [t] f32. expected.json: `separator` (its id), `vocabulary`
(the model's words), and per case `text`, `ids`, `starts` (UTF-16 code units) and `ranks`.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import plain
import torch
from reference import SEPARATOR, generator, hidden_states, likelihoods, logits, starts, write_cases
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config

GOLDENS = Path(__file__).resolve().parents[1]
# Of Qwen2's tokenizer.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
           r"|\s+")
# The merges are learned on these.
SENTENCES = """the pilot light is a small flame that is always on, and it lights the burner when the water is cold.
two people are reading by the fire while the rain is falling on the old house; there's a train at nine and they're late.
don't stop writing: he'll send 12 letters, she's painting, we've seen 300 red boats at sea, and i'd rather stay here.
the cook heats the water and looks out of the window at the river, the bridge and the lights of the other side.""".split("\n")

TEXTS = [
    "a",
    "The pilot light is on, and the water isn't cold.",
    "Cafe\u0301 caf\u00e9, \u00fcber 12\u00bd \u00d7 300 \U0001f525\U0001f469\u200d\U0001f680 \u65e5\u672c\u306e\u706b",
    "first line\nsecond line\r\n\n  third\t line  \n",
    "the the the the the the the the the the",
    "two people are reading by the fire while the rain is falling on the old house; the train is late, and they're cold, "
    "writing",
    "the light<|endoftext|>the flame",
]

# With these seeds no logit is so near that of a text's token that rounding changes a rank.
MODELS = {
    "qwen2-tiny": dict(
        config=Qwen2Config, dtype=torch.bfloat16, seed=76, separator_first=False, words=307, shards=None,
        sizes=dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2, intermediate_size=100,
                   max_position_embeddings=128, rms_norm_eps=1e-6, tie_word_embeddings=True),
        theta=1000000.0),
    "llama-tiny": dict(
        config=LlamaConfig, dtype=torch.float32, seed=26, separator_first=True, words=299, shards=None,
        sizes=dict(hidden_size=54, num_hidden_layers=3, num_attention_heads=9, num_key_value_heads=3, intermediate_size=70,
                   max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2),
        theta=100000.0),
    "qwen3-tiny": dict(
        config=Qwen3Config, dtype=torch.float16, seed=21, separator_first=False, words=299, shards="100KB",
        sizes=dict(hidden_size=40, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=76,
                   head_dim=16, max_position_embeddings=128, rms_norm_eps=1e-6, tie_word_embeddings=True),
        theta=3000.0),
}

# Mean and standard deviation, by the first of these in a tensor's name. Small embeddings make a wrong epsilon show; the final
# norm is large where they are the word head too, so that the predictions differ.
DRAWN = {"q_norm": (1.3, 0.3), "k_norm": (1.3, 0.3), "layernorm": (1, 0.25), "bias": (0, 0.5), "lm_head": (0, 0.16),
         "weight": (0, 0.2)}
TIED = {"embed_tokens": (0, 0.012), "model.norm": (12, 3)} | DRAWN
UNTIED = {"embed_tokens": (0, 0.03), "model.norm": (1, 0.25)} | DRAWN


def make_tokenizer(kind: str, separator_first: bool) -> Tokenizer:
    """A byte-level BPE of 256 bytes, 42 merges and the separator, built as that of Qwen2 or of SmolLM2."""
    if kind == "llama":
        split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        split = [pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=298, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].get)
    tokens = [SEPARATOR, *tokens] if separator_first else [*tokens, SEPARATOR]
    vocab = {token: index for index, token in enumerate(tokens)}
    # The separator is an added token only, as in Qwen's files, or in the vocabulary too, as in SmolLM2's.
    bpe = vocab if separator_first else {token: index for token, index in vocab.items() if token != SEPARATOR}
    tokenizer.model = models.BPE(vocab=bpe, merges=[tuple(pair) for pair in learned["merges"]])
    tokenizer.add_special_tokens([AddedToken(SEPARATOR, special=True, normalized=False)])
    tokenizer.decoder = decoders.ByteLevel()
    if kind != "llama":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    assert tokenizer.get_vocab_size() == len(vocab) == 299 and tokenizer.token_to_id(SEPARATOR) == vocab[SEPARATOR]
    return tokenizer


def make_repository(folder: Path, spec: dict) -> None:
    """Writes one repository in the hub's layout."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kind = spec["config"].model_type
    tokenizer = make_tokenizer(kind, spec["separator_first"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    separator = tokenizer.token_to_id(SEPARATOR)
    config = spec["config"](vocab_size=spec["words"], rope_parameters={"rope_type": "default", "rope_theta": spec["theta"]},
                            **dict(bos_token_id=separator, eos_token_id=separator) | spec["sizes"])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    random = torch.Generator().manual_seed(spec["seed"])
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            table = TIED if config.tie_word_embeddings else UNTIED
            mean, deviation = next(drawn for part, drawn in table.items() if part in name)
            parameter.copy_(torch.randn(parameter.shape, generator=random) * deviation + mean)
    model = model.to(spec["dtype"])
    if kind != "qwen2":
        model.save_pretrained(folder, max_shard_size=spec["shards"] or "50GB")
        (folder / "generation_config.json").unlink(missing_ok=True)
        return
    # As in the files of Qwen2.5, which transformers 4 wrote.
    head = dict(architectures=["Qwen2ForCausalLM"], attention_dropout=0.0, bos_token_id=separator, eos_token_id=separator,
                hidden_act="silu", initializer_range=0.02, max_window_layers=1, model_type="qwen2",
                rope_theta=spec["theta"], sliding_window=8, torch_dtype="bfloat16", transformers_version="4.40.1",
                use_cache=True, use_sliding_window=False, vocab_size=spec["words"])
    (folder / "config.json").write_text(json.dumps(dict(sorted((head | spec["sizes"]).items())), indent=2) + "\n")
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if name != "lm_head.weight"}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load(folder: Path):
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                          output_loading_info=True)
    assert not any(loading.values()), loading
    return model.eval()


def closest(model, ids: list[int], separator: int) -> float:
    """The smallest difference between a token's logit and another's: what it takes to change a rank."""
    scores = logits(model, ids, separator)
    away = (scores - scores.gather(1, torch.tensor(ids)[:, None])).abs()
    away.scatter_(1, torch.tensor(ids)[:, None], torch.inf)
    return away.min().item()


def write_expected(folder: Path, seed: int) -> float:
    """Writes what PyTorch answers; the smallest difference of logits that decides a rank."""
    model = load(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    separator = tokenizer.token_to_id(SEPARATOR)
    tensors, cases, gap = {}, [], torch.inf
    for index, text in enumerate(TEXTS):
        coded = tokenizer.encode(text)
        ids = coded.ids
        told = likelihoods(logits(model, ids, separator), ids)
        tensors[f"hidden_states.{index}"] = hidden_states(model, ids)
        for name in ("log_probabilities", "entropies", "variances"):
            tensors[f"{name}.{index}"] = told[name].float()
        cases.append({"text": text, "ids": ids, "starts": starts(text, coded), "ranks": told["ranks"].tolist()})
        gap = min(gap, closest(model, ids, separator))
    save_file(tensors, folder / "expected.safetensors")
    head = {"generator": generator(f"seed {seed}"), "separator": separator, "vocabulary": model.config.vocab_size}
    write_cases(folder / "expected.json", head, cases)
    return gap


def check(folder: Path, verbose: bool) -> tuple[float, float]:
    """Returns the difference of PyTorch from plain f64, and that of the nearest mistake, relative to a layer's largest value."""
    model = load(folder)
    weights = {}
    for file in folder.glob("model*.safetensors"):
        weights |= {name: value.double().numpy() for name, value in load_file(file).items()}
    expected = load_file(folder / "expected.safetensors")
    told = json.loads((folder / "expected.json").read_text())
    words = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()

    def away(mistake):
        states, log_p = 0.0, 0.0
        for index, case in enumerate(told["cases"]):
            right = expected[f"hidden_states.{index}"].double().numpy()
            made, _ = plain.decode(model.config, weights, case["ids"], words, mistake)
            largest = np.abs(right).max(axis=(1, 2), keepdims=True)
            states = max(states, (np.abs(made - right) / largest).max())
            ids = [told["separator"], *case["ids"]]
            _, scores = plain.decode(model.config, weights, ids, words, mistake)
            ours = likelihoods(torch.from_numpy(scores[:-1]), case["ids"])
            log_p = max(log_p, (ours["log_probabilities"] - expected[f"log_probabilities.{index}"].double()).abs().max().item())
        return states, log_p

    own = away(None)
    print(f"{folder.name}: f32 is {own[0]:.1e} of the largest value from plain f64, ln p {own[1]:.1e}")
    for mistake, kinds in plain.MISTAKES.items():
        if model.config.model_type in kinds:
            states, log_p = away(mistake)
            if verbose:
                print(f"    {mistake}: {states:.1e}, ln p {log_p:.1e}")
            assert max(states, log_p) > 1e-3, (folder.name, mistake)


def make_goldens(verbose: bool) -> None:
    for name, spec in MODELS.items():
        folder = GOLDENS / name
        make_repository(folder, spec)
        gap = write_expected(folder, spec["seed"])
        values = load_file(folder / "expected.safetensors")
        rms = [values["hidden_states.5"][layer].square().mean().sqrt().item() for layer in range(4)]
        log_p = torch.cat([values[f"log_probabilities.{index}"] for index in range(len(TEXTS))])
        print(f"{name}: rms by layer {', '.join(f'{value:.3f}' for value in rms)}; ln p {log_p.min():.2f} to {log_p.max():.2f}, "
              f"mean {log_p.mean():.2f}; a rank is decided by {gap:.1e} or more")
        check(folder, verbose)
