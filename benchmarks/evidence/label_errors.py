"""Who finds wrong labels? Our scores and those of others, on the same features and labels, in the same process."""

import io
import logging
import tempfile
import time
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cleanlab.data_valuation import data_shapley_knn
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict
from trak import TRAKer
from trak.projectors import NoOpProjector, ProjectionType

from benchmarks.evidence import OURS
from benchmarks.evidence.probes import fitted
from benchmarks.evidence.problems import Problem, problems
from lsi.audit.duplicates import neighbours
from lsi.audit.label_issues import label_issues
from lsi.audit.through_noise import probabilities_through_noise
from lsi.audit.without_suspects import probabilities_without_suspects
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate

Found = dict[str, tuple[np.ndarray, np.ndarray | None]]  # suspicion (higher = worse), suggested labels


def ours(problem: Problem) -> tuple[Found, np.ndarray, dict[str, float]]:
    """Return our scores, the probabilities that labels are judged by, and seconds."""
    start = time.perf_counter()
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features)))
    labels = torch.from_numpy(problem.given)
    likelihood = Softmax(int(problem.clean.max()) + 1)
    prior = choose(likelihood, design, labels).prior_precision
    probe = fit(Objective(likelihood, design, labels, prior))
    full, diag, kron = evaluate(probe, ("full", "diag", "kron"), LeaveOneOut(certify=0))
    p, n = full.loo_probabilities, np.arange(len(labels))
    scored = time.perf_counter()
    first = probabilities_without_suspects(probe, label_issues(problem.given, p))
    looked = time.perf_counter()
    judged, second = probabilities_through_noise(probe, problem.given, first).dense(), first.dense()
    done = time.perf_counter()
    in_sample = probe.means.numpy()[n, problem.given]
    residual = np.linalg.norm(probe.means.numpy() - np.eye(p.shape[1])[problem.given], axis=1)
    found: Found = {
        "label_score": (1 - judged[n, problem.given], judged.argmax(axis=1)),
        "without suspects": (1 - second[n, problem.given], second.argmax(axis=1)),
        "leave-one-out self-confidence": (1 - full.loo_p_given, full.predicted_label),
        "leave-one-out margin": (-full.loo_margin, full.predicted_label),
        "LSI full": (full.lsi, None),
        "LSI diag": (diag.lsi, None),
        "LSI kron": (kron.lsi, None),
        "in-sample loss": (-np.log(in_sample), None),
        "gradient norm": (residual * np.linalg.norm(design.values.numpy(), axis=1), None),
    }
    seconds = {"lsi": scored - start, "second_look": looked - scored, "through_noise": done - looked}
    return found, judged, seconds | {"prior_precision": prior}


def cross_validated(problem: Problem, c: float) -> tuple[Found, np.ndarray]:
    """Return cleanlab's scores, and which labels its `find_label_issues` flags, by 5-fold probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, max_iter=1_000)
        p = np.asarray(  # a process a fold: threads inside a fold make small ones ten times slower
            cross_val_predict(model, problem.features, problem.given, cv=5, method="predict_proba", n_jobs=-1)
        )
    found = {}
    for method in ("self_confidence", "normalized_margin"):
        score = get_label_quality_scores(problem.given, p, method=method)
        found[f"cleanlab {method}, C = {c:g}"] = (1 - score, p.argmax(axis=1))
    return found, np.asarray(find_label_issues(problem.given, p, n_jobs=1))


def self_influence(problem: Problem) -> Found:
    """Return TRAK's score of each sample for itself, on a linear probe of the same λ, without a projection."""
    n, d = problem.features.shape
    k = int(problem.clean.max()) + 1
    probe = fitted(problem.features, problem.given, k)
    model = torch.nn.Linear(d, k)
    with torch.no_grad():
        model.weight.copy_(probe.logit_weights[:, :-1])
        model.bias.copy_(probe.logit_weights[:, -1])
    images, labels = torch.from_numpy(problem.features), torch.from_numpy(problem.given)
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        size = (d + 1) * k
        trak = TRAKer(model, "image_classification", n, folder, device="cpu", use_half_precision=False,
                      projector=NoOpProjector(size, size, 0, ProjectionType.normal, "cpu"), proj_dim=size,
                      lambda_reg=probe.objective.prior_precision, logging_level=logging.ERROR)  # fmt: skip
        weights: Any = model.state_dict()
        trak.load_checkpoint(weights, model_id=0)
        parts = torch.arange(n).split(256)
        for rows in parts:
            trak.featurize((images[rows], labels[rows]), num_samples=len(rows))
        trak.finalize_features()
        trak.start_scoring_checkpoint("self", weights, 0, n)
        for rows in parts:
            trak.score((images[rows], labels[rows]), num_samples=len(rows))
        scores = np.diagonal(np.asarray(trak.finalize_scores("self"))).astype(np.float64)
    return {"self-influence (TRAK)": (scores, None)}


