"""Makes the tiny SigLIP repositories `siglip-tiny` and `siglip2-tiny`, and what PyTorch answers for them.

    python tests/goldens/siglip-tiny/make_goldens.py
    (Python 3.11, torch==2.15.0, transformers==5.23.0, tokenizers==0.23.3, sentencepiece, protobuf, safetensors==0.8.0,
    numpy==2.4.6, pillow==13.0.0)

Seeded random weights in the hub's layout; config.json as `save_pretrained` writes it. Twice the same bytes on one machine.

`siglip-tiny`: f32, token embeddings in f16. Images of 26 pixels in patches of 8: two rows and columns belong to no patch. Bicubic.
The tokenizer is a Unigram whose padding is the end token, 1. Ids are those of `SiglipTokenizer`, which reads the SentencePiece model.
`siglip2-tiny`: bf16, but norms, `logit_scale` and `logit_bias` are f32. Bilinear, `processor_config.json` of transformers 5. The tokenizer
is a BPE with bytes, as Gemma's, padding 0, and nothing but its class says that texts are lower-cased: ids are those of
`Siglip2Tokenizer`.

The arithmetic is f32 with the weights as stored. expected.safetensors: `image_features` [pictures, d] and `text_features` [texts, d], not
normalized; `logits_per_image` [pictures, texts], whose sigmoids are the probabilities; `pixels` [pictures, 3 * s * s] by
`SiglipImageProcessorPil`, of pictures whose widths Pillow has resized before their heights: Pillow 13 alone begins with the height where a
narrow picture becomes much lower than narrower. expected.json: the pictures (of tests/goldens/resize), the texts, their ids without padding, and whether they
were cut.
"""

import io
import json
import os
import string
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

GOLDENS = Path(__file__).resolve().parents[1]
sys.path.append(str(GOLDENS / "clip-tiny"))

import sentencepiece
import torch
import transformers
from PIL import Image
from reference import PICTURE_NAMES, PICTURES, cosines, write_cases
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip.tokenization_siglip import SiglipTokenizer
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

SEED = 11

# The sentences from which pieces and merges are learned.
SENTENCES = """the pilot light is a small flame that is always on and it lights the house at night
two people are reading by the fire while one cold bird sings in the street and the old train is late
a photo of a cat a photo of a dog and a photo of a small red horse that runs to the sea
no light no fire the light is warm the night is cold and 12 boats are by the river
un caf\u00e9 na\u00efve cr\u00e8me br\u00fbl\u00e9e""".split("\n")

# Characters that the Unigram rewrites, from and to: a few of the rules of `nmt_nfkc`, whose compiled form takes 240 kB.
RULES = [("\uff21", "A"), ("\uff41", "a"), ("\uff01", "!"), ("\ufb01", "fi"), ("\u3000", " "), ("\u00a0", " ")]

TEXTS = [
    "",
    "cat",
    "A photo of a small dog, by the sea.",
    "THE PILOT LIGHT IS ON",
    "Un caf\u00e9 na\u00efve, cr\u00e8me br\u00fbl\u00e9e",
    "12 boats (300 trains)",
    "they're here; DON'T stop -- she'd've",
    "two people are reading by the fire while one cold bird sings in the street and a small red train runs to the sea",
    "\u65e5\u672c \u0130stanbul",
    "the light \uff21\uff01",
    "the light",
]

SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]

MODELS = {
    "siglip-tiny": dict(
        text=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                  max_position_embeddings=16, projection_size=48),
        vision=dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=3, intermediate_size=80, image_size=26,
                    patch_size=8, layer_norm_eps=1e-3),
        processor=dict(resample=3)),
    "siglip2-tiny": dict(
        text=dict(hidden_size=40, num_hidden_layers=3, num_attention_heads=5, intermediate_size=52,
                  max_position_embeddings=20, layer_norm_eps=1e-3),
        vision=dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=2, intermediate_size=44, image_size=20,
                    patch_size=5),
        processor=dict(resample=2)),
}

