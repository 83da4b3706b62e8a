"""Makes the tiny CLIP repositories `clip-tiny` and `clip-tiny-gelu`, and what PyTorch answers for them.

    python tests/goldens/clip-tiny/make_goldens.py
    (Python 3.11, torch==2.15.0, transformers==5.23.0, tokenizers==0.23.3, safetensors==0.8.0, numpy==2.4.6,
    pillow==13.0.0)

Seeded random weights in the hub's layout; config.json as `save_pretrained` writes it. Twice the same bytes on one machine.

`clip-tiny`: quick GELU, one file, `eos_token_id` 2 as in old configs: then the features are those at the largest id. The three
embeddings' weights are f16, all else is f32. `tokenizer.json` in the form of CLIP's own (merges as strings).
`clip-tiny-gelu`: GELU, odd sizes, own mean and deviation, in shards with an index. bf16, but norms and `logit_scale` are f32.
`eos_token_id` is that of `<|endoftext|>`, and `<|startoftext|>` comes after it: here the largest id is the wrong place.
`tokenizer.json` as the `tokenizers` package saves it (merges as pairs).

Each has one `layer_norm_eps` of 1e-3 (text, picture), which shows where the usual 1e-5 would not.

The arithmetic is f32 with the weights as stored. expected.safetensors: `image_features` [pictures, d] and `text_features`
[texts, d], projected and not normalized, and `logits_per_image` [pictures, texts]. expected.json: the pictures (of
tests/goldens/resize, preprocessed by Pillow as preprocessor_config.json says), the texts, their ids, and whether they were cut.
"""

import json
import os
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from reference import (
    PICTURE_NAMES,
    PICTURES,
    cosines,
    image_features,
    preprocess,
    text_features,
    token_ids,
    write_cases,
)
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

GOLDENS = Path(__file__).resolve().parents[1]
SEED = 7
START, END = "<|startoftext|>", "<|endoftext|>"

# The merges are learned on these.
SENTENCES = """the pilot light is a small flame that is always on. a photo of a cat, a photo of a dog and a photo of a horse.
two children are playing in the street by the old house; there's a train, and they're waiting for the next one.
don't stop reading: he'll write 12 letters, she's painting, we've seen 300 red boats at sea, i'd rather stay, i'm here!
the little burner heats the water while the cook is looking out of the window at the rain over the river and the bridge."""

TEXTS = [
    "",
    "cat",
    "A photo of a small dog by the sea.",
    "THE PILOT LIGHT IS ON",
    "Un caf\u00e9 na\u00efve, cre\u0300me bru\u0302le\u0301e \u00fcber Stra\u00dfe",
    "\U0001f600 \U0001f469\u200d\U0001f680\u2600\ufe0f",
    "12 boats, 300 trains",
    "they're here, he'll read; DON'T stop, she'd've",
    "two children are waiting for the train at the old house while the rain is falling over the river and the bridge",
    "light<|endoftext|>the flame",
    "a \t\n  photo\u00a0of   \u3000rain ",
    "?!... --- (){} <> @#$%",
    "\u65e5\u672c",
    "the light",
]

MODELS = {
    "clip-tiny": dict(
        act="quick_gelu", projection=24, eos=2, specials=[START, END],
        text=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                  max_position_embeddings=16, layer_norm_eps=1e-3),
        vision=dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=80, image_size=32,
                    patch_size=8),
        mean=[0.48145466, 0.4578275, 0.40821073], deviation=[0.26862954, 0.26130258, 0.27577711],
        shards=None),
    "clip-tiny-gelu": dict(
        act="gelu", projection=20, eos=None, specials=[END, START],
        text=dict(hidden_size=40, num_hidden_layers=3, num_attention_heads=5, intermediate_size=52,
                  max_position_embeddings=20),
        vision=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=44, image_size=28,
                    patch_size=7, layer_norm_eps=1e-3),
        mean=[0.5, 0.45, 0.4], deviation=[0.25, 0.3, 0.2],
        shards="60KB"),
}

# Mean and standard deviation, by the first of these in a tensor's name.
DRAWN = {".bias": (0, 0.2), "norm": (1, 0.25), "logit_scale": (2, 0.3), "token_embedding": (0, 0.6),
         "position_embedding": (0, 0.4), "patch_embedding": (0, 0.15), "class_embedding": (0, 0.5),
         "projection": (0, 0.3), "weight": (0, 0.25)}


