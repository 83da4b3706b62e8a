"""Writes the statistics of likelihoods as NumPy computes them, for the package's test: `python make_goldens.py [--check]`. numpy==2.4.6."""

import json
import pathlib
import sys

import numpy as np

NAMES = "logp entropy logrank fast top1 top10 sd_logp p10 p90 lrr med acf1 sd_win".split()
FILE = pathlib.Path(__file__).with_name("features.json")


def features(logp, entropy, variance, rank):
    count = len(logp)
    log_rank = np.log(rank)
    fast = (logp + entropy).sum() / np.sqrt(max(variance.sum(), 1e-9))
    acf1 = np.corrcoef(logp[:-1], logp[1:])[0, 1] if count > 4 and logp.std() > 1e-6 else 0.0
    size = max(1, count // 10)
    windows = [logp[i : i + size].mean() for i in range(0, count - size + 1, size)]
    return [
        logp.mean(),
        entropy.mean(),
        log_rank.mean(),
        fast,
        (rank == 1).mean(),
        (rank <= 10).mean(),
        logp.std(),
        np.quantile(logp, 0.1),
        np.quantile(logp, 0.9),
        -logp.mean() / max(log_rank.mean(), 1e-3),
        np.median(logp),
        acf1,
        np.std(windows),
    ]


def main():
    random = np.random.default_rng(14)
    cases = []
    for count in (1, 2, 4, 5, 9, 10, 11, 23, 57, 100, 219):
        logp = -random.gamma(1.0, 3.0, count).astype(np.float32)
        entropy = random.gamma(2.0, 1.5, count).astype(np.float32)
        variance = random.gamma(2.0, 2.0, count).astype(np.float32)
        rank = (1 + np.floor(random.pareto(0.7, count))).astype(np.uint32).clip(1, 49152)
        cases.append((logp, entropy, variance, rank))
    # Nothing varies: neither correlation nor curvature may be no number.
    same = np.full(30, -1.5, np.float32)
    cases.append((same, np.full(30, 1.5, np.float32), np.zeros(30, np.float32), np.ones(30, np.uint32)))
    made = [
        {
            "logProbabilities": [float(x) for x in logp],
            "entropies": [float(x) for x in entropy],
            "variances": [float(x) for x in variance],
            "ranks": [int(x) for x in rank],
            "features": [float(x) for x in features(*(x.astype(np.float64) for x in (logp, entropy, variance, rank)))],
        }
        for logp, entropy, variance, rank in cases
    ]
    text = json.dumps({"names": NAMES, "cases": made}) + "\n"
    if "--check" in sys.argv:
        if FILE.read_text() != text:
            sys.exit(f"{FILE.name} is not what this script writes")
    else:
        FILE.write_text(text)


main()
