"""Writes ONNX models of all-MiniLM-L6-v2 as its repository has them, and what onnxruntime computes by them, for `tests/onnx/minilm.rs`.

    pip install -r ../requirements.txt onnxruntime==1.32.0 sympy && python onnx_files.py MINILM SENTENCES OUT

MINILM: the folder of the repository. SENTENCES: a file of the STS benchmark as comma-separated values, `stsb-en-test.csv`. OUT: a folder, to
which the environment variable PILOTLIGHT_MINILM_ONNX of the test then points; 220 MB.
"""

import csv
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from tokenizers import Tokenizer
from transformers import BertModel

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
COUNT = 64


class Exported(BertModel):
    """A BERT whose inputs and outputs are those of the models that Optimum exports."""

    def forward(self, input_ids, attention_mask, token_type_ids):
        outputs = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            use_cache=False,
            return_dict=False,
        )
        return outputs[0]


def export(minilm, path):
    model = Exported.from_pretrained(minilm, attn_implementation="eager", add_pooling_layer=False)
    ids = torch.ones(2, 7, dtype=torch.long)
    warnings.simplefilter("ignore")
    torch.onnx.export(
        model.eval(),
        (ids, ids, torch.zeros_like(ids)),
        path,
        input_names=INPUTS,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in [*INPUTS, "last_hidden_state"]},
        opset_version=14,
        dynamo=False,
    )
    return model.config


def fuse(source, path, config):
    options = FusionOptions("bert")
    options.enable_gelu_approximation = True
    heads, width = config.num_attention_heads, config.hidden_size
    model = optimize_model(str(source), "bert", heads, width, options, opt_level=2)
    model.convert_float_to_float16(keep_io_types=True)
    model.save_model_to_file(str(path))


def embed(path, tokenizer, sentences):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = []
    for sentence in sentences:
        ids = np.array([tokenizer.encode(sentence).ids], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (states,) = session.run(None, {name.name: inputs[name.name] for name in session.get_inputs()})
        mean = states[0].mean(axis=0)
        rows.append((mean / np.linalg.norm(mean)).tolist())
    return rows


if __name__ == "__main__":
    minilm, table, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    config = export(minilm, out / "model.onnx")
    fuse(out / "model.onnx", out / "model_O4.onnx", config)
    for name, options in [
        ("model_quint8_avx2.onnx", {"weight_type": QuantType.QUInt8}),
        ("model_qint8_arm64.onnx", {"weight_type": QuantType.QInt8, "per_channel": True}),
    ]:
        quantize_dynamic(out / "model.onnx", out / name, **options)
    with open(table, newline="") as file:
        sentences = [row[0] for row in csv.reader(file)][:: 20][:COUNT]
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_padding()
    names = ["model.onnx", "model_quint8_avx2.onnx", "model_qint8_arm64.onnx"]
    embeddings = {name: embed(out / name, tokenizer, sentences) for name in names}
    (out / "expected.json").write_text(json.dumps({"sentences": sentences, "embeddings": embeddings}))
