"""Writes GGUF files: blocks of each type with their values, and the BERT of bert-tiny-mean, whole and in four bits.

    python tests/goldens/gguf/make_goldens.py        (gguf==0.19.0, numpy==2.4.6, safetensors==0.8.0)

The values come from the formulas below, which are compared with those of the package `gguf` bit for bit.
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent
BERT = HERE.parent / "bert-tiny-mean"
# Type: the values and the bytes of a block, and where its f16 scales are.
BLOCKS = {
    "F32": (1, 4, ()), "F16": (1, 2, ()), "BF16": (1, 2, ()),
    "Q4_0": (32, 18, (0,)), "Q4_1": (32, 20, (0, 2)), "Q5_0": (32, 22, (0,)), "Q5_1": (32, 24, (0, 2)), "Q8_0": (32, 34, (0,)),
    "Q4_K": (256, 144, (0, 2)), "Q5_K": (256, 176, (0, 2)), "Q6_K": (256, 210, (208,)),
}


def half(bytes_):
    return bytes_.copy().view(np.float16).astype(np.float32)


def nibbles(bytes_):
    """The low halves of the bytes, then the high halves."""
    return np.concatenate([bytes_ & 15, bytes_ >> 4], 1).astype(np.int32)


def fifth(bytes_):
    """The fifth bits of 32 values, where they belong in a number."""
    return ((bytes_.copy().view(np.uint32) >> np.arange(32, dtype=np.uint32)) & 1).astype(np.int32) << 4


def six_bits(s):
    """The eight scales and the eight minima that twelve bytes hold."""
    scale = np.concatenate([s[:, 0:4] & 63, (s[:, 8:12] & 15) | ((s[:, 0:4] >> 6) << 4)], 1)
    minimum = np.concatenate([s[:, 4:8] & 63, (s[:, 8:12] >> 4) | ((s[:, 4:8] >> 6) << 4)], 1)
    return scale, minimum


def values(kind, b):
    """The values of blocks, one block in each row."""
    if kind == "F32":
        return b.view(np.float32)
    if kind == "F16":
        return half(b)
    if kind == "BF16":
        return (b.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if kind == "Q8_0":
        return half(b[:, :2]) * b[:, 2:].view(np.int8)
    if kind == "Q4_0":
        return half(b[:, :2]) * (nibbles(b[:, 2:]) - 8)
    if kind == "Q4_1":
        return half(b[:, :2]) * nibbles(b[:, 4:]) + half(b[:, 2:4])
    if kind == "Q5_0":
        return half(b[:, :2]) * ((nibbles(b[:, 6:]) | fifth(b[:, 2:6])) - 16)
    if kind == "Q5_1":
        return half(b[:, :2]) * (nibbles(b[:, 8:]) | fifth(b[:, 4:8])) + half(b[:, 2:4])
    if kind in ("Q4_K", "Q5_K"):
        scale, minimum = six_bits(b[:, 4:16].astype(np.int32))
        q = b[:, -128:].reshape(-1, 4, 32)
        x = np.stack([q & 15, q >> 4], 2).reshape(-1, 8, 32).astype(np.int32)
        if kind == "Q5_K":
            x |= ((b[:, 16:48].reshape(-1, 1, 32) >> np.arange(8, dtype=np.uint8).reshape(1, 8, 1)) & 1).astype(np.int32) << 4
        of_block = half(b[:, :2]) * scale, half(b[:, 2:4]) * minimum
        return (x * of_block[0][:, :, None] - of_block[1][:, :, None]).reshape(-1, 256).astype(np.float32)
    low, high = b[:, :128].reshape(-1, 2, 2, 32), b[:, 128:192].reshape(-1, 2, 1, 32)
    low = np.stack([low[:, :, 0] & 15, low[:, :, 1] & 15, low[:, :, 0] >> 4, low[:, :, 1] >> 4], 2)
    high = np.stack([(high[:, :, 0] >> k) & 3 for k in (0, 2, 4, 6)], 2)
    x = ((low.astype(np.int32) | (high.astype(np.int32) << 4)) - 32).reshape(-1, 16, 16)
    return (x * b[:, 192:208].view(np.int8).astype(np.float32)[:, :, None]).reshape(-1, 256) * half(b[:, 208:210])


def make_blocks() -> None:
    random = np.random.default_rng(14)
    writer, expected = GGUFWriter(HERE / "blocks.gguf", "llama"), {}
    for kind, (count, size, halves) in BLOCKS.items():
        # Three rows of 512 values.
        rows = random.integers(0, 256, (1536 // count, size), dtype=np.uint8)
        if count == 1:
            x = random.normal(size=1536).astype(np.float32)
            x = x.astype(np.float16) if kind == "F16" else x
            rows = x.view(np.uint8).reshape(1536, -1)[:, -size:].copy()
        for at in halves:
            scale = random.normal(size=(len(rows), 1)).astype(np.float16)
            scale[0], scale[-1] = 0.0, 3e-7  # zero, and a subnormal one
            rows[:, at:at + 2] = scale.view(np.uint8)
        x = values(kind, rows).astype(np.float32)
        theirs = gguf.quants.dequantize(rows.reshape(-1) if count == 1 else rows, Type[kind])
        assert np.array_equal(x.reshape(-1), theirs.reshape(-1)), kind
        expected[kind.lower()] = x.reshape(3, 512)
        writer.add_tensor(kind.lower(), rows.reshape(3, -1), raw_dtype=Type[kind])
    write(writer)
    save_file(expected, HERE / "blocks.safetensors")


NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm",
}


def gguf_name(name: str) -> str | None:
    module, kind = name.rsplit(".", 1)
    layer = module.removeprefix("encoder.layer.") if module.startswith("encoder.layer.") else None
    if layer is not None:
        number, module = layer.split(".", 1)
    if module not in NAMES:
        return None
    return f"blk.{number}.{NAMES[module]}.{kind}" if layer is not None else f"{NAMES[module]}.{kind}"


def make_bert(file: str, kind: str) -> None:
    config = json.loads((BERT / "config.json").read_text())
    tokenizer = json.loads((BERT / "tokenizer.json").read_text())
    writer = GGUFWriter(HERE / file, "bert")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(json.loads((BERT / "sentence_bert_config.json").read_text())["max_seq_length"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    special = {token["content"] for token in tokenizer["added_tokens"]}
    # As convert_hf_to_gguf.py does: starts of words are marked, and not what continues them.
    marked = [t if t in special else t[2:] if t.startswith("##") else "\u2581" + t for t in vocabulary]
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_token_list(marked)
    writer.add_token_types([3 if t in special else 1 for t in vocabulary])
    writer.add_unk_token_id(vocabulary.index("[UNK]"))
    writer.add_sep_token_id(vocabulary.index("[SEP]"))
    writer.add_pad_token_id(vocabulary.index("[PAD]"))
    for name, x in load_file(BERT / "model.safetensors").items():
        own = gguf_name(name)
        if own is None:
            continue
        matrix = kind != "F32" and x.ndim == 2 and "embeddings" not in name
        own_type = Type[kind] if matrix else Type.Q8_0 if kind != "F32" and own == "token_embd.weight" else Type.F32
        if own_type == Type.F32:
            writer.add_tensor(own, x.astype(np.float32))
        else:
            writer.add_tensor(own, gguf.quants.quantize(x.astype(np.float32), own_type), raw_dtype=own_type)
    write(writer)


def write(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    make_blocks()
    make_bert("bert-tiny.f32.gguf", "F32")
    make_bert("bert-tiny.Q4_1.gguf", "Q4_1")
