"""Writes repositories.json: what repositories on the hub have, as far as the classes of `transformers` and sentence-transformers tell.

    pip install -r ../requirements.txt
    python repositories.py

Nobody has asked the hub: a name stands for the family, the modules and the head of its model. `config` is what the config class of the family
writes (`to_diff_dict`), with sizes of a tiny model, and `shapes` are those of the family's model of these sizes. JinaBERT, model2vec and
`StaticEmbedding` have no class in `transformers`; their configs are those of `../jina-tiny` and `../static-tiny`. `class` is what loads the
repository, or `refused` the words in which it is refused.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import transformers

FOLDER = Path(__file__).parent
SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 64}
SHORT = {"dim": 32, "n_layers": 1, "n_heads": 2, "hidden_dim": 48, "vocab_size": 64}
DECODER = {**SIZES, "num_key_value_heads": 1, "head_dim": 16}
TOWERS = {
    "text_config": {**SIZES, "max_position_embeddings": 16},
    "vision_config": {**{k: SIZES[k] for k in list(SIZES)[:4]}, "image_size": 32, "patch_size": 16},
}
MODULES = "sentence_transformers.models."
configs, shapes, repositories = {}, {}, []


def tensors(model):
    """The shapes in the file that `save_pretrained` writes, whose names are not always those of the modules."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return shapes_of(Path(folder) / "model.safetensors")


def shapes_of(path):
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def key_of(name, known, value):
    """Each value is written once, under the name of the first repository that has it."""
    key = next((key for key, other in known.items() if other == value), name)
    return known.setdefault(key, value) and key


def add(name, config, own_shapes, files=None, folder="", **expected):
    """`files` are those beside the config and the weights, which are in `folder`."""
    own = {"config": config and key_of(name, configs, config), "shapes": key_of(name, shapes, own_shapes)}
    repositories.append({"name": name, **expected, "folder": folder, **own, "files": files or {}})


def of_family(name, family, options=None, head="", **more):
    config = transformers.CONFIG_MAPPING[family](**(options or SIZES))
    written = json.loads(config.to_json_string(use_diff=True))
    model = getattr(transformers, f"AutoModel{head}").from_config(config)
    written["architectures"] = [type(model).__name__]
    add(name, written, tensors(model), **more)


def modules(*kinds):
    paths = {"Transformer": "", "CLIPModel": "0_CLIPModel", "StaticEmbedding": "0_StaticEmbedding"}
    return [
        {"idx": index, "name": str(index), "path": paths.get(kind, f"{index}_{kind}"), "type": MODULES + kind}
        for index, kind in enumerate(kinds)
    ]


def encoder(name, family, pooling="mean", normalize=True, dense=None, longest=None, options=None, dot=False):
    options = options or (SHORT if family == "distilbert" else SIZES)
    width = options.get("dim", options.get("hidden_size", 32))
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalize else [])]
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"]
    files = {
        "modules.json": modules(*kinds),
        "1_Pooling/config.json": {
            "word_embedding_dimension": width,
            **{f"pooling_mode_{mode}": mode.startswith(pooling) and mode != "mean_sqrt_len_tokens" for mode in modes},
        },
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "2.0.0"},
            "prompts": {},
            "similarity_fn_name": "dot" if dot else "cosine",
        },
    }
    if longest:
        files["sentence_bert_config.json"] = {"max_seq_length": longest, "do_lower_case": False}
    if dense:
        activation, size = dense
        files["2_Dense/config.json"] = {
            "in_features": width,
            "out_features": size,
            "bias": True,
            "activation_function": f"torch.nn.modules.{activation}",
        }
        files["2_Dense/model.safetensors"] = {"linear.weight": [size, width], "linear.bias": [size]}
    of_family(name, family, options, files=files, **{"class": "TextEmbedder"})


def classifier(name, family, labels, problem=None, options=None):
    options = options or (SHORT if family == "distilbert" else SIZES)
    of_family(
        name,
        family,
        {**options, "num_labels": labels, "problem_type": problem},
        "ForSequenceClassification",
        **{"class": "SequenceClassifier"},
    )


def towers(name, family, folder="", files=None, **text):
    options = {**TOWERS, "text_config": {**TOWERS["text_config"], **text}}
    options["vision_config"] = {**TOWERS["vision_config"], **{k: v for k, v in text.items() if k == "hidden_act"}}
    if family == "clip":
        options["projection_dim"] = 24
    of_family(name, family, options, folder=folder, files=files, **{"class": "ImageTextEmbedder"})


MINILM = ["all-MiniLM-L6-v2", "all-MiniLM-L12-v2", "multi-qa-MiniLM-L6-cos-v1", "paraphrase-MiniLM-L6-v2"]
for name, longest in zip(MINILM, [256, 128, 512, 128]):
    encoder(f"sentence-transformers/{name}", "bert", normalize=not name.startswith("paraphrase"), longest=longest)
