"""Can we say how precise a cut is? Predicted against true precision and recall of the worst label scores."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Problem, human_source, problems
from lsi.audit.calibration import calibrate
from lsi.audit.summary import precision_recall_at
from lsi.audit.through_noise import judge_labels

MULTIPLES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # cuts, in units of the true number of wrong labels


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return predicted and true precision and recall over cuts, a row a problem."""
    rows = [one(problem) for problem, _ in problems(cache, 400 if quick else 3_000, 1)]
    if not quick:
        rows += [one(p) for p in human(cache)]
    return {"multiples": MULTIPLES, "rows": rows}


def human(cache: Path) -> Iterator[Problem]:
    """Yield CIFAR-10 with its human labels, and random parts of it: four of 3,000, four of 6,000, two of 12,000."""
    source = human_source(cache, 50_000)
    if source is None or source.human is None:
        return
    for size, repeats in ((3_000, 4), (6_000, 4), (12_000, 2), (50_000, 1)):
        for seed in range(repeats):
            rows = np.sort(np.random.default_rng([seed, size]).permutation(len(source.clean))[:size])
            yield Problem(source.name, "human (CIFAR-10N)", source.features[rows], source.human[rows],
                          source.clean[rows])  # fmt: skip


def one(problem: Problem) -> dict[str, Any]:
    start = time.perf_counter()
    probe = fitted(problem.features, problem.given, int(problem.clean.max()) + 1)
    label_probabilities = judge_labels(probe, problem.given, scores_of(probe).loo_probabilities).dense()
    scored = time.perf_counter()
    found = calibrate(probe, problem.given, label_probabilities)
    done = time.perf_counter()
    n, wrong = len(problem.given), problem.wrong
    score = label_probabilities[np.arange(n), problem.given]
    counts = tuple(min(n, max(1, round(m * int(wrong.sum())))) for m in MULTIPLES)
    predicted, true = (
        precision_recall_at(score, found.p_wrong, counts),
        precision_recall_at(score, wrong.astype(float), counts),
    )
    row = {
        "dataset": problem.name,
        "noise": problem.noise,
        "n": n,
        "wrong": int(wrong.sum()),
        "expected_wrong": float(found.p_wrong.sum()),
        "sharpness": found.inverse_temperature,
        "seconds": {"scores": scored - start, "calibration": done - scored},
        "precision": [p["precision"] for p in predicted],
        "true_precision": [t["precision"] for t in true],
        "recall": [p["recall"] for p in predicted],
        "true_recall": [t["recall"] for t in true],
        "worst": max(abs(p["precision"] - t["precision"]) for p, t in zip(predicted, true, strict=True)),
    }
    print(problem.name, problem.noise, n, f"worst {row['worst']:.3f}", flush=True)
    return row
