"""Makes the tiny repositories of RoBERTa, XLM-RoBERTa, CamemBERT, MPNet, ModernBERT, NomicBERT and JinaBERT.

    pip install -r ../requirements.txt
    python make_goldens.py [NAME ...]

The values are those of `transformers`, checked against `formulas.py`; JinaBERT has no class there, and has those of
`formulas.py` alone. For each mistake that `formulas.py` can make on purpose some value must change by 1e-3 or more.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GOLDENS = HERE.parent
sys.path.insert(0, str(GOLDENS))

import formulas
import torch
import transformers
import vocabularies
from make_goldens import LONG_TEXT, ODD_TEXTS, case, digest_of, made_by, write_json
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import (AutoTokenizer, BertConfig, BertModel, CamembertConfig, CamembertModel, ModernBertConfig,
                          ModernBertForMaskedLM, ModernBertModel, MPNetConfig, MPNetModel, NomicBertConfig,
                          NomicBertModel, RobertaConfig, RobertaForMaskedLM, RobertaModel, XLMRobertaConfig,
                          XLMRobertaModel)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# Mean and standard deviation, by the first of these in a tensor's name. Small embeddings make a wrong epsilon show.
DRAWN = {"relative_attention_bias": (0, 1), "token_type_embeddings": (0, 0.02), "position_embeddings": (0, 0.015),
         "word_embeddings": (0, 0.02), "tok_embeddings": (0, 0.02), "norm.weight": (1, 0.2), "Norm.weight": (1, 0.2),
         "norm1.weight": (1, 0.2), "norm2.weight": (1, 0.2), "emb_ln.weight": (1, 0.2), "bias": (0, 0.2),
         "Wqkv": (0, 0.3), "Wo": (0, 0.12), "Wi": (0, 0.3), "weight": (0, 0.35)}
# The last text has a padding token in it, which has no place of its own in RoBERTa.
TEXTS = [*ODD_TEXTS, "The light<pad> of the fire <mask> <s> night", "ＡＢ！　ﬁre… ½ cafe\u0301 and [PAD] too"]


def modernbert_hub_config(config, spec):
    """ModernBERT's config.json as transformers 4 wrote it."""
    old = {name: value for name, value in json.loads(config.to_json_string()).items()
           if name not in ("layer_types", "rope_parameters", "transformers_version", "dtype")}
    return old | dict(torch_dtype=spec["dtype"], transformers_version="4.48.0", gradient_checkpointing=False,
                      layer_norm_eps=1e-5, position_embedding_type="absolute", repad_logits_with_grad=False,
                      **{name: spec["sizes"][name] for name in
                         ("global_attn_every_n_layers", "global_rope_theta", "local_rope_theta")})


def nomic_hub_config(config, spec):
    """NomicBERT's config.json with the names of the hub's own code, which are those of GPT-2 and of flash-attention."""
    return dict(
        activation_function="swiglu", architectures=["NomicBertModel"], attn_pdrop=0.0, bos_token_id=None, causal=False,
        dense_seq_output=True, embd_pdrop=0.0, eos_token_id=None, fused_bias_fc=True, fused_dropout_add_ln=True,
        initializer_range=0.02, layer_norm_epsilon=config.layer_norm_eps, max_trained_positions=2048,
        mlp_fc1_bias=False, mlp_fc2_bias=False, model_type="nomic_bert", n_embd=config.hidden_size,
        n_head=config.num_attention_heads, n_inner=config.intermediate_size,
        n_layer=config.num_hidden_layers, n_positions=config.max_position_embeddings,
        pad_vocab_size_multiple=64, parallel_block=False, parallel_block_tied_norm=False, prenorm=False,
        qkv_proj_bias=False, reorder_and_upcast_attn=False, resid_pdrop=0.0,
        rotary_emb_base=config.rope_parameters["rope_theta"],
        rotary_emb_fraction=1.0, rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None,
        scale_attn_by_inverse_layer_idx=False, scale_attn_weights=True, torch_dtype=spec["dtype"],
        type_vocab_size=config.type_vocab_size, use_cache=True, use_flash_attn=True, use_rms_norm=False,
        use_xentropy=True, vocab_size=config.vocab_size)


