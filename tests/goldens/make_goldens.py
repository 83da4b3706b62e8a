"""Makes the golden fixtures: tiny seeded repositories of sentence encoders and classifiers, and what PyTorch answers for them.

    pip install -r requirements.txt
    python make_goldens.py [--minilm DIR] [--sts DIR]

Without `--minilm` only the tiny repositories are made. DIR is a folder in the hub's layout that holds all-MiniLM-L6-v2;
`--sts` is the folder with the STS benchmark (`stsb-en-dev.csv`, `stsb-en-test.csv`).
"""

import argparse
import csv
import hashlib
import json
import os
import string
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import safetensors
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel, DistilBertConfig,
                          DistilBertForMaskedLM, DistilBertForSequenceClassification, DistilBertModel, Qwen3Config,
                          Qwen3ForCausalLM, Qwen3Model)

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE / "decoder"))
from reference import SEPARATOR  # noqa: E402
from tiny import make_tokenizer as make_bpe  # noqa: E402

SEED = 1
# By `model_type`: the config, the encoder alone, the encoder under a head, and what only this encoder is to be told.
FAMILIES = {
    "bert": (BertConfig, BertModel, BertForMaskedLM, dict(add_pooling_layer=False)),
    "distilbert": (DistilBertConfig, DistilBertModel, DistilBertForMaskedLM, {}),
    "qwen3": (Qwen3Config, Qwen3Model, Qwen3ForCausalLM, {}),
}
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

WORDS = """the a an and of in on to is are was for with by not no one two three man woman dog cat child people sea sun
light pilot fire flame cold warm house street river night day red green blue play run walk sleep eat read write sing
guitar horse bird train car water bread small large old young new good bad world time cafe uber naive""".split()
PIECES = "##s ##ed ##ing ##er ##est ##ly ##ness ##light ##house ##man ##fire ##ion ##able ##un ##th".split()

ODD_TEXTS = [
    "",
    "light",
    "The pilot light is warm.",
    "Two dogs are running by the river, and one old man reads to a young child in the street.",
    "the unwritten rule: no bird sings at night, not even by the light of 1,234 fires (or so people say)!",
    "\U0001f600 a dog \U0001f469\u200d\U0001f680 in the sun \u2600\ufe0f",
    "Un café naïve, über großen Ärger; Ελλάδα, Москва, crème brûlée, I\u0307stanbul",
    "日本の火, 中文字 and 한국어",
    "?!... --- ;;; (){}[]<> @#$%^&*_+=|\\/~`\"'",
    "nul\0 in\x07side \u200bzero\ufeff width \ufffd re\x1bplaced\r\nnew\tline",
    "   \t\n  many      blanks\u00a0\u3000 and   \n",
    "SHOUTING PEOPLE WALK TO THE SEA",
    "a " + "pneumono" * 13 + " word",
    "a [MASK] and [SEP] of the text itself",
]
LONG_TEXT = "One cold night three people sing by the fire and a small red train runs to the sea. " * 12

# Standard deviations, by the first part found in a tensor's name. Small embeddings make a wrong layer_norm_eps show,
# larger words set the texts apart, large linear weights tell the two GELUs from each other.
STD = {"word_embeddings": 0.04, "_embeddings": 0.02, "embed_tokens": 0.04, "LayerNorm": 0.2, "layer_norm": 0.2,
       "norm": 0.2, "bias": 0.2, "weight": 0.4}

