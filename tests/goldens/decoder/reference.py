"""The parts that the decoders' goldens share: hidden states and likelihoods by transformers, one text at a time, without padding."""

import json
from pathlib import Path

import safetensors
import tokenizers
import torch
import transformers

SEPARATOR = "<|endoftext|>"


def generator(*more: str) -> str:
    """The versions that made a file."""
    made_by = [f"torch {torch.__version__.split('+')[0]}"]
    made_by += [f"{module.__name__} {module.__version__}" for module in (transformers, tokenizers, safetensors)]
    return ", ".join([*made_by, *more])


@torch.inference_mode()
def hidden_states(model, ids: list[int]) -> torch.Tensor:
    """`[layers + 1, t, d]`: the embeddings, the output of each block, and in place of the last one that after the final norm."""
    output = model.model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    return torch.cat(output.hidden_states)


@torch.inference_mode()
def logits(model, ids: list[int], separator: int) -> torch.Tensor:
    """`[t, vocabulary]`: what predicts each of the ids, the first one after the separator."""
    return model(input_ids=torch.tensor([[separator, *ids]]), use_cache=False).logits[0, :-1]


def likelihoods(logits: torch.Tensor, ids: list[int]) -> dict[str, torch.Tensor]:
    """Per token: ln p, the prediction's entropy in nats, the variance of ln p under it, and the rank; f64 from f32 logits."""
    log_p = torch.log_softmax(logits.double(), -1)
    p = log_p.exp()
    entropies = -(p * log_p).sum(-1)
    variances = (p * (log_p + entropies[:, None]).square()).sum(-1)
    chosen = logits.gather(1, torch.tensor(ids)[:, None])
    # The rank counts the strictly greater logits: tokens that are equally likely share the better rank.
    return {"log_probabilities": log_p.gather(1, torch.tensor(ids)[:, None])[:, 0], "entropies": entropies,
            "variances": variances, "ranks": (logits > chosen).sum(-1) + 1}


def starts(text: str, encoding) -> list[int]:
    """The index of each token's first character in the text, in UTF-16 code units, as JavaScript counts.

    A token that begins inside a character's bytes has the index of that character.
    """
    return [len(text[:start].encode("utf-16-le")) // 2 for start, _ in encoding.offsets]


def write_cases(path: Path, head: dict, cases: list[dict]) -> None:
    """JSON with one case per line."""
    fields = [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in head.items()]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    path.write_text("{" + ",\n".join([*fields, f'"cases":[\n{lines}\n]']) + "}\n")
