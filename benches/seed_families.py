"""Encoders of the true shapes with seeded weights, to measure with: their values are random, and time does not depend on them.

    python seed_families.py MINILM_FOLDER MODELS_FOLDER ONNX_FOLDER

Writes a sentence-transformers repository for each family, in f16. The tokenizer is MiniLM's, whose 30,522 words stand in for the
vocabularies of 50,368 (ModernBERT) and 250,002 (XLM-R): a text reads no more rows of a longer table. Of the two that are compared with
onnxruntime-web it writes ONNX files of the same weights too, quantized as published models are.
"""

import json
import pathlib
import shutil
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import save_file
from transformers import ModernBertConfig, ModernBertModel, NomicBertConfig, NomicBertModel, XLMRobertaConfig, XLMRobertaModel

WORDS = 30522
INPUTS = ["input_ids", "attention_mask"]
OUTPUT = "last_hidden_state"


class LastHiddenState(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, *inputs):
        return self.encoder(**dict(zip(INPUTS, inputs))).last_hidden_state


def jina():
    """The config and the tensors of jina-embeddings-v2-base-en, for which `transformers` has no class."""
    d, inner, layers = 768, 3072, 12
    config = dict(
        model_type="bert", position_embedding_type="alibi", feed_forward_type="geglu", hidden_act="gelu", hidden_size=d,
        num_hidden_layers=layers, num_attention_heads=12, intermediate_size=inner, max_position_embeddings=8192,
        type_vocab_size=2, vocab_size=WORDS, layer_norm_eps=1e-12)
    tensors = {"embeddings.word_embeddings.weight": [WORDS, d], "embeddings.token_type_embeddings.weight": [2, d],
               "embeddings.LayerNorm": [d]}
    for layer in range(layers):
        at = f"encoder.layer.{layer}."
        tensors |= {f"{at}attention.self.{name}": [d, d] for name in ("query", "key", "value")}
        tensors |= {f"{at}attention.output.dense": [d, d], f"{at}attention.output.LayerNorm": [d],
                    f"{at}mlp.gated_layers.weight": [2 * inner, d], f"{at}mlp.wo": [d, inner], f"{at}mlp.layernorm": [d]}
    drawn = {}
    for name, shape in tensors.items():
        if len(shape) == 1:
            drawn |= {f"{name}.weight": torch.ones(shape), f"{name}.bias": torch.zeros(shape)}
        elif name.endswith(".weight"):
            drawn[name] = 0.02 * torch.randn(shape)
        else:
            drawn |= {f"{name}.weight": 0.02 * torch.randn(shape), f"{name}.bias": torch.zeros(shape[0])}
    return config, drawn


def write_jina(folder):
    config, tensors = jina()
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({name: tensor.half() for name, tensor in tensors.items()}, folder / "model.safetensors")


def of_class(encoder, config):
    def write(folder):
        own = encoder(config).eval().half()
        own.save_pretrained(folder)
        # The ONNX files have the very values that the checkpoint has.
        return own.float()

    return write


FAMILIES = {
    "modernbert-base": of_class(ModernBertModel, ModernBertConfig(vocab_size=WORDS, pad_token_id=0, cls_token_id=101, sep_token_id=102, bos_token_id=101, eos_token_id=102)),
    "xlm-roberta-base": of_class(XLMRobertaModel, XLMRobertaConfig(vocab_size=WORDS, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)),
    "nomic-bert": of_class(NomicBertModel, NomicBertConfig(vocab_size=WORDS)),
    "jina-v2-base": write_jina,
}  # fmt: skip
# Compared with onnxruntime-web, by the first token's state.
EXPORTED = ["modernbert-base", "xlm-roberta-base"]


def write_repository(folder, name, minilm):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    files = {
        "modules.json": [
            dict(idx=0, name="0", path="", type="sentence_transformers.models.Transformer"),
            dict(idx=1, name="1", path="1_Pooling", type="sentence_transformers.models.Pooling"),
        ],
        "1_Pooling/config.json": dict(word_embedding_dimension=768, pooling_mode="cls" if name in EXPORTED else "mean"),
        "sentence_bert_config.json": dict(max_seq_length=512, do_lower_case=False),
        "tokenizer_config.json": dict(tokenizer_class="PreTrainedTokenizerFast"),
    }
    for file, values in files.items():
        (folder / file).write_text(json.dumps(values, indent=2) + "\n")
    shutil.copyfile(minilm / "tokenizer.json", folder / "tokenizer.json")


def export(encoder, out, name):
    encoder.set_attn_implementation("eager")
    tokens = torch.randint(1000, 2000, (2, 8))
    torch.onnx.export(
        LastHiddenState(encoder),
        (tokens, torch.ones_like(tokens)),
        str(out / f"{name}-f32.onnx"),
        input_names=INPUTS,
        output_names=[OUTPUT],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*INPUTS, OUTPUT]},
        opset_version=17,
        dynamo=False,
    )
    for kind in (QuantType.QUInt8, QuantType.QInt8):
        quantize_dynamic(out / f"{name}-f32.onnx", out / f"{name}-{kind.name.lower()}.onnx", weight_type=kind)
    (out / f"{name}-f32.onnx").unlink()


minilm, models, out = map(pathlib.Path, sys.argv[1:4])
out.mkdir(parents=True, exist_ok=True)
for seed, (name, write) in enumerate(FAMILIES.items()):
    torch.manual_seed(seed)
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    encoder = write(folder)
    write_repository(folder, name, minilm)
    if name in EXPORTED:
        export(encoder, out, name)