def jina_hub_config(config, spec):
    """The config.json of jina-embeddings-v2-small-en: BERT's, with keys for its own code."""
    kept = {name: value for name, value in json.loads(config.to_json_string()).items() if name != "dtype"}
    return kept | dict(
        architectures=["JinaBertForMaskedLM"], attn_implementation="torch", emb_pooler="mean",
        feed_forward_type="geglu", position_embedding_type="alibi", torch_dtype=spec["dtype"],
        transformers_version="4.26.0",
        auto_map=dict(AutoModel="jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"))


def jina_shapes(config):
    """Names and shapes of the hub's checkpoint; the pooler is there, and nothing reads it."""
    d, inner = config.hidden_size, config.intermediate_size
    shapes = {"embeddings.word_embeddings": [config.vocab_size, d], "pooler.dense": [d, d],
              "embeddings.token_type_embeddings": [config.type_vocab_size, d], "embeddings.LayerNorm": [d]}
    for layer in range(config.num_hidden_layers):
        at = f"encoder.layer.{layer}."
        shapes |= {f"{at}attention.self.{name}": [d, d] for name in ("query", "key", "value")}
        shapes |= {f"{at}attention.output.dense": [d, d], f"{at}attention.output.LayerNorm": [d],
                   f"{at}mlp.gated_layers": [2 * inner, d], f"{at}mlp.wo": [d, inner], f"{at}mlp.layernorm": [d]}
    biased = {f"{name}.bias": shape[:1] for name, shape in shapes.items() if "_" not in name.split(".")[-1]}
    return {f"{name}.weight": shape for name, shape in shapes.items()} | biased


