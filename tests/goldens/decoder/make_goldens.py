"""Makes the goldens of the decoders; each part is described in its own module beside this file.

    pip install -r ../requirements.txt
    python make_goldens.py tiny [--check]             # ../qwen2-tiny, ../llama-tiny, ../qwen3-tiny
    python make_goldens.py full-size [--check]        # ../qwen2-0.5b: 6 GB of memory

With `--check`, `tiny` also prints what each mistake of `plain.py` changes, and `full-size` how far it is from f64.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent))

import torch
import transformers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["tiny", "full-size"])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # One thread: the order of the sums, and so the last bit, stays the same.
    torch.set_num_threads(1)
    if arguments.part == "tiny":
        import tiny

        tiny.make_goldens(arguments.check)
    if arguments.part == "full-size":
        import full_size

        full_size.make_goldens(arguments.check)


if __name__ == "__main__":
    main()