def by_neighbours(problem: Problem) -> Found:
    near = neighbours(problem.features, 50)
    same = problem.given[near.index] == problem.given[:, None]
    closest = [np.where(mask, near.distance, 2.0).min(axis=1) for mask in (same, ~same)]
    shapley = data_shapley_knn(problem.given, features=problem.features, k=10)
    return {
        "50-neighbour agreement": (1 - same.mean(axis=1), None),
        "nearest own against other class": (closest[0] / (closest[0] + closest[1] + 1e-12), None),
        "kNN-Shapley (Datalab)": (-shapley, None),
    }


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return one row a problem and seed, with the figures of every detector."""
    rows = []
    for problem, seed in problems(cache, 400 if quick else 3_000, 1 if quick else 2):
        found, label_probabilities, seconds = ours(problem)
        flagged = {"confident learning, label_score": label_issues(problem.given, label_probabilities)}
        for name, c in (("cleanlab_default", 1.0), ("cleanlab_regularised", 0.01)):
            start = time.perf_counter()
            scores, flags = cross_validated(problem, c)
            seconds[name] = time.perf_counter() - start
            found, flagged = found | scores, flagged | {f"cleanlab find_label_issues, C = {c:g}": flags}
        for name, peer in (("neighbours", by_neighbours), ("trak", self_influence)):
            start = time.perf_counter()
            found |= peer(problem)
            seconds[name] = time.perf_counter() - start
        figures = {name: quality(problem, *one) for name, one in found.items()}
        rows.append({"dataset": problem.name, "noise": problem.noise, "seed": seed, "n": len(problem.given),
                     "wrong": int(problem.wrong.sum()), "seconds": seconds, "detectors": figures,
                     "flagged": {name: _flags(problem, one) for name, one in flagged.items()}})  # fmt: skip
        best = max((v["auroc"], n) for n, v in figures.items() if n not in OURS)
        print(problem.name, problem.noise, seed, f"label_score {figures['label_score']['auroc']:.4f}", "LOO",
              f"{figures['leave-one-out self-confidence']['auroc']:.4f}", "best peer", best, flush=True)  # fmt: skip
    return {"rows": rows}


def quality(problem: Problem, suspicion: np.ndarray, suggested: np.ndarray | None) -> dict[str, float]:
    wrong = problem.wrong
    top = np.argsort(-suspicion, kind="stable")[: int(wrong.sum())]
    figures = {
        "auroc": float(roc_auc_score(wrong, suspicion)),
        "average_precision": float(average_precision_score(wrong, suspicion)),
        "precision_at_errors": float(wrong[top].mean()),
    }
    if suggested is not None:
        figures["suggestion_right"] = float((suggested == problem.clean)[wrong].mean())
    return figures


def _flags(problem: Problem, flagged: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1 of a set of labels."""
    hits = float((flagged & problem.wrong).sum())
    precision, recall = hits / max(flagged.sum(), 1), hits / max(problem.wrong.sum(), 1)
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / max(precision + recall, 1e-12)}
