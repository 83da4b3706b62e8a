"""Makes the tiny repositories of static embeddings, where a text is the mean of rows of a table.

    pip install -r ../requirements.txt
    python static.py

`static-tiny` and `static-tiny-mapped` are repositories of model2vec, `static-tiny-bag` one of sentence-transformers'
`StaticEmbedding`. The values are means in f32 by PyTorch, by the rules of the two libraries' code, and differ from the
answers of the libraries themselves, where these are installed, by less than 1e-6 (model2vec rounds the mean of a table
in f16 to f16, so that one by less than 1e-3).
"""

import importlib.util
import json
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
GOLDENS = HERE.parent
sys.path.insert(0, str(GOLDENS))

import torch
import vocabularies
from make_goldens import LONG_TEXT, ODD_TEXTS, case, digest_of, made_by, write_json
from safetensors.torch import save_file
from tokenizers import Tokenizer

TEXTS = [*ODD_TEXTS, "The [UNK] light<pad> of the fire", "ＡＢ！　ﬁre… ½ 日本 and [PAD] too", "日", LONG_TEXT,
         " ".join(["light"] * 30), " ".join(["pneumonoultramicroscopic"] * 9)]

STATIC = {
    # As potion-base-8M: WordPiece, normalized, no `max_length`, which is then 512.
    "static-tiny": dict(vocabulary=vocabularies.bert, dtype=torch.float32, d=37, normalize=True, seed=31,
                        drops_unknown=True,
                        config=dict(model_type="model2vec", architectures=["StaticModel"], apply_pca=37,
                                    apply_zipf=True, tokenizer_name="baai/bge-base-en-v1.5", hidden_dim=37,
                                    seq_length=1000000, normalize=True)),
    # As model2vec 0.10 writes a table of fewer rows than tokens: a row and a weight for each token, and a longest text.
    "static-tiny-mapped": dict(vocabulary=vocabularies.camembert, dtype=torch.float16, d=40, normalize=False, seed=32,
                               drops_unknown=True, rows=50,
                               config=dict(model_type="model2vec", architectures=["StaticModel"], normalize=False,
                                           max_length=20, embedding_dtype="float16", vocabulary_quantization=50)),
    "static-tiny-bag": dict(vocabulary=vocabularies.bert, dtype=torch.float32, d=36, normalize=True, seed=33,
                            drops_unknown=False),
}


def tensors_of(spec, tokens):
    """A table, and for a table of other length than the vocabulary the row and the weight of each token."""
    random = torch.Generator().manual_seed(spec["seed"])
    rows = spec.get("rows", tokens)
    table = torch.randn(rows, spec["d"], generator=random)
    if "rows" not in spec:
        return dict(embeddings=table.to(spec["dtype"]))
    weights = torch.rand(tokens, generator=random) * 2 + 0.05
    mapping = torch.randint(rows, (tokens,), generator=random)
    return dict(embeddings=table.to(spec["dtype"]), weights=weights, mapping=mapping)


def unknown_of(tokenizer):
    """The id of the unknown token, as model2vec finds it."""
    model = json.loads(tokenizer.to_str())["model"]
    return model["unk_id"] if model["type"] == "Unigram" else tokenizer.token_to_id(model["unk_token"])


def ids_of(text, tokenizer, longest, drops_unknown):
    """The ids of a text without special tokens, and whether it was cut.

    model2vec cuts the text to so many characters as `longest` tokens of the median length have, then cuts the tokens,
    and then drops unknown ones.
    """
    whole = tokenizer.encode(text, add_special_tokens=False).ids
    kept = whole
    if longest is not None:
        characters = longest * int(median(len(token) for token in tokenizer.get_vocab()))
        kept = tokenizer.encode(text[:characters], add_special_tokens=False).ids[:longest]
    cut = kept != whole
    return [index for index in kept if not drops_unknown or index != unknown_of(tokenizer)], cut


def vector(ids, tensors, normalize, mistake=None):
    """The mean of the rows of the ids; zeros without ids. A weight is the token's, and no sum of weights divides."""
    table = tensors["embeddings"].float()
    if not ids:
        return torch.zeros(table.shape[1])
    index = torch.tensor(ids)
    rows = tensors["mapping"][index] if "mapping" in tensors else index
    weights = torch.ones(len(ids))
    if "weights" in tensors:
        weights = tensors["weights"][rows if mistake == "weights by row" else index]
    total = weights.sum() if mistake == "weighted mean" else len(ids)
    mean = (table[rows] * weights[:, None]).sum(0) / total
    return mean / (mean.norm() + 1e-32) if normalize else mean