encoder("sentence-transformers/all-mpnet-base-v2", "mpnet", longest=384)
encoder("sentence-transformers/multi-qa-mpnet-base-dot-v1", "mpnet", "cls", normalize=False, longest=512, dot=True)
encoder("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "bert", normalize=False, longest=128)
encoder("intfloat/multilingual-e5-small", "bert")
for name in ["intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large"]:
    encoder(name, "xlm-roberta", options={**SIZES, "max_position_embeddings": 514})
for name in ["BAAI/bge-m3", "Snowflake/snowflake-arctic-embed-l-v2.0"]:
    encoder(name, "xlm-roberta", "cls", longest=8192, options={**SIZES, "max_position_embeddings": 8194})
for size in ["small", "base", "large"]:
    encoder(f"BAAI/bge-{size}-en-v1.5", "bert", "cls", longest=512)
encoder("mixedbread-ai/mxbai-embed-large-v1", "bert", "cls", normalize=False, longest=512)
for size in ["xs", "s", "m"]:
    encoder(f"Snowflake/snowflake-arctic-embed-{size}", "bert", "cls", longest=512)
for name in ["intfloat/e5-small-v2", "intfloat/e5-base-v2", "thenlper/gte-small", "thenlper/gte-base"]:
    encoder(name, "bert", longest=512)
modern = {**SIZES, "pad_token_id": 0}
encoder("Alibaba-NLP/gte-modernbert-base", "modernbert", "cls", normalize=False, options=modern)
encoder("nomic-ai/modernbert-embed-base", "modernbert", options=modern)
encoder("ibm-granite/granite-embedding-small-english-r2", "modernbert", "cls", options=modern)
encoder("nomic-ai/nomic-embed-text-v1.5", "nomic_bert", longest=8192, normalize=False)
jina = json.loads((FOLDER.parent / "jina-tiny" / "config.json").read_text())
jina_shapes = shapes_of(FOLDER.parent / "jina-tiny" / "model.safetensors")
for size in ["small", "base"]:
    add(f"jinaai/jina-embeddings-v2-{size}-en", jina, jina_shapes, **{"class": "TextEmbedder"})
encoder("ibm-granite/granite-embedding-30m-english", "roberta", "cls", options={**SIZES, "max_position_embeddings": 514})
encoder("sentence-transformers/all-distilroberta-v1", "roberta", longest=512, options={**SIZES, "max_position_embeddings": 514})
encoder("sentence-transformers/LaBSE", "bert", "cls", dense=("activation.Tanh", 32), longest=256)
encoder("sentence-transformers/distiluse-base-multilingual-cased-v2", "distilbert", dense=("activation.Tanh", 24), normalize=False)
static = json.loads((FOLDER.parent / "static-tiny" / "config.json").read_text())
for size in ["8M", "32M"]:
    own = {"embeddings": [64, static["hidden_dim"]]}
    add(f"minishlab/potion-base-{size}", static, own, **{"class": "TextEmbedder"})
add(
    "sentence-transformers/static-retrieval-mrl-en-v1",
    None,
    {"embedding.weight": [64, 32]},
    {"modules.json": modules("StaticEmbedding", "Normalize")},
    "0_StaticEmbedding/",
    **{"class": "TextEmbedder"},
)
encoder("Qwen/Qwen3-Embedding-0.6B", "qwen3", "lasttoken", options=DECODER)
gemma = {**DECODER, "use_bidirectional_attention": True}
of_family("google/embeddinggemma-300m", "gemma3_text", gemma, refused="gemma3_text")
classifier("cross-encoder/ms-marco-MiniLM-L6-v2", "bert", 1)
classifier("BAAI/bge-reranker-base", "xlm-roberta", 1, options={**SIZES, "max_position_embeddings": 514})
classifier("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "distilbert", 2)
for name, labels, problem in [
    ("cardiffnlp/twitter-roberta-base-sentiment-latest", 3, None),
    ("SamLowe/roberta-base-go_emotions", 28, "multi_label_classification"),
]:
    classifier(name, "roberta", labels, problem, {**SIZES, "max_position_embeddings": 514})
classifier("unitary/toxic-bert", "bert", 6, "multi_label_classification")
for name in ["openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16", "openai/clip-vit-large-patch14"]:
    towers(name, "clip")
towers("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "clip", hidden_act="gelu")
towers("sentence-transformers/clip-ViT-B-32", "clip", "0_CLIPModel/", {"modules.json": modules("CLIPModel")})
encoder("sentence-transformers/clip-ViT-B-32-multilingual-v1", "distilbert", dense=("linear.Identity", 24), normalize=False, longest=128)
towers("google/siglip-base-patch16-224", "siglip")
towers("google/siglip2-base-patch16-224", "siglip")

def lines(values):
    return ",\n".join(values)


def by_name(values):
    return lines(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())


text = f"""{{"repositories": [
{lines(json.dumps(repository) for repository in repositories)}
],
"configs": {{
{by_name(configs)}
}},
"shapes": {{
{by_name(shapes)}
}}}}
"""
(FOLDER / "repositories.json").write_text(text)
