"""How far can ranks be trusted: over parts of the data, image sizes and backbones, and are two backbones better?"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.evidence import lite
from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Problem, Source, confused, sources
from lsi.audit.label_issues import label_issues, self_confidence
from lsi.audit.through_noise import judge_labels

DEFAULT = "default"
HALVES = 3  # random halves of the data


@dataclass(frozen=True)
class Ranking:
    """What one set of features says of n samples: LSI, label_score, and which labels are suspected."""

    lsi: Float[np.ndarray, " n"]
    label_score: Float[np.ndarray, " n"]
    is_suspect: Bool[np.ndarray, " n"]


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset, agreement with the default by what is changed, and what two backbones find together."""
    found: dict[str, Any] = {}
    for source in sources(cache, 400 if quick else 3_000):
        if (source.name == "digits") != quick:
            continue
        noise, given = ("sparse transitions 20%", confused(source.clean, 0.2, 0)) if source.human is None else (
            "human (CIFAR-10N)", source.human)  # fmt: skip
        problem = Problem(source.name, noise, source.features, given, source.clean)
        found[source.name] = {"noise": noise, "n": len(given), **one(problem, variants(source, cache))}
        print(source.name, found[source.name]["pairs"], flush=True)
    return found


def variants(source: Source, cache: Path) -> dict[str, Float[np.ndarray, "n d"]]:
    """Return features by what is changed; backbones that are not installed are left out."""
    found = {"pixels": source.with_backbone(cache, backbone="pixels")}
    if source.name == "digits":
        return found | {"16 components": source.features[:, :16]}
    for size in (96, 224):
        found[f"{size} px"] = source.with_backbone(cache, backbone="efficientnet_lite0", image_size=size)
    for name in ("lite1", "lite2") if lite.is_there() else ():
        module = f"benchmarks.evidence.lite:{name}"
        found[f"EfficientNet-{name.capitalize()}"] = source.with_backbone(cache, backbone=module)
    return found


def one(problem: Problem, others: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the figures of each set of features alone, and of each pair of them together.

    Args:
        problem: features by default, labels given and right.
        others: (n, d) features each, by what is changed.
    """
    by_name = {name: ranking(x, problem.given) for name, x in ({DEFAULT: problem.features} | others).items()}
    base = by_name[DEFAULT]
    alone = {name: _figures(problem, r) | ({} if name == DEFAULT else {"agreement": _agreement(r, base)})
             for name, r in by_name.items()}  # fmt: skip
    pairs = {f"{a} and {b}": _together(problem, by_name[a], by_name[b]) for a, b in combinations(by_name, 2)}
    return {"alone": alone, "halves": _halves(problem, base), "pairs": pairs}


def ranking(features: Float[np.ndarray, "n d"], given: np.ndarray) -> Ranking:
    """Return what the product says of labels on these features."""
    probe = fitted(np.ascontiguousarray(features, np.float32), given, int(given.max()) + 1)
    scores = scores_of(probe)
    judged = judge_labels(probe, given, scores.loo_probabilities)
    return Ranking(scores.lsi, self_confidence(given, judged), label_issues(given, judged))


def _halves(problem: Problem, whole: Ranking) -> list[dict[str, float]]:
    """Return how the ranks of a random half, computed alone, agree with its ranks within the whole."""
    found = []
    for seed in range(HALVES):
        rows = np.sort(np.random.default_rng(seed).permutation(len(problem.given))[: len(problem.given) // 2])
        alone = ranking(problem.features[rows], problem.given[rows])
        found.append(_agreement(alone, Ranking(whole.lsi[rows], whole.label_score[rows], whole.is_suspect[rows])))
    return found


def _figures(problem: Problem, r: Ranking) -> dict[str, float]:
    wrong = problem.wrong
    return {
        "auroc": float(roc_auc_score(wrong, -r.label_score)),
        "average_precision": float(average_precision_score(wrong, -r.label_score)),
        "lsi_auroc": float(roc_auc_score(wrong, r.lsi)),
        "suspects": int(r.is_suspect.sum()),
        "precision": float(wrong[r.is_suspect].mean()) if r.is_suspect.any() else 0.0,
    }


def _together(problem: Problem, a: Ranking, b: Ranking) -> dict[str, float]:
    """Return what the mean of two label_scores finds, that of two ranks of LSI, and how right two suspicions are."""
    both, either = a.is_suspect & b.is_suspect, a.is_suspect ^ b.is_suspect
    mean = Ranking(rankdata(a.lsi) + rankdata(b.lsi), (a.label_score + b.label_score) / 2, both)
    return _figures(problem, mean) | {
        "one_suspects": int(either.sum()),
        "precision_of_one": float(problem.wrong[either].mean()) if either.any() else 0.0,
    }


def _agreement(a: Ranking, b: Ranking) -> dict[str, float]:
    top = max(1, len(a.lsi) // 20)
    of_lsi: Any = spearmanr(a.lsi, b.lsi)
    of_labels: Any = spearmanr(a.label_score, b.label_score)
    shared = np.intersect1d(np.argsort(-a.lsi)[:top], np.argsort(-b.lsi)[:top])
    return {"lsi": float(of_lsi.statistic), "label_score": float(of_labels.statistic), "top": len(shared) / top}
