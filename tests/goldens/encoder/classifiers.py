"""Makes the tiny classifiers of whole texts and of pairs of texts.

    pip install -r ../requirements.txt
    python classifiers.py

The values are those of `transformers`. The heads are written out once more below, and a head that is wrong on purpose
must change some value by 1e-3 or more.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDENS = HERE.parent
sys.path.insert(0, str(GOLDENS))

import torch
import transformers
import vocabularies
from make_goldens import LONG_TEXT, ODD_TEXTS, case, digest_of, made_by, write_json
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import (AutoTokenizer, BertForSequenceClassification, ModernBertForSequenceClassification,
                          MPNetForSequenceClassification, RobertaForSequenceClassification,
                          XLMRobertaForSequenceClassification)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DRAWN = {"relative_attention_bias": (0, 1), "_embeddings": (0, 0.03), "norm.weight": (1, 0.2), "Norm.weight": (1, 0.2),
         "bias": (0, 0.2), "Wo": (0, 0.12), "weight": (0, 0.35)}
LABELS = dict(id2label={0: "negative", 1: "neutral", 2: "positive"}, label2id=dict(negative=0, neutral=1, positive=2))
ONE_LABEL = dict(id2label={0: "LABEL_0"}, label2id=dict(LABEL_0=0))
IDENTITY = "torch.nn.modules.linear.Identity"

# `pairs`: there are cases of two texts. `score` is what sentence-transformers' `CrossEncoder` makes of the logit: it
# heeds `activation_fn` in config.json, and takes the sigmoid without it.
CLASSIFIERS = {
    "roberta-tiny-classifier": dict(
        model=RobertaForSequenceClassification, base="roberta", head="dense", vocabulary=vocabularies.roberta,
        dtype="float32", max_tokens=60, tokenizer_class="RobertaTokenizer", seed=41,
        sizes=dict(hidden_size=35, num_hidden_layers=2, num_attention_heads=5, intermediate_size=60,
                   max_position_embeddings=62, type_vocab_size=1, layer_norm_eps=1e-5, **LABELS)),
    "mpnet-tiny-classifier": dict(
        model=MPNetForSequenceClassification, base="mpnet", head="dense", vocabulary=vocabularies.mpnet,
        dtype="bfloat16", max_tokens=40, tokenizer_class="MPNetTokenizer", seed=42,
        sizes=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=4, intermediate_size=44,
                   max_position_embeddings=42, layer_norm_eps=1e-5, problem_type="multi_label_classification",
                   **LABELS)),
    "modernbert-tiny-classifier": dict(
        model=ModernBertForSequenceClassification, base="model", head="modernbert", vocabulary=vocabularies.modernbert,
        dtype="float32", max_tokens=70, tokenizer_class="PreTrainedTokenizerFast", seed=43,
        sizes=dict(hidden_size=36, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40,
                   max_position_embeddings=70, local_attention=10, pad_token_id=319, cls_token_id=317, sep_token_id=318,
                   bos_token_id=317, eos_token_id=318, classifier_pooling="mean", **LABELS)),
    "bert-tiny-reranker": dict(
        model=BertForSequenceClassification, base="bert", head="pooler", vocabulary=vocabularies.bert, dtype="float32",
        max_tokens=36, tokenizer_class="BertTokenizer", seed=44, pairs=True, score=IDENTITY,
        sizes=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=4, intermediate_size=52,
                   max_position_embeddings=36, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0, **ONE_LABEL,
                   sentence_transformers=dict(activation_fn=IDENTITY, version="5.4.0"))),
    "xlm-roberta-tiny-reranker": dict(
        model=XLMRobertaForSequenceClassification, base="roberta", head="dense", vocabulary=vocabularies.xlm_roberta,
        dtype="float16", max_tokens=44, tokenizer_class="XLMRobertaTokenizer", seed=45, pairs=True, score=None,
        sizes=dict(hidden_size=40, num_hidden_layers=2, num_attention_heads=5, intermediate_size=48,
                   max_position_embeddings=46, type_vocab_size=1, layer_norm_eps=1e-5, **ONE_LABEL)),
}

PAIRS = [
    ("", ""), ("light", ""), ("", "light"), ("one bird", "The pilot light is warm."),
    ("The pilot light is warm.", "one bird"), ("why is the fire red?", "Two people read by the fire; the fire is red."),
    ("why is the fire red?", "Un café naïve, über großen Ärger; Ελλάδα, Москва"), ("日本の火", "中文字 and 한국어"),
    ("light [SEP] fire </s>", "</s></s> one [SEP] two"), ("a short one", LONG_TEXT), (LONG_TEXT, "a short one"),
    (LONG_TEXT, LONG_TEXT)]


def head_of(model, kind, states, mistake=None):
    """Logits from the last hidden states `[t, d]`."""
    first = states[0]
    if mistake == "mean of the tokens":
        first = states.mean(0)
    squash = (lambda x: x) if mistake == "no tanh" else torch.tanh
    if kind == "dense":
        return model.classifier.out_proj(squash(model.classifier.dense(first)))
    if kind == "pooler":
        return model.classifier(squash(model.bert.pooler.dense(first)))
    mean = states[0] if mistake == "first token" else states.mean(0)
    inner = model.head.dense(mean)
    inner = inner if mistake == "no activation" else torch.nn.functional.gelu(inner)
    return model.classifier(inner if mistake == "no norm" else model.head.norm(inner))


MISTAKES = dict(dense=["mean of the tokens", "no tanh"], pooler=["mean of the tokens", "no tanh"],
                modernbert=["first token", "no activation", "no norm"])


def make_repository(folder, spec):
    folder.mkdir(exist_ok=True)
    tokenizer = spec["vocabulary"]()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write_json(folder / "tokenizer_config.json",
               dict(tokenizer_class=spec["tokenizer_class"], model_max_length=spec["max_tokens"],
                    **vocabularies.special_tokens(spec["vocabulary"])))
    config = spec["model"].config_class(vocab_size=tokenizer.get_vocab_size(), **spec["sizes"])
    config.architectures, config.dtype = [spec["model"].__name__], spec["dtype"]
    config.save_pretrained(folder)
    random = torch.Generator().manual_seed(spec["seed"])
    weights = {}
    for name, parameter in sorted(spec["model"](config).named_parameters()):
        mean, deviation = next(drawn for part, drawn in DRAWN.items() if part in name)
        weights[name] = (torch.randn(parameter.shape, generator=random) * deviation + mean).to(DTYPES[spec["dtype"]])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return config


def encode(tokenizer, texts, longest):
    """Ids, token types, and whether the longer text, token by token, was cut."""
    tokenizer.no_truncation()
    whole = len(tokenizer.encode(*texts).ids)
    tokenizer.enable_truncation(longest, strategy="longest_first")
    encoding = tokenizer.encode(*texts)
    return encoding.ids, encoding.type_ids, whole > len(encoding.ids)


def make(name, spec):
    folder = GOLDENS / name
    config = make_repository(folder, spec)
    model, loading = spec["model"].from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                   output_loading_info=True)
    assert not any(loading.values()), loading
    model.eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    auto = AutoTokenizer.from_pretrained(folder)
    longest, has_types = spec["max_tokens"], spec["base"] == "bert"
    changed = {}

    @torch.inference_mode()
    def answer(texts):
        ids, types, cut = encode(tokenizer, texts, longest)
        # As `CrossEncoder` gives a pair: in a list, where an empty second text is a text too.
        given = [texts] if len(texts) == 2 else texts
        assert ids == auto(given, truncation=True, max_length=longest)["input_ids"][0], (name, texts)
        given = dict(input_ids=torch.tensor([ids])) | (dict(token_type_ids=torch.tensor([types])) if has_types else {})
        logits = model(**given).logits[0]
        states = getattr(model, spec["base"])(**given).last_hidden_state[0]
        assert (head_of(model, spec["head"], states) - logits).abs().max() < 1e-5
        others = {mistake: head_of(model, spec["head"], states, mistake) for mistake in MISTAKES[spec["head"]]}
        if len(texts) == 2 and has_types:
            others["token type 0 for both texts"] = model(input_ids=given["input_ids"]).logits[0]
        if len(texts) == 2 and not has_types:
            middle = ids.index(2)
            others["one separator"] = model(input_ids=torch.tensor([ids[:middle] + ids[middle + 1:]])).logits[0]
        for mistake, other in others.items():
            changed[mistake] = max(changed.get(mistake, 0), (other - logits).abs().max().item())
        one_by_one = config.problem_type == "multi_label_classification" or config.num_labels == 1
        probabilities = torch.sigmoid(logits) if one_by_one else torch.softmax(logits, 0)
        return ids, types, cut, logits, probabilities

    texts = [*ODD_TEXTS, LONG_TEXT]
    cases = []
    for text in texts:
        ids, _, cut, logits, probabilities = answer([text])
        cases.append(case(text, ids, cut, dict(logits=logits, probabilities=probabilities)))
    pairs = []
    for text, second in PAIRS if spec.get("pairs") else []:
        ids, types, cut, logits, probabilities = answer([text, second])
        score = logits if spec["score"] == IDENTITY else probabilities
        line = case(text, ids, cut, dict(logits=logits, probabilities=probabilities, score=score))
        types = json.dumps(types if has_types else [0] * len(ids), separators=(",", ":"))
        line = line.replace(',"ids":', f',"text_pair":{json.dumps(second)},"ids":', 1)
        pairs.append(line.replace(',"truncated":', f',"token_type_ids":{types},"truncated":', 1))
    for line in cases + pairs:
        json.loads(line)
    print(name, {mistake: f"{value:.1e}" for mistake, value in changed.items()})
    assert min(changed.values()) >= 1e-3, (name, changed)
    labels = json.dumps([config.id2label[index] for index in range(config.num_labels)])
    (folder / "expected.json").write_text(
        f'{{"generator":{made_by(False)[:-1]}, seed {spec["seed"]}",\n"weights_sha256":"{digest_of(folder)}",\n'
        f'"labels":{labels},\n"max_tokens":{longest},\n"cases":[\n' + ",\n".join(cases) + "\n]"
        + (',\n"pairs":[\n' + ",\n".join(pairs) + "\n]") * bool(pairs) + "}\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name, spec in CLASSIFIERS.items():
        make(name, spec)