# The repositories differ in whatever real ones differ in: family, sizes, activation, pooling, weight type, tensor
# names. `hidden_states` is the index of the text whose hidden states are written too.
TINY = {
    "bert-tiny-mean": dict(
        config=dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, hidden_act="gelu",
                    max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12),
        dtype="float32", pooling="mean_tokens", normalize=True, max_tokens=24, do_lower_case=False,
        # A caller must ignore these blocks: sentence_bert_config.json has the length.
        tokenizer_length=8, hidden_states=2),
    "bert-tiny-cls": dict(
        config=dict(hidden_size=36, num_hidden_layers=3, num_attention_heads=3, intermediate_size=70,
                    hidden_act="gelu_new", max_position_embeddings=40, type_vocab_size=1, layer_norm_eps=1e-5),
        dtype="float16", pooling="cls_token", normalize=False, max_tokens=32, do_lower_case=True, masked_lm=True),
    "bert-tiny-max": dict(
        config=dict(hidden_size=40, num_hidden_layers=1, num_attention_heads=5, intermediate_size=96, hidden_act="relu",
                    max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12),
        dtype="bfloat16", pooling="max_tokens", normalize=True, max_tokens=20, do_lower_case=False),
    "distilbert-tiny-mean": dict(
        model_type="distilbert",
        config=dict(dim=35, n_layers=2, n_heads=5, hidden_dim=78, activation="gelu", max_position_embeddings=32,
                    sinusoidal_pos_embds=False, tie_weights_=True),
        dtype="float32", pooling="mean_tokens", normalize=True, max_tokens=24, do_lower_case=False, hidden_states=2),
    "distilbert-tiny-cls": dict(
        model_type="distilbert",
        # The positions are those of the checkpoint all the same: it holds them as trained ones.
        config=dict(dim=48, n_layers=3, n_heads=4, hidden_dim=90, activation="relu", max_position_embeddings=28,
                    sinusoidal_pos_embds=True, tie_weights_=True),
        # Without sentence_bert_config.json the config has the length.
        dtype="float16", pooling="cls_token", normalize=False, masked_lm=True),
    "bert-tiny-prompt": dict(
        config=dict(hidden_size=28, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, hidden_act="gelu",
                    max_position_embeddings=32, type_vocab_size=2, layer_norm_eps=1e-12),
        dtype="float32", pooling="mean_tokens", normalize=True, max_tokens=28, do_lower_case=False,
        include_prompt=False, prompts=dict(query="Fire of the light: ", passage=""), default_prompt_name="query",
        prompted=[None, "passage", "A bird: "]),
    # As CLIP's multilingual text tower: cased words, and a Dense without bias into the space of `clip-tiny`.
    "clip-multilingual-tiny": dict(
        model_type="distilbert", cased=True, dense=24,
        config=dict(dim=30, n_layers=2, n_heads=3, hidden_dim=52, activation="gelu", max_position_embeddings=32,
                    sinusoidal_pos_embds=False, tie_weights_=True),
        dtype="float32", pooling="mean_tokens", normalize=False, max_tokens=20, do_lower_case=False),
    # As Qwen3-Embedding: the last token is the separator that the tokenizer appends, and there is no default prompt.
    "qwen3-tiny-embedder": dict(
        model_type="qwen3",
        config=dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                    intermediate_size=76, max_position_embeddings=96, rms_norm_eps=1e-6, hidden_act="silu",
                    tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=3000.0)),
        dtype="float16", pooling="lasttoken", normalize=True,
        prompts=dict(query="Instruct: find the warm house\nQuery:", document=""), default_prompt_name=None,
        prompted=["query", "document", "Instruct: sing\nQuery:"]),
}

# Classifiers of whole texts.
CLASSIFIERS = {
    "bert-tiny-classifier": dict(
        model=BertForSequenceClassification, dtype="float32",
        config=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=4, intermediate_size=70, hidden_act="gelu",
                    max_position_embeddings=128, type_vocab_size=2, layer_norm_eps=1e-12,
                    id2label={0: "Real", 1: "Fake"}, label2id=dict(Real=0, Fake=1))),
    "distilbert-tiny-classifier": dict(
        model=DistilBertForSequenceClassification, dtype="float16",
        config=dict(dim=35, n_layers=3, n_heads=5, hidden_dim=78, activation="gelu", max_position_embeddings=28,
                    sinusoidal_pos_embds=False, tie_weights_=True, problem_type="multi_label_classification",
                    id2label={0: "warm", 1: "large", 2: "old"}, label2id=dict(warm=0, large=1, old=2))),
}
# Texts to which prompts are given.
PROMPTED_TEXTS = ["", "light", "The pilot light is warm.", "Two dogs are running by the river, and one old man reads."]


def make_tokenizer(cased=False):
    """A WordPiece tokenizer over a vocabulary of about 200 entries; `cased`: with capitals and accents, as a multilingual one."""
    characters = string.ascii_lowercase + string.digits + (string.ascii_uppercase + "\u00e9\u00e8\u00fb\u00ef\u041c") * cased
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *characters, *"日本火中α"]
    tokens += ["##" + character for character in characters] + PIECES + [word for word in WORDS if len(word) > 1]
    vocab = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(tokens[:5])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not cased, strip_accents=False if cased else None)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    return tokenizer


def draw(name, parameter, generator):
    std = next(std for part, std in STD.items() if part in name)
    mean = 1 if name.endswith(("LayerNorm.weight", "norm.weight")) else 0
    return torch.randn(parameter.shape, generator=generator) * std + mean


