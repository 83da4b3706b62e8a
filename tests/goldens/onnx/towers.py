"""Writes ONNX models of the tiny CLIP in `../clip-tiny` and of the tiny SigLIP in `../siglip-tiny`: one of each tower, and one of both.

    pip install -r ../requirements.txt onnxruntime==1.32.0 onnxslim==0.1.98 && python towers.py

Inputs and outputs are those of the models that Optimum and transformers.js export. `text_model.onnx` and `vision_model.onnx` have no
`logit_scale` and no `logit_bias`, as they are of the classes of one tower; the latter went through onnxslim, as transformers.js 3 does it, which
computes what does not depend on the input. `model_fp16.onnx` has both towers and the logits, with its tensors in float16, and `_quantized` has
bytes with one scale for each tensor. What the models compute is in `expected.json` and `expected.safetensors` of their folders.
"""

import os
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import onnx
import onnxslim
import torch
from make_goldens import in_float16
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import (
    CLIPModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    SiglipModel,
    SiglipTextModel,
    SiglipVisionModel,
)

FOLDER = Path(__file__).parent
TEXT, IMAGE = "text_model", "vision_model"


def tower(kind, names, outputs):
    """A class of one tower, or of both, whose inputs and outputs are those of the exported models."""

    class Exported(kind):
        def forward(self, *values):
            found = super().forward(**dict(zip(names, values)), return_dict=True)
            return tuple(found[output] for output in outputs)

    return Exported


def export(kind, source, path, inputs, outputs):
    model = tower(kind, list(inputs), outputs).from_pretrained(
        FOLDER.parent / source, attn_implementation="eager", dtype=torch.float32
    )
    # Rows of texts and of images are counted by themselves.
    axes = {name: {0: "texts", 1: "sequence"} for name in inputs}
    axes |= {name: {0: "images"} for name in inputs if name == "pixel_values"}
    warnings.simplefilter("ignore")
    torch.onnx.export(
        model.eval(),
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


def write(name, source, texts, images, classes, outputs, quantized):
    both, text, image = classes
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    export(text, source, folder / f"{TEXT}.onnx", texts, [outputs[0]])
    export(image, source, folder / f"{IMAGE}.onnx", images, [outputs[1]])
    quantize_dynamic(folder / f"{quantized}.onnx", folder / f"{quantized}_quantized.onnx", weight_type=QuantType.QUInt8)
    onnx.save(onnxslim.slim(onnx.load(folder / f"{IMAGE}.onnx")), folder / f"{IMAGE}.onnx")
    whole = folder / "model.onnx"
    export(both, source, whole, texts | images, ["logits_per_image", "text_embeds", "image_embeds"])
    onnx.save(in_float16(onnx.load(whole)), folder / "model_fp16.onnx")
    whole.unlink()


if __name__ == "__main__":
    ids = torch.tensor([[0, 5, 9, 3, 1, 1, 1, 1]])
    write(
        "clip",
        "clip-tiny",
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        {"pixel_values": torch.zeros(1, 3, 32, 32)},
        [CLIPModel, CLIPTextModelWithProjection, CLIPVisionModelWithProjection],
        ["text_embeds", "image_embeds"],
        TEXT,
    )
    write(
        "siglip",
        "siglip-tiny",
        {"input_ids": ids},
        {"pixel_values": torch.zeros(1, 3, 26, 26)},
        [SiglipModel, SiglipTextModel, SiglipVisionModel],
        ["pooler_output", "pooler_output"],
        IMAGE,
    )
