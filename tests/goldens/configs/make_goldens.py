"""Writes classes.json: the config of each family as its class in `transformers` has it by default, with all keys.

    pip install -r ../requirements.txt
    python make_goldens.py
"""

import json
from pathlib import Path

import transformers

FAMILIES = ["bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "modernbert", "nomic_bert", "llama",
            "qwen2", "qwen3"]
# By hand: keys with which `transformers` before release 5 wrote files, or that it honours without having them in the class.
FORMER = {
    "bert": {"position_embedding_type": "absolute", "pruned_heads": {}, "torch_dtype": "float32",
             "gradient_checkpointing": False, "quantization_config": None},
    "distilbert": {"tie_weights_": True, "pruned_heads": {}, "quantization_config": None},
    "llama": {"rope_scaling": None, "layer_types": None, "quantization_config": None},
    "modernbert": {"quantization_config": None},
    "nomic_bert": {"quantization_config": None},
    "qwen2": {"is_causal": True, "quantization_config": None},
}


def defaults(family):
    return {**transformers.CONFIG_MAPPING[family]().to_dict(), **FORMER.get(family, {})}


classes = {family: defaults(family) for family in FAMILIES}
text = json.dumps(classes, indent=1, sort_keys=True)
(Path(__file__).parent / "classes.json").write_text(text + "\n")
