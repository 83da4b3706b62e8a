"""Makes what PyTorch answers for a ViT-B/32 CLIP whose weights come from a portable generator.

    python tests/goldens/clip-vit-b32/make_goldens.py [DATA]
    (Python 3.11, torch==2.15.0, transformers==5.23.0, tokenizers==0.23.3, safetensors==0.8.0, numpy==2.4.6,
    pillow==13.0.0)

DATA holds `photos` and `clip/tokenizer.json`: default $PILOTLIGHT_DATA, else ../shared/data beside the repository.
Half a minute on one thread and 3 GB of memory; `--check` also compares some with f64. Twice the same bytes on one machine.

Weights, in integers modulo 2^64, for the tensor `name` (as in the state dict) and the row-major index i:
    z = fnv1a64(name) + (i + 1) * 0x9E3779B97F4A7C15;  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;  z ^= z >> 31;  u = (z >> 53) - 1024
    norm weights: 1 + floor(u / 16) * 2^-10; biases: u * 2^-16; token, position and patch embedding, fc2: u * 2^-15;
    logit_scale: 4.60546875; all else: u * 2^-14; pixels: u * 2^-9
All are exact in f16. `sha256` in expected.json is over all tensors as f32 little endian, in the order of their names, so that
another generator can be told right from wrong before any arithmetic.

expected.safetensors, f32, features projected and not normalized:
    image_features.pixels [4, 512]: of the tensors `pixels.0` to `pixels.3`, [3, 224, 224], by the same generator
    image_features.pictures [8, 512]: of tests/goldens/resize, in the order of `pictures`
    image_features.photos [76, 512]: of DATA/photos, in the order of `photos` (the manifest's), as Pillow decodes JPEG
    text_features.captions [76, 512]: of each photo's first caption, cut at 77 tokens
    text_features.texts [10, 512]: of the cases in `texts`
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clip-tiny"))

from reference import (  # noqa: E402
    PICTURE_NAMES,
    PICTURES,
    cosines,
    image_features,
    preprocess,
    text_features,
    token_ids,
    write_cases,
)

# As on the hub in openai/clip-vit-base-patch32, without the fields that the library's base class once added.
CONFIG = {
    "architectures": ["CLIPModel"],
    "initializer_factor": 1.0,
    "logit_scale_init_value": 2.6592,
    "model_type": "clip",
    "projection_dim": 512,
    "text_config": {
        "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu",
        "hidden_size": 512, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 2048,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": 8, "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 512,
        "vocab_size": 49408,
    },
    "torch_dtype": "float32",
    "vision_config": {
        "attention_dropout": 0.0, "dropout": 0.0, "hidden_act": "quick_gelu", "hidden_size": 768, "image_size": 224,
        "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model", "num_attention_heads": 12, "num_hidden_layers": 12, "patch_size": 32,
        "projection_dim": 512,
    },
}
# As on the hub: sizes are plain numbers there, and what has a default is left out.
PREPROCESSOR = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224,
}

TEXTS = [
    "",
    "a",
    "a photo of a pilot light",
    "A PHOTO OF A PILOT LIGHT",
    "Un caf\u00e9 na\u00efve, cre\u0300me bru\u0302le\u0301e; "
    "\u0395\u03bb\u03bb\u03ac\u03b4\u03b1, \u041c\u043e\u0441\u043a\u0432\u0430",
    "\U0001f525 \U0001f469\u200d\U0001f680 \u2600\ufe0f \u65e5\u672c\u306e\u706b",
    "they're 12 boats, 300 trains & DON'T stop!!! (#1)",
    "one flame<|endoftext|>and what follows it",
    "light " * 75,
    "One cold night three people sing by the fire and a small red train runs to the sea. " * 12,
]

NORMS = ("layer_norm1.weight", "layer_norm2.weight", "layernorm.weight", "layrnorm.weight", "layer_norm.weight")
SMALL = ("token_embedding.weight", "position_embedding.weight", "patch_embedding.weight", "mlp.fc2.weight")


def draw(name: str, count: int) -> np.ndarray:
    """The `count` integers u in -1024..1023 that belong to a name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(53)).astype(np.int64) - 1024