# Mean and standard deviation, by the first of these in a tensor's name.
DRAWN = {"logit_scale": (2, 0.3), "logit_bias": (-1, 0.3), "in_proj_bias": (0, 0.2), ".bias": (0, 0.2), "norm": (1, 0.25),
         "token_embedding": (0, 0.6), "position_embedding": (0, 0.4), "patch_embedding": (0, 0.15), "probe": (0, 1),
         "weight": (0, 0.25)}


def unigram(folder: Path):
    """Writes a tokenizer as that of the first SigLIP. Returns a function that gives ids by its SentencePiece model."""
    def codes(text):
        return " ".join(f"{ord(character):x}" for character in text)

    sentences = ["".join(c for c in text.lower() if c not in string.punctuation) for text in SENTENCES]
    words = [" ".join(text.split()[::step]) for text in sentences for step in (2, 3)]
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as temporary:
        rules = Path(temporary) / "rules.tsv"
        rules.write_text("".join(f"{codes(before)}\t{codes(after)}\n" for before, after in RULES))
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences + words), model_writer=model, vocab_size=72, model_type="unigram",
            character_coverage=1.0, normalization_rule_tsv=str(rules), num_threads=1, minloglevel=2, pad_id=0, eos_id=1,
            unk_id=2, bos_id=-1)
        path = Path(temporary) / "spiece.model"
        path.write_bytes(model.getvalue())
        slow = SiglipTokenizer(str(path))
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2,
                                         byte_fallback=False))
    punctuation = "".join("\\" + character for character in string.punctuation)
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Lowercase(), normalizers.Replace(Regex(f"[{punctuation}]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(),
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False, lstrip=True, rstrip=True)
                                  for token in ("</s>", "<unk>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                             special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = dict(do_lower_case=True, eos_token="</s>", model_input_names=["input_ids"], model_max_length=64,
                  pad_token="</s>", tokenizer_class="SiglipTokenizer", unk_token="<unk>")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return lambda text: slow(text).input_ids, 1


def bytes_bpe(folder: Path):
    """Writes a tokenizer as that of SigLIP 2, which is Gemma's. Returns a function that gives its ids."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=120, show_progress=False)
    tokenizer.train_from_iterator([text.lower() for text in SENTENCES], trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = [*SPECIALS, *bytes_, *sorted(learned["vocab"], key=learned["vocab"].get)]
    vocab = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer.model = models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", pair="$A <eos> $B <eos>",
                                                             special_tokens=[("<eos>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = dict(bos_token="<bos>", eos_token="<eos>", mask_token="<mask>", model_input_names=["input_ids"],
                  model_max_length=64, pad_token={"content": "<pad>"}, padding_side="right",
                  tokenizer_class="GemmaTokenizer", unk_token="<unk>")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    backend = Siglip2Tokenizer(vocab=vocab, merges=merges)
    return lambda text: backend(text, add_special_tokens=False).input_ids + [1], 0


def make_repository(folder: Path, spec: dict, vocab_size: int) -> None:
    """Writes the weights and the other config files."""
    for old in folder.glob("model*"):
        old.unlink()
    config = SiglipConfig(text_config=spec["text"] | dict(vocab_size=vocab_size), vision_config=spec["vision"])
    model = SiglipModel(config)
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            mean, deviation = next(drawn for part, drawn in DRAWN.items() if part in name)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation + mean)
    for name, parameter in model.named_parameters():
        if folder.name == "siglip2-tiny":
            keep = "norm" in name or "logit" in name
            parameter.data = parameter.data if keep else parameter.data.to(torch.bfloat16)
        elif name.endswith("token_embedding.weight"):
            parameter.data = parameter.data.to(torch.float16)
    model.save_pretrained(folder)
    edge = spec["vision"]["image_size"]
    processor = {"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
                 "image_mean": [0.5] * 3, "image_processor_type": "SiglipImageProcessor", "image_std": [0.5] * 3,
                 "rescale_factor": 1 / 255, "size": {"height": edge, "width": edge}} | spec["processor"]
    if folder.name == "siglip2-tiny":
        (folder / "processor_config.json").write_text(json.dumps({"image_processor": processor}, indent=2) + "\n")
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def load(folder: Path, dtype=torch.float32) -> SiglipModel:
    model, loading = SiglipModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager",
                                                 output_loading_info=True)
    assert not any(loading.values()), loading
    return model.eval()


@torch.inference_mode()
def answers(model: SiglipModel, pixels: torch.Tensor, padded: list[list[int]]) -> dict:
    """The tensors of expected.safetensors, one picture or text at a time."""
    images = [model.get_image_features(pixel_values=one[None].to(model.logit_scale.dtype)).pooler_output[0]
              for one in pixels]
    texts = [model.get_text_features(input_ids=torch.tensor([ids])).pooler_output[0] for ids in padded]
    every = pixels.to(model.logit_scale.dtype)
    logits = [model(input_ids=torch.tensor([ids]), pixel_values=every).logits_per_image for ids in padded]
    return {"image_features": torch.stack(images), "text_features": torch.stack(texts),
            "logits_per_image": torch.cat(logits, dim=1).contiguous()}


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name, spec in MODELS.items():
        folder = GOLDENS / name
        folder.mkdir(exist_ok=True)
        ids_of, padding = (unigram if name == "siglip-tiny" else bytes_bpe)(folder)
        fast = Tokenizer.from_file(str(folder / "tokenizer.json"))
        vocab_size = fast.get_vocab_size()
        make_repository(folder, spec, vocab_size)
        longest = spec["text"]["max_position_embeddings"]
        whole = [ids_of(text) for text in TEXTS]
        lowered = TEXTS if name == "siglip-tiny" else [text.lower() for text in TEXTS]
        assert whole == [fast.encode(text).ids for text in lowered], name
        # The end token stays last.
        coded = [ids if len(ids) <= longest else ids[:longest - 1] + ids[-1:] for ids in whole]
        cases = [{"text": text, "ids": ids, "truncated": len(all_) > len(ids)}
                 for text, ids, all_ in zip(TEXTS, coded, whole)]
        padded = [ids + [padding] * (longest - len(ids)) for ids in coded]

        edge = spec["vision"]["image_size"]
        processor = SiglipImageProcessorPil(size={"height": edge, "width": edge}, **spec["processor"])
        pictures = [Image.open(PICTURES / picture).convert("RGB") for picture in PICTURE_NAMES]
        resized = [one.resize((edge, one.height), spec["processor"]["resample"]) for one in pictures]
        resized = [one.resize((edge, edge), spec["processor"]["resample"]) for one in resized]
        pixels = torch.stack([torch.as_tensor(processor(one, return_tensors="pt").pixel_values[0]) for one in resized])
        model = load(folder)
        tensors = answers(model, pixels, padded)
        exact = answers(load(folder, torch.float64), pixels, padded)
        for key, value in tensors.items():
            away = (exact[key] - value).abs().max()
            print(f"{name} {key}: largest {value.abs().max():.2f}, {away:.1e} from f64; {cosines(value)}")
        # Mistakes that the tests would notice.
        unpadded = answers(model, pixels[:1], coded)["text_features"]
        print("without padding:", (unpadded - tensors["text_features"]).abs().max(1).values)
        for config in (model.config.text_config, model.config.vision_config):
            config.hidden_act = "gelu"
        for module in model.modules():
            if hasattr(module, "activation_fn"):
                module.activation_fn = torch.nn.GELU()
        other = answers(model, pixels, padded)
        print("the other GELU:", *((other[key] - tensors[key]).abs().max() for key in other))
        tensors["pixels"] = pixels.reshape(len(pictures), -1).contiguous()
        save_file(tensors, folder / "expected.safetensors")
        head = {"generator": f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, "
                             f"seed {SEED}", "pictures": PICTURE_NAMES}
        write_cases(folder / "expected.json", head, {"texts": cases})


if __name__ == "__main__":
    main()
