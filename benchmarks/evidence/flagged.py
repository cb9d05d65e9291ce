"""Is the set of suspected labels of the right size? Rules that count, on more kinds of noise than label_errors has."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Problem, problems
from lsi.audit.label_issues import label_issues, self_confidence
from lsi.audit.noise_model import fit_noise
from lsi.audit.through_noise import judge_labels

FEW = (("symmetric", 0.01),)
RULES = (
    "expected errors and a deviation (is_label_issue)",
    "expected errors",
    "error likelier than not",
    "confident learning's count",
)


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return how many labels each rule flags, and how right it is, a row a problem and seed."""
    rows = []
    for problem, seed in problems(cache, 400 if quick else 3_000, 1 if quick else 2, FEW):
        probe = fitted(problem.features, problem.given, int(problem.clean.max()) + 1)
        probabilities = judge_labels(probe, problem.given, scores_of(probe).loo_probabilities).dense()
        rows.append({"dataset": problem.name, "noise": problem.noise, "seed": seed, "n": len(problem.given),
                     "wrong": int(problem.wrong.sum()), "rules": _flagged(problem, probabilities)})  # fmt: skip
        print(problem.name, problem.noise, seed, rows[-1]["wrong"], rows[-1]["rules"], flush=True)
    return {"rows": rows}


def _flagged(problem: Problem, probabilities: np.ndarray) -> dict[str, dict[str, float]]:
    given, score = problem.given, self_confidence(problem.given, probabilities)
    p_wrong = fit_noise(probabilities, given).p_wrong
    worst = np.zeros(len(given), bool)
    worst[np.argsort(score, kind="stable")[: round(float(p_wrong.sum()))]] = True
    ours, counted = label_issues(given, probabilities, "expected_errors"), label_issues(given, probabilities)
    found = {}
    for name, flags in zip(RULES, (ours, worst, p_wrong > 0.5, counted), strict=True):
        hits = float((flags & problem.wrong).sum())
        precision, recall = hits / max(flags.sum(), 1), hits / max(problem.wrong.sum(), 1)
        found[name] = {
            "per_wrong": float(flags.sum() / max(problem.wrong.sum(), 1)),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        }
    return found
