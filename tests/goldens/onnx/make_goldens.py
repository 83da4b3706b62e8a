"""Writes ONNX models of the tiny BERT in `../bert-tiny-mean`, as the exporter of PyTorch writes them.

    pip install -r ../requirements.txt && python make_goldens.py

`model.onnx` has the weights in float32, `model_fp16.onnx` has the same graph with its tensors in float16. What the model computes is in
`../bert-tiny-mean/expected.json`.
"""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from transformers import BertModel

FOLDER = Path(__file__).parent
INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


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


def export(path):
    model = Exported.from_pretrained(
        FOLDER.parent / "bert-tiny-mean", attn_implementation="eager", add_pooling_layer=False
    )
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


def in_float16(model):
    half = onnx.ModelProto()
    half.CopyFrom(model)
    for tensor in half.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return half


if __name__ == "__main__":
    export(FOLDER / "model.onnx")
    model = onnx.load(FOLDER / "model.onnx")
    onnx.save(in_float16(model), FOLDER / "model_fp16.onnx")
