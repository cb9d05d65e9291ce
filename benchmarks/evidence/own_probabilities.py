"""Given a network's out-of-fold probabilities: does our score on top find wrong labels better than they do alone?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.rank import get_label_quality_scores
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.evidence import small_net
from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Problem, Source, confused, flipped, sources
from lsi.audit.label_issues import self_confidence
from lsi.audit.through_noise import judge_labels

SAMPLES, FOLDS = 1_500, 5
NETWORKS = {
    "convolutions, 400 steps": small_net.Training(400),
    "convolutions, 1,200 steps": small_net.Training(1_200),
    "half as wide": small_net.Training(400, widths=(8, 16, 32)),
    "labels smoothed by 0.1": small_net.Training(400, label_smoothing=0.1),
}
PROBE = "logistic regression on the features"
PEERS = ("self_confidence", "normalized_margin")


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return one row a problem and network, with the figures of our score and of the network's own."""
    rows = []
    for source, problem in _problems(quick, cache):
        for name, p in out_of_fold(source, problem, quick):
            about = {"dataset": problem.name, "noise": problem.noise, "n": len(problem.given)}
            rows.append({**about, "wrong": int(problem.wrong.sum()), "network": name, **one(problem, p, source, cache)})
            figures = {who: round(v["auroc"], 4) for who, v in rows[-1]["scores"].items()}
            print(problem.name, problem.noise, len(problem.given), name, figures, flush=True)
    return {"folds": FOLDS, "rows": rows}


def _problems(quick: bool, cache: Path) -> Iterator[tuple[Source, Problem]]:
    """Yield each dataset with two kinds of noise, of which people's labels are one where there are any."""
    for s in sources(cache, 400 if quick else SAMPLES):
        if (s.name == "digits") != quick:
            continue
        noises = {
            "sparse transitions 20%": confused(s.clean, 0.2, 0),
            "symmetric 20%" if s.human is None else "human (CIFAR-10N)":
                flipped(s.clean, "symmetric", 0.2, 0) if s.human is None else s.human,
        }  # fmt: skip
        for noise, given in noises.items():
            yield s, Problem(s.name, noise, s.features, given, s.clean)


def out_of_fold(source: Source, problem: Problem, quick: bool) -> Iterator[tuple[str, Float[np.ndarray, "n k"]]]:
    """Yield five models' probabilities, each sample's by one that was not trained on it."""
    images, k = source.pixels(), int(problem.clean.max()) + 1
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(images, problem.given))
    for name, how in NETWORKS.items():
        p = np.zeros((len(images), k))
        for seed, (rest, out) in enumerate(folds):
            training = small_net.Training(60) if quick else how
            net = small_net.train(images[rest], problem.given[rest], k, seed, training)
            p[out] = small_net.probabilities(net, images[out])
        yield name, p
        if quick:
            return
    model = LogisticRegression(max_iter=1_000)
    yield PROBE, np.asarray(cross_val_predict(model, problem.features, problem.given, cv=folds, method="predict_proba"))


def one(problem: Problem, p: Float[np.ndarray, "n k"], source: Source, cache: Path) -> dict[str, Any]:
    """Return the model's accuracy, and what each score finds.

    Args:
        problem: labels given and right.
        p: (n, k) probabilities out of fold.
        source: the data, through whose settings the product reads the probabilities.
        cache: folder that the file of probabilities is written to.
    """
    path = cache / "own_probabilities.npz"
    np.savez(path, probabilities=p, id=np.array([str(i) for i in source.dataset.ids]))
    features = source.with_backbone(cache, probabilities=f"{path}:probabilities")
    probe = fitted(features, problem.given, p.shape[1])
    scores = scores_of(probe)
    judged = judge_labels(probe, problem.given, scores.loo_probabilities)
    quality = {
        "label_score": self_confidence(problem.given, judged),
        "leave-one-out self-confidence": scores.loo_p_given,
        **{f"the model's {peer}": get_label_quality_scores(problem.given, p, method=peer) for peer in PEERS},
    }
    found = {who: {"auroc": float(roc_auc_score(problem.wrong, -values)),
                   "average_precision": float(average_precision_score(problem.wrong, -values))}
             for who, values in quality.items()}  # fmt: skip
    return {"accuracy": float((p.argmax(axis=1) == problem.clean).mean()), "scores": found}