def make(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One tensor, f32."""
    if name == "logit_scale":
        return np.full(shape, 4.60546875, np.float32)
    u = draw(name, int(np.prod(shape)))
    if name.endswith(NORMS):
        values = 1 + u // 16 * 2.0**-10
    elif name.startswith("pixels."):
        values = u * 2.0**-9
    elif name.endswith(".bias"):
        values = u * 2.0**-16
    elif name.endswith(SMALL):
        values = u * 2.0**-15
    else:
        values = u * 2.0**-14
    values = values.astype(np.float32).reshape(shape)
    assert (values == values.astype(np.float16)).all(), name
    return values


def make_model() -> tuple[CLIPModel, str]:
    """The network, and the digest of its weights."""
    with torch.device("meta"):
        model = CLIPModel._from_config(CLIPConfig.from_dict(CONFIG), attn_implementation="eager", dtype=torch.float32)
    digest = hashlib.sha256()
    weights = {}
    for name, parameter in sorted(model.state_dict().items()):
        values = make(name, tuple(parameter.shape))
        digest.update(values.astype("<f4").tobytes())
        weights[name] = torch.from_numpy(values)
    model.load_state_dict(weights, strict=True, assign=True)
    for embeddings in (model.text_model.embeddings, model.vision_model.embeddings):
        embeddings.position_ids = torch.arange(embeddings.position_embedding.num_embeddings)[None]
    assert not any(value.is_meta for value in [*model.parameters(), *model.buffers()])
    return model.eval(), digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("PILOTLIGHT_DATA", HERE.parents[3] / "shared/data")
    parser.add_argument("data", nargs="?", type=Path, default=data, help="the folder with photos and clip")
    parser.add_argument("--check", action="store_true", help="also compare some with f64")
    arguments = parser.parse_args()
    data = Path(arguments.data)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for name, value in (("config", CONFIG), ("preprocessor_config", PREPROCESSOR)):
        (HERE / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")

    manifest = json.loads((data / "photos/manifest.json").read_text())
    tokenizer = Tokenizer.from_file(str(data / "clip/tokenizer.json"))
    model, digest = make_model()
    images = {
        "pixels": [make(f"pixels.{index}", (3, 224, 224)) for index in range(4)],
        "pictures": [preprocess(PICTURES / name, PREPROCESSOR) for name in PICTURE_NAMES],
        "photos": [preprocess(data / "photos" / photo["file"], PREPROCESSOR) for photo in manifest],
    }
    texts = {
        "captions": [token_ids(tokenizer, photo["captions"][0], 77) for photo in manifest],
        "texts": [token_ids(tokenizer, text, 77) for text in TEXTS],
    }
    expected = {}
    for key, pixels in images.items():
        expected[f"image_features.{key}"] = torch.stack([image_features(model, one) for one in pixels])
    for key, coded in texts.items():
        expected[f"text_features.{key}"] = torch.stack([text_features(model, ids) for ids, _ in coded])
    save_file(expected, HERE / "expected.safetensors")
    head = {
        "generator": f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}",
        "sha256": digest,
        "pictures": PICTURE_NAMES,
        "photos": [photo["file"] for photo in manifest],
    }
    cases = [{"text": text, "ids": ids, "truncated": cut} for text, (ids, cut) in zip(TEXTS, texts["texts"])]
    write_cases(HERE / "expected.json", head, {"texts": cases})
    for key, value in expected.items():
        print(f"{key}: rms {value.square().mean().sqrt():.3f}, largest {value.abs().max():.2f}; {cosines(value)}")

    photos, captions = (torch.nn.functional.normalize(expected[key].double())
                        for key in ("image_features.photos", "text_features.captions"))
    logits = photos @ captions.T * np.exp(4.60546875)
    print(f"logits of photos and captions: {logits.min():.2f} to {logits.max():.2f}")
    if arguments.check:
        model.double()
        for key, pixels in images.items():
            exact = torch.stack([image_features(model, one) for one in pixels[:4]])
            away = (exact - expected[f"image_features.{key}"][:4]).abs().max()
            print(f"image_features.{key}: f32 is {away:.1e} from f64")
        for key, coded in texts.items():
            exact = torch.stack([text_features(model, ids) for ids, _ in coded[:10]])
            away = (exact - expected[f"text_features.{key}"][:10]).abs().max()
            print(f"text_features.{key}: f32 is {away:.1e} from f64")


if __name__ == "__main__":
    main()