# `sizes` are what the class is given; `hub_config` writes config.json in another form than the class does;
# `files` is the form of the module files, that of sentence-transformers before or after 5.4.
TINY = {
    "roberta-tiny": dict(
        family="roberta", config=RobertaConfig, model=RobertaModel, saved=RobertaForMaskedLM, prefix="roberta.",
        vocabulary=vocabularies.roberta, tokenizer_class="RobertaTokenizer", dtype="float16", pooling="cls",
        normalize=True, max_tokens=62, length_in="sentence_bert_config.json", files="old", hidden_states=2, seed=11,
        sizes=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=4, intermediate_size=70,
                   max_position_embeddings=64, type_vocab_size=1, layer_norm_eps=1e-5)),
    "xlm-roberta-tiny": dict(
        family="xlm-roberta", config=XLMRobertaConfig, model=XLMRobertaModel, saved=XLMRobertaModel, prefix="",
        vocabulary=vocabularies.xlm_roberta, tokenizer_class="XLMRobertaTokenizer", dtype="float32", pooling="mean",
        normalize=True, max_tokens=40, length_in="tokenizer_config.json", files="new", hidden_states=2, seed=12,
        sizes=dict(hidden_size=35, num_hidden_layers=3, num_attention_heads=5, intermediate_size=50,
                   max_position_embeddings=44, type_vocab_size=1, layer_norm_eps=1e-5)),
    "camembert-tiny": dict(
        family="camembert", config=CamembertConfig, model=CamembertModel, saved=CamembertModel, prefix="",
        vocabulary=vocabularies.camembert, tokenizer_class="PreTrainedTokenizerFast", dtype="bfloat16", pooling="mean",
        normalize=True, max_tokens=30, length_in="sentence_bert_config.json", files="old", hidden_states=2, seed=13,
        sizes=dict(hidden_size=42, num_hidden_layers=2, num_attention_heads=3, intermediate_size=54,
                   max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=5, eos_token_id=6)),
    "mpnet-tiny": dict(
        family="mpnet", config=MPNetConfig, model=MPNetModel, saved=MPNetModel, prefix="",
        vocabulary=vocabularies.mpnet, tokenizer_class="MPNetTokenizer", dtype="float32", pooling="mean",
        normalize=True, max_tokens=112, length_in="sentence_bert_config.json", files="old", hidden_states=4, seed=14,
        sizes=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=60,
                   max_position_embeddings=114, layer_norm_eps=1e-5)),
    "modernbert-tiny": dict(
        family="modernbert", config=ModernBertConfig, model=ModernBertModel, saved=ModernBertForMaskedLM,
        prefix="model.", vocabulary=vocabularies.modernbert, tokenizer_class="PreTrainedTokenizerFast",
        dtype="bfloat16", pooling="cls", normalize=True, max_tokens=96, length_in="tokenizer_config.json",
        files="new", hidden_states=3, seed=15,
        sizes=dict(hidden_size=36, num_hidden_layers=4, num_attention_heads=3, intermediate_size=50, norm_eps=1e-5,
                   max_position_embeddings=96, local_attention=15, layer_types=["full_attention", "sliding_attention",
                                                                               "sliding_attention", "full_attention"],
                   rope_parameters=dict(full_attention=dict(rope_type="default", rope_theta=900.0),
                                        sliding_attention=dict(rope_type="default", rope_theta=30.0)),
                   pad_token_id=319, cls_token_id=317, sep_token_id=318, bos_token_id=317, eos_token_id=318)),
    # As the hub has it: no prefix, and config.json of transformers 4, with keys that nothing reads.
    "modernbert-tiny-hub": dict(
        family="modernbert", config=ModernBertConfig, model=ModernBertModel, saved=ModernBertModel, prefix="",
        vocabulary=vocabularies.modernbert, tokenizer_class="PreTrainedTokenizerFast", dtype="float16", pooling="mean",
        normalize=False, max_tokens=64, length_in="sentence_bert_config.json", files="old", hidden_states=3, seed=16,
        hub_config=modernbert_hub_config,
        sizes=dict(hidden_size=40, num_hidden_layers=5, num_attention_heads=5, intermediate_size=36, norm_eps=1e-5,
                   max_position_embeddings=80, local_attention=12, global_attn_every_n_layers=2,
                   global_rope_theta=500.0, local_rope_theta=20.0,
                   pad_token_id=319, cls_token_id=317, sep_token_id=318, bos_token_id=317, eos_token_id=318)),
    "nomic-tiny": dict(
        family="nomic_bert", config=NomicBertConfig, model=NomicBertModel, saved=NomicBertModel, prefix="",
        vocabulary=vocabularies.bert, tokenizer_class="BertTokenizer", dtype="float32", pooling="mean",
        normalize=True, max_tokens=48, length_in="sentence_bert_config.json", files="new", hidden_states=4, seed=17,
        sizes=dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3, intermediate_size=56,
                   max_position_embeddings=64, layer_norm_eps=1e-12, pad_token_id=0,
                   rope_parameters=dict(rope_type="default", rope_theta=1000.0))),
    # The sizes stand under the names of the hub's own code alone, and there are more words than the tokenizer has.
    "nomic-tiny-hub": dict(
        family="nomic_bert", config=NomicBertConfig, model=NomicBertModel, saved=NomicBertModel, prefix="",
        vocabulary=vocabularies.bert, tokenizer_class="BertTokenizer", dtype="float16", pooling="mean",
        normalize=False, max_tokens=40, length_in="sentence_bert_config.json", files="old", hidden_states=4, seed=18,
        hub_config=nomic_hub_config, words=192,
        sizes=dict(hidden_size=40, num_hidden_layers=3, num_attention_heads=4, intermediate_size=44,
                   max_position_embeddings=64, layer_norm_eps=1e-12, pad_token_id=0,
                   rope_parameters=dict(rope_type="default", rope_theta=700.0))),
    # JinaBERT is code of the hub; six heads, which are no power of two.
    "jina-tiny": dict(
        family="jina", config=BertConfig, model=None, saved=BertModel, prefix="", shapes=jina_shapes,
        vocabulary=vocabularies.bert, tokenizer_class="BertTokenizer", dtype="float16", pooling="mean",
        normalize=True, max_tokens=90, length_in="sentence_bert_config.json", files="old", hidden_states=4, seed=19,
        hub_config=jina_hub_config,
        sizes=dict(hidden_size=42, num_hidden_layers=2, num_attention_heads=6, intermediate_size=50, hidden_act="gelu",
                   max_position_embeddings=128, layer_norm_eps=1e-12, pad_token_id=0, type_vocab_size=2)),
}
POOLING = {"cls": lambda states: states[0], "mean": lambda states: states.mean(0)}
# Each module's type before sentence-transformers 5.4, and since.
MODULES = {
    "Transformer": ("sentence_transformers.models.Transformer",
                    "sentence_transformers.base.modules.transformer.Transformer"),
    "Pooling": ("sentence_transformers.models.Pooling",
                "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
    "Normalize": ("sentence_transformers.models.Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
}


def shapes_of(spec, config):
    """Names and shapes of the tensors that `transformers` saves."""
    with tempfile.TemporaryDirectory() as folder:
        spec["saved"](config).save_pretrained(folder)
        return {name: tensor.shape for name, tensor in load_file(Path(folder) / "model.safetensors").items()}


def draw(shapes, seed, dtype):
    """The tensors, drawn in the order of their names."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name in sorted(shapes):
        mean, deviation = next(drawn for part, drawn in DRAWN.items() if part in name)
        weights[name] = (torch.randn(shapes[name], generator=generator) * deviation + mean).to(dtype)
    return weights


def make_repository(folder, spec):
    """Writes one tiny repository in the hub's layout, and returns its config."""
    folder.mkdir(exist_ok=True)
    tokenizer = spec["vocabulary"]()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = spec["config"](vocab_size=spec.get("words", tokenizer.get_vocab_size()), **spec["sizes"])
    config.architectures = [spec["saved"].__name__]
    config.dtype = spec["dtype"]
    if "hub_config" in spec:
        write_json(folder / "config.json", spec["hub_config"](config, spec))
    else:
        config.save_pretrained(folder)
    shapes = spec["shapes"](config) if "shapes" in spec else shapes_of(spec, config)
    weights = draw(shapes, spec["seed"], DTYPES[spec["dtype"]])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    is_new = spec["files"] == "new"
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")] + [("Normalize", "2_Normalize")] * spec["normalize"]
    write_json(folder / "modules.json", [dict(idx=index, name=str(index), path=path, type=MODULES[kind][is_new])
                                         for index, (kind, path) in enumerate(modules)])
    if is_new:
        pooling = dict(embedding_dimension=config.hidden_size, pooling_mode=spec["pooling"], include_prompt=True)
    else:
        modes = dict(cls="cls_token", mean="mean_tokens", max="max_tokens", mean_sqrt_len="mean_sqrt_len_tokens")
        pooling = dict(word_embedding_dimension=config.hidden_size,
                       **{f"pooling_mode_{name}": mode == spec["pooling"] for mode, name in modes.items()})
    write_json(folder / "1_Pooling" / "config.json", pooling)
    in_bert_file = spec["length_in"] == "sentence_bert_config.json"
    if in_bert_file:
        write_json(folder / "sentence_bert_config.json", dict(max_seq_length=spec["max_tokens"], do_lower_case=False))
    write_json(folder / "tokenizer_config.json",
               dict(tokenizer_class=spec["tokenizer_class"],
                    model_max_length=512 if in_bert_file else spec["max_tokens"],
                    **vocabularies.special_tokens(spec["vocabulary"])))
    return config


def boundary_texts(tokenizer, longest):
    """The longest text of one word that fits, and the shortest that does not."""
    words = next(count for count in range(1, longest + 1)
                 if len(tokenizer.encode(" ".join(["light"] * count)).ids) > longest)
    return [" ".join(["light"] * (words - 1)), " ".join(["light"] * words)]


def plain_weights(folder, spec):
    """The tensors under the names of the encoder alone."""
    weights = load_file(folder / "model.safetensors")
    return {name.removeprefix(spec["prefix"]): tensor for name, tensor in weights.items()}


def plain_config(config):
    """The values of a config that `formulas.py` reads."""
    values = config.to_dict()
    rope = values.get("rope_parameters") or {}
    if "full_attention" in rope:
        values["thetas"] = {False: rope["full_attention"]["rope_theta"], True: rope["sliding_attention"]["rope_theta"]}
    elif rope:
        values["thetas"] = {False: rope["rope_theta"]}
    return values


def transformers_states(folder, spec, config):
    """A function from ids to hidden states `[t, d]` in f32, by the family's class, from the files of the folder."""
    # NomicBertConfig knows nothing of the hub's own names.
    more = dict(config=config) if spec.get("hub_config") is nomic_hub_config else {}
    only = dict(add_pooling_layer=False) if spec["family"] in ("roberta", "xlm-roberta", "camembert", "mpnet") else {}
    model, loading = spec["model"].from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                   output_loading_info=True, **more, **only)
    assert not loading["missing_keys"] and not loading["mismatched_keys"], loading
    model.eval()

    @torch.inference_mode()
    def states(ids):
        output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        # ModernBERT's last norm stands behind the last layer.
        return [*(state[0] for state in output.hidden_states[:-1]), output.last_hidden_state[0]]
    return states


def vector(states, spec):
    pooled = POOLING[spec["pooling"]](states[-1])
    return torch.nn.functional.normalize(pooled, dim=0) if spec["normalize"] else pooled


def check_tokenizer(folder, tokenizer, texts):
    """`AutoTokenizer`, which sentence-transformers uses, must give the ids of tokenizer.json."""
    auto = AutoTokenizer.from_pretrained(folder)
    for text in texts:
        ids = auto(text, truncation=False)["input_ids"]
        assert ids == tokenizer.encode(text).ids, (folder.name, text, ids, tokenizer.encode(text).ids)


def make(name, spec):
    folder = GOLDENS / name
    config = make_repository(folder, spec)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    longest = spec["max_tokens"]
    texts = [*TEXTS, LONG_TEXT, *boundary_texts(tokenizer, longest)]
    check_tokenizer(folder, tokenizer, texts)
    whole = [len(tokenizer.encode(text).ids) for text in texts]
    tokenizer.enable_truncation(longest)
    ids = [tokenizer.encode(text).ids for text in texts]
    assert longest in whole and longest + 1 in whole

    weights, values = plain_weights(folder, spec), plain_config(config)
    plain = [formulas.forward(spec["family"], weights, values, row) for row in ids]
    if spec["model"]:
        by_ids = transformers_states(folder, spec, config)
        answers = [by_ids(row) for row in ids]
        # As a part of the largest value: ModernBERT's states grow until the last norm.
        error = max(((a - b).abs().max() / max(1, a.abs().max())).item()
                    for ours, theirs in zip(plain, answers) for a, b in zip(ours, theirs, strict=True))
        assert error < 2e-5, (name, error)
    else:
        error, answers = 0, [[state.float() for state in states] for states in plain]
    vectors = [vector(states, spec) for states in answers]
    exact = [vector(states, spec) for states in plain]
    print(f"{name}: hidden states within {error:.1e} of f64, vectors within "
          f"{max((a - b).abs().max().item() for a, b in zip(vectors, exact)):.1e}, "
          f"values up to {max(v.abs().max().item() for v in vectors):.2g}")
    for mistake in formulas.MISTAKES[spec["family"]]:
        wrong = [vector(formulas.forward(spec["family"], weights, values, row, mistake), spec) for row in ids]
        changed = max((ours - right).abs().max().item() for ours, right in zip(wrong, exact))
        print(f"  {mistake}: {changed:.1e}")
        # The two differ by at most 5e-4 in one value.
        smallest = 5e-5 if mistake == "the other GELU" else 1e-3
        assert changed >= smallest, (name, mistake, changed)

    cases = [case(text, row, length > len(row), dict(embedding=answer))
             for text, row, length, answer in zip(texts, ids, whole, vectors)]
    (folder / "expected.json").write_text(
        f'{{"generator":{made_by(False)[:-1]}, seed {spec["seed"]}",\n"weights_sha256":"{digest_of(folder)}",\n'
        f'"dimensions":{config.hidden_size},\n"max_tokens":{longest},\n"cases":[\n' + ",\n".join(cases) + "\n]}\n")
    states = enumerate(answers[spec["hidden_states"]])
    save_file({f"hidden_states.{index}": state.contiguous() for index, state in states},
              folder / "hidden_states.safetensors", metadata={"text": texts[spec["hidden_states"]]})


def main():
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # One thread: the order of the sums, and so the last bit, stays the same.
    torch.set_num_threads(1)
    for name in sys.argv[1:] or TINY:
        make(name, TINY[name])


if __name__ == "__main__":
    main()
