"""Makes the goldens of the decoders; each part is described in its own module beside this file.

    pip install -r ../requirements.txt
    python make_goldens.py tiny [--verbose]           # ../qwen2-tiny, ../llama-tiny, ../qwen3-tiny

With `--verbose` it also prints what each mistake of `plain.py` changes.
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
    parser.add_argument("part", choices=["tiny"])
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    # One thread: the order of the sums, and so the last bit, stays the same.
    torch.set_num_threads(1)
    if arguments.part == "tiny":
        import tiny

        tiny.make(arguments.verbose)


if __name__ == "__main__":
    main()
