"""Writes checkpoints of `torch.save`: the tiny BERTs again, whose vectors are known, and small files of other kinds.

    python tests/goldens/pytorch/make_goldens.py        (torch==2.15.0, numpy==2.4.6, safetensors==0.8.0)

| file | what |
|---|---|
| `plain.bin` | the f32 tensors of `bert-tiny-mean`, as `torch.save(model.state_dict(), …)` writes them |
| `pytorch_model-….bin`, `pytorch_model.bin.index.json` | the bf16 tensors of `bert-tiny-max` in two shards, as `Parameter`s, with the norms' old \
names `gamma` and `beta`, two tensors that are one, and the three biases of an attention as views of one storage |
| `dtypes.bin` | tensors of each dtype, a transposed one and an empty one; its pickle has protocol 5 |
| `legacy.bin` | a state dict in the format from before PyTorch 1.6 |
| `module.bin` | a module that was pickled whole |

The last two have numbers of the process in them and come out differently each time; nothing depends on those.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def plain():
    state = OrderedDict(load_file(HERE.parent / "bert-tiny-mean" / "model.safetensors"))
    # As `state_dict` does, which notes the version of each module.
    state._metadata = OrderedDict({"": {"version": 1}, "embeddings": {"version": 1}})
    torch.save(state, HERE / "plain.bin")


def shards():
    tensors = load_file(HERE.parent / "bert-tiny-max" / "model.safetensors")
    biases = [f"encoder.layer.0.attention.self.{name}.bias" for name in ("query", "key", "value")]
    fused = torch.cat([tensors[name] for name in biases])
    size = fused.numel() // 3
    for index, name in enumerate(biases):
        tensors[name] = fused[index * size:(index + 1) * size]
    state = {}
    for name, tensor in tensors.items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        state[old] = torch.nn.Parameter(tensor, requires_grad=False)
    state["cls.predictions.decoder.weight"] = state["embeddings.word_embeddings.weight"]
    is_first = {name: name.startswith(("embeddings", "cls")) for name in state}
    files = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for file, first in zip(files, (True, False)):
        torch.save({name: tensor for name, tensor in state.items() if is_first[name] == first}, HERE / file)
    weight_map = {name: files[0 if first else 1] for name, first in is_first.items()}
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (HERE / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


def dtypes():
    values = torch.arange(12).reshape(3, 4)
    kinds = ["float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64"]
    state = {kind: values.to(getattr(torch, kind)) for kind in kinds}
    state["row"] = state["float64"][1]
    state["transposed"] = state["float32"].T
    state["empty"] = torch.zeros(0, 4)
    state["scalar"] = torch.tensor(2.5)
    state["epoch"] = 3
    torch.save(state, HERE / "dtypes.bin", pickle_protocol=5)
    torch.save(state, HERE / "legacy.bin", _use_new_zipfile_serialization=False)


plain()
shards()
dtypes()
torch.save(torch.nn.Linear(2, 2), HERE / "module.bin")