def make_appending_tokenizer():
    """A byte-level BPE that puts the separator after each text, as that of Qwen3-Embedding."""
    tokenizer = make_bpe("qwen3", False)
    template = processors.TemplateProcessing(single=f"$A {SEPARATOR}", pair=f"$A {SEPARATOR} $B:1 {SEPARATOR}:1",
                                             special_tokens=[(SEPARATOR, tokenizer.token_to_id(SEPARATOR))])
    tokenizer.post_processor = processors.Sequence([tokenizer.post_processor, template])
    return tokenizer


def make_weights(spec, config):
    """The tensors of one tiny checkpoint, drawn in the order of their names."""
    _, encoder, masked_lm, _ = FAMILIES[config.model_type]
    model = masked_lm(config) if spec.get("masked_lm") else encoder(config)
    generator = torch.Generator().manual_seed(SEED)
    weights = {}
    for name, parameter in sorted(model.named_parameters()):
        weights[name] = draw(name, parameter, generator).to(DTYPES[spec["dtype"]])
    if config.model_type == "bert" and not spec.get("masked_lm"):
        # Older checkpoints carry it; nothing reads it.
        weights["embeddings.position_ids"] = torch.arange(config.max_position_embeddings)[None]
    return weights


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def make_repository(folder, spec):
    """Writes one tiny repository in the hub's layout."""
    model_type = spec.get("model_type", "bert")
    tokenizer = make_appending_tokenizer() if model_type == "qwen3" else make_tokenizer(spec.get("cased", False))
    config_class, encoder, masked_lm, _ = FAMILIES[model_type]
    config = dict(architectures=[(masked_lm if spec.get("masked_lm") else encoder).__name__], model_type=model_type,
                  vocab_size=tokenizer.get_vocab_size(), pad_token_id=0, torch_dtype=spec["dtype"])
    if model_type == "bert":
        config["position_embedding_type"] = "absolute"
    config |= spec["config"]
    write_json(folder / "config.json", config)
    if spec.get("cased"):
        # Without it the tokenizer's class in Python would lowercase.
        write_json(folder / "tokenizer_config.json", dict(tokenizer_class="DistilBertTokenizer", do_lower_case=False))
    if "max_tokens" in spec:
        write_json(folder / "sentence_bert_config.json",
                   dict(max_seq_length=spec["max_tokens"], do_lower_case=spec["do_lower_case"]))
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")] + [("2_Normalize", "Normalize")] * spec["normalize"]
    modules += [("2_Dense", "Dense")] * ("dense" in spec)
    write_json(folder / "modules.json",
               [dict(idx=index, name=str(index), path=path, type=f"sentence_transformers.models.{kind}")
                for index, (path, kind) in enumerate(modules)])
    modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens"]
    modes += ["lasttoken"] * (spec["pooling"] == "lasttoken")
    write_json(folder / "1_Pooling" / "config.json",
               dict(word_embedding_dimension=config_class(**config).hidden_size,
                    **{f"pooling_mode_{mode}": mode == spec["pooling"] for mode in modes},
                    **{name: spec[name] for name in ["include_prompt"] if name in spec}))
    if "dense" in spec:
        sizes = dict(in_features=config_class(**config).hidden_size, out_features=spec["dense"])
        write_json(folder / "2_Dense" / "config.json",
                   sizes | dict(bias=False, activation_function="torch.nn.modules.linear.Identity"))
        weight = torch.randn(*reversed(sizes.values()), generator=torch.Generator().manual_seed(SEED)) * 0.2
        save_file({"linear.weight": weight}, folder / "2_Dense" / "model.safetensors", metadata={"format": "pt"})
    if "prompts" in spec:
        write_json(folder / "config_sentence_transformers.json",
                   dict(prompts=spec["prompts"], default_prompt_name=spec["default_prompt_name"],
                        similarity_fn_name="cosine"))
    if "tokenizer_length" in spec:
        tokenizer.enable_truncation(spec["tokenizer_length"])
        tokenizer.enable_padding(length=spec["tokenizer_length"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    save_file(make_weights(spec, config_class(**config)), folder / "model.safetensors", metadata={"format": "pt"})


def pool(hidden_states, pooling):
    """One vector from `[t, d]`, as sentence-transformers pools a text without padding."""
    if pooling["pooling_mode_cls_token"]:
        return hidden_states[0]
    if pooling["pooling_mode_max_tokens"]:
        return hidden_states.max(dim=0).values
    if pooling.get("pooling_mode_lasttoken"):
        return hidden_states[-1]
    return hidden_states.mean(dim=0)


def read_json(folder, name):
    path = folder / name
    return json.loads(path.read_text()) if path.exists() else {}


def max_tokens_of(folder):
    """Returns the length of the longest text in tokens, as sentence-transformers finds it."""
    return read_json(folder, "sentence_bert_config.json").get(
        "max_seq_length", read_json(folder, "config.json")["max_position_embeddings"])


def prompt_of(folder, given):
    """The text of a prompt: that of a name, else what was given, and without it the default."""
    file = read_json(folder, "config_sentence_transformers.json")
    if given is None:
        given = file.get("default_prompt_name")
    return "" if given is None else file.get("prompts", {}).get(given, given)


def prompt_length(tokenizer, prompt):
    """Returns the number of tokens that sentence-transformers leaves out of the pooling if `include_prompt` is false."""
    ids = tokenizer.encode(prompt).ids
    special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return len(ids) - (ids[-1] in special)


def embed(folder, texts, dtype=torch.float32, prompt=None):
    """Yields ids, whether the text was cut, the embedding, and the hidden states after the embeddings and each layer.

    One text at a time: no padding can leak in.
    """
    do_lower_case = read_json(folder, "sentence_bert_config.json").get("do_lower_case", False)
    pooling = read_json(folder, "1_Pooling/config.json")
    kinds = [module["type"].split(".")[-1] for module in read_json(folder, "modules.json")]
    dense = load_file(folder / "2_Dense/model.safetensors")["linear.weight"] if "Dense" in kinds else None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    # Half-precision checkpoints: the stored, rounded weights in f32 arithmetic.
    _, encoder, _, only = FAMILIES[read_json(folder, "config.json")["model_type"]]
    model, loading = encoder.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True,
                                             **only)
    assert not loading["missing_keys"], loading
    model.eval()
    prompt = prompt_of(folder, prompt)
    skipped = prompt_length(tokenizer, prompt) if prompt and not pooling.get("include_prompt", True) else 0
    for text in texts:
        text = prompt + text
        if do_lower_case:
            text = text.lower()
        tokenizer.no_truncation()
        whole = len(tokenizer.encode(text).ids)
        tokenizer.enable_truncation(max_tokens_of(folder))
        ids = tokenizer.encode(text).ids
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
            embedding = pool(output.last_hidden_state[0][skipped:], pooling)
            if dense is not None:
                embedding = dense.to(dtype) @ embedding
            if "Normalize" in kinds:
                embedding = torch.nn.functional.normalize(embedding, dim=0)
        hidden_states = [state[0] for state in output.hidden_states]
        assert torch.equal(hidden_states[-1], output.last_hidden_state[0])
        yield ids, whole > len(ids), embedding, hidden_states


def made_by(seed):
    versions = [f"torch {torch.__version__.split('+')[0]}"]
    versions += [f"{module.__name__} {module.__version__}" for module in (transformers, tokenizers, safetensors)]
    return json.dumps(", ".join(versions + [f"seed {SEED}"] * seed))


def digest_of(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def case(text, ids, truncated, more):
    """One line; the numbers of `more` with the 9 digits that a float32 needs to round-trip."""
    numbers = "".join(f',"{name}":[{",".join(f"{value:.9g}" for value in values.tolist())}]'
                      for name, values in more.items())
    return (f'{{"text":{json.dumps(text)},"ids":{json.dumps(ids, separators=(",", ":"))},'
            f'"truncated":{json.dumps(truncated)}{numbers}}}')


def write_expected(folder, out, texts, seed, prompts=()):
    """Writes `expected.json`: `cases` without a prompt, and `prompted` with each of some prompts."""
    cases = []
    for text, (ids, truncated, embedding, _) in zip(texts, embed(folder, texts)):
        cases.append(case(text, ids, truncated, dict(embedding=embedding)))
    prompted = []
    for prompt in prompts:
        lines = [case(text, ids, truncated, dict(embedding=embedding)) for text, (ids, truncated, embedding, _)
                 in zip(PROMPTED_TEXTS, embed(folder, PROMPTED_TEXTS, prompt=prompt))]
        prompted.append(f'{{"prompt":{json.dumps(prompt)},"cases":[\n' + ",\n".join(lines) + "\n]}")
    out.mkdir(exist_ok=True)
    (out / "expected.json").write_text(
        f'{{"generator":{made_by(seed)},\n"weights_sha256":"{digest_of(folder)}",\n'
        f'"dimensions":{len(embedding)},\n"max_tokens":{max_tokens_of(folder)},\n"cases":[\n'
        + ",\n".join(cases) + "\n]" + (',\n"prompted":[\n' + ",\n".join(prompted) + "\n]") * bool(prompted) + "}\n")


def make_classifier(folder, spec):
    """Writes the tiny repository of a classifier, and its logits and probabilities."""
    tokenizer = make_tokenizer()
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = spec["model"].config_class(vocab_size=tokenizer.get_vocab_size(), pad_token_id=0, **spec["config"])
    config.architectures = [spec["model"].__name__]
    config.save_pretrained(folder)
    generator = torch.Generator().manual_seed(SEED)
    weights = {name: draw(name, parameter, generator).to(DTYPES[spec["dtype"]])
               for name, parameter in sorted(spec["model"](config).named_parameters())}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model, loading = spec["model"].from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                   output_loading_info=True)
    assert not any(loading.values()), loading
    model.eval()
    longest = max_tokens_of(folder)
    cases = []
    for text in ODD_TEXTS + [LONG_TEXT] + boundary_texts(longest):
        tokenizer.no_truncation()
        whole = len(tokenizer.encode(text).ids)
        tokenizer.enable_truncation(longest)
        ids = tokenizer.encode(text).ids
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        multi = config.problem_type == "multi_label_classification"
        probabilities = torch.sigmoid(logits) if multi else torch.softmax(logits, dim=0)
        cases.append(case(text, ids, whole > len(ids), dict(logits=logits, probabilities=probabilities)))
    labels = json.dumps([config.id2label[index] for index in range(config.num_labels)])
    (folder / "expected.json").write_text(
        f'{{"generator":{made_by(True)},\n"weights_sha256":"{digest_of(folder)}",\n"labels":{labels},\n'
        f'"max_tokens":{longest},\n"cases":[\n' + ",\n".join(cases) + "\n]}\n")


def write_hidden_states(folder, text):
    """Writes `hidden_states.safetensors`: of one text, after the embeddings (`hidden_states.0`) and each layer."""
    [(_, _, _, hidden_states)] = embed(folder, [text])
    save_file({f"hidden_states.{index}": state.contiguous() for index, state in enumerate(hidden_states)},
              folder / "hidden_states.safetensors", metadata={"text": text})


def boundary_texts(max_tokens):
    """The longest text that fits, and the shortest that does not."""
    return [" ".join(["light"] * (max_tokens - 2)), " ".join(["light"] * (max_tokens - 1))]


def sts_texts(folder, tokenizer, count):
    """`count` sentences of the STS benchmark, turn by turn from each length in tokens; the digest shuffles a length."""
    sentences = set()
    for part in ("dev", "test"):
        with open(folder / f"stsb-en-{part}.csv", newline="", encoding="utf-8") as rows:
            sentences.update(sentence for row in csv.reader(rows) for sentence in row[:2])
    by_length = {}
    for sentence in sorted(sentences, key=lambda sentence: hashlib.sha256(sentence.encode()).digest()):
        by_length.setdefault(len(tokenizer.encode(sentence).ids), []).append(sentence)
    ranked = sorted((turn, length, sentence)
                    for length, group in by_length.items() for turn, sentence in enumerate(group))
    return [sentence for _, _, sentence in sorted(ranked[:count], key=lambda entry: entry[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--sts", type=Path, help="folder of the STS benchmark")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    # One thread: the order of the sums, and so the last bit, stays the same.
    torch.set_num_threads(1)
    for name, spec in TINY.items():
        make_repository(HERE / name, spec)
        folder = HERE / name
        write_expected(folder, folder, ODD_TEXTS + [LONG_TEXT] + boundary_texts(max_tokens_of(folder)), True,
                       spec.get("prompted", ()))
        if "hidden_states" in spec:
            write_hidden_states(folder, ODD_TEXTS[spec["hidden_states"]])
    for name, spec in CLASSIFIERS.items():
        make_classifier(HERE / name, spec)
    if arguments.minilm:
        if not arguments.sts:
            parser.error("--minilm needs --sts")
        tokenizer = Tokenizer.from_file(str(arguments.minilm / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        sentences = sts_texts(arguments.sts, tokenizer, 64)
        texts = sentences + [" ".join(sentences[-12:])] + ODD_TEXTS + [LONG_TEXT] + boundary_texts(256)
        write_expected(arguments.minilm, HERE / "minilm", texts, False)


if __name__ == "__main__":
    main()
