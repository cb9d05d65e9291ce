"""How many labels must be looked at to find the wrong ones, and does computing again between the looks help?"""

from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Problem, confused, doubted, flipped, sources
from lsi.audit.label_issues import self_confidence
from lsi.audit.through_noise import judge_labels

STEP = 50  # looks between two computations
MULTIPLES = (0.5, 1.0, 1.5, 2.0)  # looks for each wrong label


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return the share of the wrong labels that a reviewer who errs never has found, a row a problem."""
    rows = []
    for s in sources(cache, 400 if quick else 3_000):
        kinds = {
            "symmetric 10%": flipped(s.clean, "symmetric", 0.1, 0),
            "sparse transitions 20%": confused(s.clean, 0.2, 0),
            "where a probe doubts 5%": doubted(s.features, s.clean, 0.05, 0),
        } | ({} if s.human is None else {"human (CIFAR-10N)": s.human})
        for noise, given in kinds.items():
            problem = Problem(s.name, noise, s.features, given, s.clean)
            rows.append(one(problem))
            print(s.name, noise, rows[-1]["found"], flush=True)
        if quick:
            break
    return {"multiples": MULTIPLES, "step": STEP, "rows": rows}


def one(problem: Problem) -> dict[str, Any]:
    wrong = int(problem.wrong.sum())
    looks = min(len(problem.given), round(MULTIPLES[-1] * wrong))
    model = LogisticRegression(C=1.0, max_iter=1_000)
    p = cross_val_predict(model, problem.features, problem.given, cv=5, method="predict_proba", n_jobs=-1)
    quality = get_label_quality_scores(problem.given, np.asarray(p))
    orders = {
        "label_score": np.argsort(_label_score(problem.features, problem.given), kind="stable"),
        "label_score, computed again every 50 looks": again_and_again(problem, looks),
        "cleanlab's self-confidence": np.argsort(quality, kind="stable"),
        "at random": np.random.default_rng(0).permutation(len(problem.given)),
    }
    found = {
        name: [float(problem.wrong[order[: round(m * wrong)]].sum() / wrong) for m in MULTIPLES]
        for name, order in orders.items()
    }
    return {"dataset": problem.name, "noise": problem.noise, "n": len(problem.given), "wrong": wrong, "found": found}


def again_and_again(problem: Problem, looks: int) -> np.ndarray:
    """Return the order in which labels are looked at when each step's corrections enter the next computation."""
    given, looked = problem.given.copy(), np.zeros(len(problem.given), bool)
    order: list[int] = []
    while len(order) < looks:
        score = np.where(looked, np.inf, _label_score(problem.features, given, looked))
        rows = np.argsort(score, kind="stable")[: min(STEP, len(given) - len(order))]
        order += rows.tolist()
        given[rows], looked[rows] = problem.clean[rows], True
    return np.array(order)


def _label_score(features: np.ndarray, given: np.ndarray, confirmed: np.ndarray | None = None) -> np.ndarray:
    probe = fitted(features, given, int(given.max()) + 1)
    return self_confidence(given, judge_labels(probe, given, scores_of(probe).loo_probabilities, confirmed))