def answers_of_library(folder, texts):
    """Returns the vectors of the library that the repository is for, or `None` if it is not installed."""
    if (folder / "config.json").exists():
        if importlib.util.find_spec("model2vec") is None:
            return None
        from model2vec import StaticModel
        return torch.from_numpy(StaticModel.from_pretrained(folder).encode(texts)).float()
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import SentenceTransformer
    return torch.stack([torch.from_numpy(row) for row in SentenceTransformer(str(folder), device="cpu").encode(texts)])


def make(name, spec):
    folder = GOLDENS / name
    is_bag = "config" not in spec
    inner = folder / "0_StaticEmbedding" if is_bag else folder
    inner.mkdir(parents=True, exist_ok=True)
    tokenizer = spec["vocabulary"]()
    tokenizer.save(str(inner / "tokenizer.json"), pretty=False)
    tensors = tensors_of(spec, tokenizer.get_vocab_size())
    named = {"embedding.weight": tensors["embeddings"]} if is_bag else tensors
    save_file(named, inner / "model.safetensors", metadata={"format": "pt"} if is_bag else None)
    modules = [dict(idx=0, name="0", path="0_StaticEmbedding" if is_bag else ".",
                    type="sentence_transformers.models.StaticEmbedding")]
    if spec["normalize"]:
        modules.append(dict(idx=1, name="1", path="1_Normalize", type="sentence_transformers.models.Normalize"))
    write_json(folder / "modules.json", modules)
    if is_bag:
        write_json(folder / "config_sentence_transformers.json",
                   dict(prompts={}, default_prompt_name=None, similarity_fn_name="cosine"))
        longest = None
    else:
        write_json(folder / "config.json", spec["config"])
        longest = spec["config"].get("max_length", 512)

    tokenizer = Tokenizer.from_file(str(inner / "tokenizer.json"))
    encoded = [ids_of(text, tokenizer, longest, spec["drops_unknown"]) for text in TEXTS]
    vectors = [vector(ids, tensors, spec["normalize"]) for ids, _ in encoded]
    library = answers_of_library(folder, TEXTS)
    if library is None:
        print(f"{name}: its library is not installed")
    else:
        error = max((ours - theirs).abs().max().item() for ours, theirs in zip(vectors, library))
        print(f"{name}: within {error:.1e} of its library")
        assert error < (1e-3 if spec["dtype"] == torch.float16 else 1e-6), (name, error)

    def changed(others):
        return max((ours - other).abs().max().item() for ours, other in zip(vectors, others))
    other_unknown = [ids_of(text, tokenizer, longest, not spec["drops_unknown"])[0] for text in TEXTS]
    mistakes = {"unknown tokens kept or dropped": [vector(ids, tensors, spec["normalize"]) for ids in other_unknown],
                "special tokens": [vector(tokenizer.encode(text).ids, tensors, spec["normalize"]) for text in TEXTS],
                "normalized or not": [vector(ids, tensors, not spec["normalize"]) for ids, _ in encoded]}
    if "rows" in spec:
        mistakes |= {mistake: [vector(ids, tensors, spec["normalize"], mistake) for ids, _ in encoded]
                     for mistake in ("weights by row", "weighted mean")}
        whole = [ids_of(text, tokenizer, None, True)[0] for text in TEXTS]
        mistakes["no longest text"] = [vector(ids, tensors, spec["normalize"]) for ids in whole]
    for mistake, others in mistakes.items():
        print(f"  {mistake}: {changed(others):.1e}")
        assert changed(others) >= 1e-3, (name, mistake)

    cases = [case(text, ids, cut, dict(embedding=answer)) for text, (ids, cut), answer in zip(TEXTS, encoded, vectors)]
    (folder / "expected.json").write_text(
        f'{{"generator":{made_by(False)[:-1]}, seed {spec["seed"]}",\n"weights_sha256":"{digest_of(inner)}",\n'
        f'"dimensions":{spec["d"]},\n"max_tokens":{json.dumps(longest)},\n"cases":[\n' + ",\n".join(cases) + "\n]}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, spec in STATIC.items():
        make(name, spec)
