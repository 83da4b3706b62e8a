"""Writes what onnxruntime makes of `model.onnx`: graphs that its optimizer fused, and models with quantized weights.

    pip install -r ../requirements.txt onnxruntime==1.32.0 onnx_ir sympy && python optimize.py

`model_O1.onnx` to `model_O4.onnx` are the levels of Optimum: O2 fuses layers, O3 approximates GELU, O4 is O3 in float16. `model_quint8_avx2.onnx`
has bytes with one scale for each tensor, `model_qint8.onnx` signed bytes with a scale for each column, `model_O2_quint8.onnx` those of the
fused graph. `model_q4.onnx` has 4 bits with zero points, `model_q4_symmetric.onnx` those without. `split/model.onnx` has its values in
`split/model.onnx_data`.
"""

import json
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "model.onnx"
CONFIG = json.loads((FOLDER.parent / "bert-tiny-mean" / "config.json").read_text())


def optimize(name, level, only_onnxruntime=False, gelu=False, half=False):
    options = FusionOptions("bert")
    options.enable_gelu_approximation = gelu
    model = optimize_model(
        str(SOURCE),
        "bert",
        CONFIG["num_attention_heads"],
        CONFIG["hidden_size"],
        options,
        opt_level=level,
        only_onnxruntime=only_onnxruntime,
    )
    if half:
        model.convert_float_to_float16(keep_io_types=True)
    model.save_model_to_file(str(FOLDER / name))


def quantize(source, name, **options):
    # The types of values behind operations of onnxruntime's own cannot be inferred.
    extra = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(FOLDER / source, FOLDER / name, extra_options=extra, **options)


def in_four_bits(name, is_symmetric):
    quantizer = MatMulNBitsQuantizer(onnx.load(SOURCE), block_size=32, is_symmetric=is_symmetric)
    quantizer.process()
    quantizer.model.save_model_to_file(str(FOLDER / name), use_external_data_format=False)


def split(name):
    folder = FOLDER / "split"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}_data").unlink(missing_ok=True)
    onnx.save(
        onnx.load(SOURCE),
        folder / name,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=f"{name}_data",
        size_threshold=200,
    )


if __name__ == "__main__":
    optimize("model_O1.onnx", 1, only_onnxruntime=True)
    optimize("model_O2.onnx", 2)
    optimize("model_O3.onnx", 2, gelu=True)
    optimize("model_O4.onnx", 2, gelu=True, half=True)
    quantize("model.onnx", "model_quint8_avx2.onnx", weight_type=QuantType.QUInt8)
    quantize("model.onnx", "model_qint8.onnx", weight_type=QuantType.QInt8, per_channel=True)
    quantize("model_O2.onnx", "model_O2_quint8.onnx", weight_type=QuantType.QUInt8)
    in_four_bits("model_q4.onnx", is_symmetric=False)
    in_four_bits("model_q4_symmetric.onnx", is_symmetric=True)
    split("model.onnx")
