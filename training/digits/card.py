"""Writes the model card, weights/README.md, from what train.py and evaluate.py have measured.

    python training/digits/card.py target/digits
"""

import json
import sys
from pathlib import Path

from models import Generator, Judge, Vae
from sampler import GUIDANCE, GUIDED, STEPS

WEIGHTS = Path(__file__).parents[2] / "weights"


def parameters(network) -> str:
    return f"{sum(tensor.numel() for tensor in network.parameters()):,}"


def main() -> None:
    folder = Path(sys.argv[1])
    training = json.loads((folder / "training.json").read_text())
    evaluation = json.loads((folder / "evaluation.json").read_text())
    drawn, vae, floor = evaluation["generator"], evaluation["vae"], evaluation["frechet_floor"]
    minutes = {name: round(seconds / 60) for name, seconds in training["seconds"].items()}
    epochs = {name: len(history) for name, history in training["epochs"].items()}
    notes = "".join(f"\n{note}\n" for note in training.get("notes", []))
    (WEIGHTS / "README.md").write_text(f"""# Digit generator and judge: model card

Written by `training/digits/card.py`; the figures are those of `make train-digits` and `make eval-digits`.

| file | network | parameters | bytes |
|---|---|---|---|
| `generator.safetensors` | class-conditional U-Net at 14x14 and 7x7 that predicts the clean picture, rectified flow | {parameters(Generator())} | {(WEIGHTS / 'generator.safetensors').stat().st_size:,} |
| `judge.safetensors` | convolutional classifier; its last hidden layer is the space of the Fréchet distance | {parameters(Judge())} | {(WEIGHTS / 'judge.safetensors').stat().st_size:,} |

Both are kept as int8, one scale per output, and computed with in f32.

**Use.** The generator draws handwritten digits, 28 by 28 grey values, as in MNIST; the judge reads such pictures. Neither knows anything else:
the judge answers with a digit whatever it is shown.

**Drawing.** {STEPS} steps of DPM-Solver++(2M) on the straight path from noise to picture; classifier-free guidance, {GUIDANCE} by default,
while the digit takes shape (at times from {GUIDED[0]} to {GUIDED[1]}).

## Training

| | |
|---|---|
| data | MNIST, 60,000 training pictures; sha256 of the four unpacked files one after the other: `{training['mnist_sha256']}` |
| seed | {training['seed']} |
| PyTorch | {training['torch']}, {training['threads']} threads |
| generator | {epochs['generator']} epochs, {minutes['generator']} minutes |
| judge | {epochs['judge']} epochs, {minutes['judge']} minutes |
| VAE, the baseline | {epochs['vae']} epochs, {minutes['vae']} minutes, {parameters(Vae())} parameters |
{notes}
## Figures

10,000 pictures drawn by the package with default settings, with the labels of the 10,000 test pictures.

| | measured | wanted |
|---|---|---|
| the judge on the test set | {evaluation['judge_accuracy']:.2%} | at least 99.2 % |
| the judge agrees with the class asked for | {drawn['agreement']:.2%} | at least 99 % |
| Fréchet distance to the test set | {drawn['frechet']:.3f}, {drawn['frechet_over_floor']:.2f} times the floor | at most 5 times |
| the floor: 10,000 training pictures | {floor:.3f} | |
| a plain conditional VAE | {vae['frechet']:.3f}, {vae['frechet'] / drawn['frechet']:.1f} times the generator's; the judge agrees with {vae['agreement']:.2%} | at least 3 times |
| pictures as near to a training picture as 1 % of the test set | {drawn['copied']:.2%} | at most 3 % |
| mean distance within a class, 1 being the test set's | {drawn['variety']:.3f}, by class {drawn['variety_least']:.3f} to {drawn['variety_most']:.3f} | 0.85 to 1.15 |

## Limits

MNIST was written by Americans around 1990; the generator writes as they did (its 1 is a stroke, its 7 rarely crossed).

## Licence

The weights are derived from MNIST, which is made available under CC BY-SA 3.0 by Yann LeCun and Corinna Cortes. The code is MIT or Apache 2.0.
""")


if __name__ == "__main__":
    main()
