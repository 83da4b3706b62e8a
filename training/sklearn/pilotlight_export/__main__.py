"""Writes a fitted classifier, which was saved by joblib or pickle, as JSON for Pilotlight."""

import argparse
import json
import sys

import joblib

from . import export


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m pilotlight_export", description=__doc__)
    parser.add_argument("classifier", help="a file of joblib or pickle; loading it runs its code, so it must be your own")
    parser.add_argument("--model", help="the embedding model whose vectors it was fitted on, such as sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--out", help="the JSON file to write; the standard output if absent")
    options = parser.parse_args(arguments)
    try:
        text = json.dumps(export(joblib.load(options.classifier), options.model))
    except (OSError, TypeError) as error:
        sys.exit(f"{options.classifier}: {error}")
    if options.out is None:
        print(text)
    else:
        with open(options.out, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
