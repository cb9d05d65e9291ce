"""Is the set of suspected labels of the right size? Rules that count, on more kinds of noise than label_errors has."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import NOISES, Problem, flipped, sources
from lsi.audit.label_issues import label_issues, self_confidence
from lsi.audit.noise_model import fit_noise
from lsi.audit.without_suspects import probabilities_without_suspects

SPARSITY = 0.4  # share of the entries of a random transition matrix that are zero, as in Northcutt et al. (2021)
RULES = (
    "expected errors and a deviation (is_label_issue)",
    "expected errors",
    "error likelier than not",
    "confident learning's count",
)


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return how many labels each rule flags, and how right it is, a row a problem and seed."""
    rows = []
    for problem, seed in _problems(cache, 400 if quick else 3_000, 1 if quick else 2):
        probe = fitted(problem.features, problem.given, int(problem.clean.max()) + 1)
        suspects = label_issues(problem.given, scores_of(probe).loo_probabilities)
        probabilities = probabilities_without_suspects(probe, suspects).dense()
        rows.append({"dataset": problem.name, "noise": problem.noise, "seed": seed, "n": len(problem.given),
                     "wrong": int(problem.wrong.sum()), "rules": _flagged(problem, probabilities)})  # fmt: skip
        print(problem.name, problem.noise, seed, rows[-1]["wrong"], rows[-1]["rules"], flush=True)
    return {"rows": rows}


def _problems(cache: Path, n: int, seeds: int) -> Iterator[tuple[Problem, int]]:
    for s in sources(cache, n):
        empty = Problem(s.name, "", s.features, s.clean, s.clean)
        if s.human is not None:
            yield replace(empty, noise="human (CIFAR-10N)", given=s.human), 0
        for seed in range(seeds):
            for kind, share in (("symmetric", 0.01), *NOISES):
                yield replace(empty, noise=f"{kind} {share:.0%}", given=flipped(s.clean, kind, share, seed)), seed
            for share in (0.2, 0.4):
                given = confused(s.clean, share, seed)
                yield replace(empty, noise=f"sparse transitions {share:.0%}", given=given), seed
            for share in (0.05, 0.2):
                given = doubted(s.features, s.clean, share, seed)
                yield replace(empty, noise=f"where a probe doubts {share:.0%}", given=given), seed


def confused(labels: Int[np.ndarray, " n"], share: float, seed: int) -> Int[np.ndarray, " n"]:
    """Return labels drawn from a random sparse transition matrix whose classes err at rates around `share`."""
    rng, k = np.random.default_rng([7, seed]), int(labels.max()) + 1
    matrix = np.zeros((k, k))
    for c in range(k):
        others = rng.dirichlet(np.ones(k - 1)) * (rng.random(k - 1) >= SPARSITY)
        others = others if others.any() else np.eye(k - 1)[rng.integers(k - 1)]
        rate = min(share * rng.uniform(0.3, 1.7), 0.85)
        matrix[c, np.arange(k) != c] = rate * others / others.sum()
        matrix[c, c] = 1 - rate
    return np.array([rng.choice(k, p=matrix[c]) for c in labels])


def doubted(
    features: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], share: float, seed: int
) -> Int[np.ndarray, " n"]:
    """Return labels of which a share is flipped to a probe's runner-up, the likelier the more the probe doubts."""
    p = scores_of(fitted(features, labels, int(labels.max()) + 1)).loo_probabilities.copy()
    p[np.arange(len(labels)), labels] = 0
    keys = np.log(p.sum(axis=1) + 1e-12) + np.random.default_rng([8, seed]).gumbel(size=len(labels))
    rows = np.argsort(-keys)[: round(share * len(labels))]
    given = labels.copy()
    given[rows] = p[rows].argmax(axis=1)
    return given


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