def byte_alphabet() -> list[str]:
    """GPT-2's visible stand-in for each byte, in CLIP's order."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in visible] + [chr(256 + index) for index in range(256 - len(visible))]


def make_tokenizer(specials: list[str]) -> dict:
    """A tokenizer.json built as CLIP's own: 256 bytes, the same ending a word, 80 merges, the two special tokens."""
    tokens = byte_alphabet() + [byte + "</w>" for byte in byte_alphabet()]
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    blueprint = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": END, "continuing_subword_prefix": "",
                  "end_of_word_suffix": "</w>", "fuse_unk": False,
                  "vocab": {token: index for index, token in enumerate([*tokens, END])}, "merges": []}}
    split = Tokenizer.from_str(json.dumps(blueprint))
    words = Counter(word for word, _ in split.pre_tokenizer.pre_tokenize_str(split.normalizer.normalize_str(SENTENCES)))
    words = {(*word[:-1], word[-1] + "</w>"): count for word, count in words.items()}
    merges = []
    for _ in range(80):
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        tokens.append("".join(best))
        merged = {}
        for word, count in words.items():
            parts = []
            for part in word:
                if parts and (parts[-1], part) == best:
                    parts[-1] += part
                else:
                    parts.append(part)
            merged[tuple(parts)] = count
        words = merged
    tokens += specials
    vocab = {token: index for index, token in enumerate(tokens)}
    assert len(vocab) == len(tokens)
    blueprint["model"] |= {"vocab": vocab, "merges": [" ".join(pair) for pair in merges]}
    blueprint["added_tokens"] = [
        {"id": vocab[token], "special": True, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": token == START} for token in specials]
    blueprint["post_processor"] = {"type": "RobertaProcessing", "sep": [END, vocab[END]], "cls": [START, vocab[START]],
                                   "trim_offsets": False, "add_prefix_space": False}
    return blueprint


def make_repository(folder: Path, spec: dict) -> None:
    """Writes one repository in the hub's layout."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("model*"):
        old.unlink()
    blueprint = make_tokenizer(spec["specials"])
    vocab = blueprint["model"]["vocab"]
    if spec["shards"]:
        Tokenizer.from_str(json.dumps(blueprint)).save(str(folder / "tokenizer.json"))
    else:
        (folder / "tokenizer.json").write_text(json.dumps(blueprint, ensure_ascii=False, separators=(",", ":")) + "\n")

    common = dict(hidden_act=spec["act"], projection_dim=spec["projection"])
    text = dict(vocab_size=len(vocab), bos_token_id=0 if spec["eos"] else vocab[START], pad_token_id=1,
                eos_token_id=spec["eos"] or vocab[END])
    config = CLIPConfig(text_config=common | text | spec["text"], vision_config=common | spec["vision"],
                        projection_dim=spec["projection"])
    model = CLIPModel(config)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            mean, deviation = next(drawn for part, drawn in DRAWN.items() if part in name)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation + mean)
    for name, parameter in model.named_parameters():
        if spec["shards"]:
            keep = "norm" in name or name == "logit_scale"
            parameter.data = parameter.data if keep else parameter.data.to(torch.bfloat16)
        elif name.endswith("embedding.weight"):
            parameter.data = parameter.data.to(torch.float16)
    if spec["shards"]:
        model.save_pretrained(folder, max_shard_size=spec["shards"])
    else:
        model.save_pretrained(folder)
    edge = spec["vision"]["image_size"]
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "crop_size": {"height": edge, "width": edge}, "do_center_crop": True, "do_convert_rgb": True,
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": spec["mean"],
        "image_processor_type": "CLIPImageProcessor", "image_std": spec["deviation"], "resample": 3,
        "rescale_factor": 1 / 255, "size": {"shortest_edge": edge}}, indent=2) + "\n")


def load(folder: Path, dtype=torch.float32) -> CLIPModel:
    model, loading = CLIPModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
    assert not any(loading.values()), loading
    return model.eval()


@torch.inference_mode()
def answers(folder: Path, model: CLIPModel) -> tuple[dict, list]:
    """The tensors of expected.safetensors, and a row of expected.json per text."""
    config = json.loads((folder / "preprocessor_config.json").read_text())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pixels = [preprocess(PICTURES / name, config) for name in PICTURE_NAMES]
    limit = model.config.text_config.max_position_embeddings
    coded = [token_ids(tokenizer, text, limit) for text in TEXTS]
    every = torch.stack([torch.from_numpy(picture) for picture in pixels]).to(model.logit_scale.dtype)
    logits = [model(input_ids=torch.tensor([ids]), pixel_values=every).logits_per_image for ids, _ in coded]
    tensors = {
        "image_features": torch.stack([image_features(model, picture) for picture in pixels]),
        "text_features": torch.stack([text_features(model, ids) for ids, _ in coded]),
        "logits_per_image": torch.cat(logits, dim=1).contiguous(),
    }
    cases = [{"text": text, "ids": ids, "truncated": cut} for text, (ids, cut) in zip(TEXTS, coded)]
    return tensors, cases


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name, spec in MODELS.items():
        folder = GOLDENS / name
        make_repository(folder, spec)
        tensors, cases = answers(folder, load(folder))
        save_file(tensors, folder / "expected.safetensors")
        head = {"generator": f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, "
                             f"seed {SEED}", "pictures": PICTURE_NAMES}
        write_cases(folder / "expected.json", head, {"texts": cases})
        exact = answers(folder, load(folder, torch.float64))[0]
        for key, value in tensors.items():
            away = (exact[key] - value).abs().max()
            print(f"{name} {key}: largest {value.abs().max():.2f}, {away:.1e} from f64; {cosines(value)}")


if __name__ == "__main__":
    main()
