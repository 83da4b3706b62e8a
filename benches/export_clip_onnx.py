"""CLIP's image tower as the peers read it: pixels in, vectors out.

    python export_clip_onnx.py MODEL_FOLDER OUT_FOLDER

Writes clip-vision-f32.onnx and clip-vision-quint8.onnx (onnxruntime's dynamic quantization of matrix products, as published
models have it; the convolution stays as it is, because onnxruntime's int8 one is slower).
"""

import pathlib
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import CLIPModel


class ImageVector(torch.nn.Module):
    def __init__(self, clip):
        super().__init__()
        self.vision, self.projection = clip.vision_model, clip.visual_projection

    def forward(self, pixel_values):
        return self.projection(self.vision(pixel_values=pixel_values).pooler_output)


model, out = sys.argv[1], pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
clip = CLIPModel.from_pretrained(model, attn_implementation="eager", dtype=torch.float32).eval()
torch.onnx.export(
    ImageVector(clip),
    (torch.zeros(1, 3, 224, 224),),
    str(out / "clip-vision-f32.onnx"),
    input_names=["pixel_values"],
    output_names=["image_embeds"],
    dynamic_axes={"pixel_values": {0: "batch"}, "image_embeds": {0: "batch"}},
    opset_version=17,
    dynamo=False,
)
quantize_dynamic(
    out / "clip-vision-f32.onnx",
    out / "clip-vision-quint8.onnx",
    weight_type=QuantType.QUInt8,
    op_types_to_quantize=["MatMul", "Gemm"],
)
