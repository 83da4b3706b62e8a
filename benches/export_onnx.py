"""MiniLM as the peers read it: ids, mask and token types in, last hidden state out.

    python export_onnx.py MODEL_FOLDER OUT_FOLDER

Writes minilm-f32.onnx and minilm-quint8.onnx (onnxruntime's dynamic quantization with its defaults, as published models have it).
"""

import pathlib
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import AutoModel

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
OUTPUT = "last_hidden_state"


class LastHiddenState(torch.nn.Module):
    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, *inputs):
        return self.bert(**dict(zip(INPUTS, inputs))).last_hidden_state


model, out = sys.argv[1], pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
bert = AutoModel.from_pretrained(model, attn_implementation="eager").eval()
tokens = torch.ones(2, 8, dtype=torch.long)
torch.onnx.export(
    LastHiddenState(bert),
    (tokens, tokens, torch.zeros_like(tokens)),
    str(out / "minilm-f32.onnx"),
    input_names=INPUTS,
    output_names=[OUTPUT],
    dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*INPUTS, OUTPUT]},
    opset_version=17,
    dynamo=False,
)
quantize_dynamic(out / "minilm-f32.onnx", out / "minilm-quint8.onnx", weight_type=QuantType.QUInt8)
