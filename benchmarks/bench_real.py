"""Human label errors of CIFAR-10N: ours against cleanlab's 5-fold self-confidence, on the same features.

    python -m benchmarks.bench_real

Needs the CIFAR-10 files beside the project. cleanlab gets scikit-learn's logistic regression at its default C and at
two stronger ones, the best of which is quoted.
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from cleanlab.rank import get_label_quality_scores
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.record import save
from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.laplace.design_matrix import DesignMatrix
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from lsi.runs.model import objective_of

DATA = Path("../shared/data/cifar10")


def main() -> None:
    labels = f"{DATA / 'cifar10n_aggregate.npz'}:aggre_label"
    settings = Settings(
        DataSettings(data=DATA / "train.parquet", labels=labels, subset=6_000),
        features=FeatureSettings(backbone="efficientnet_lite0"),
    )
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        run = pipeline.run(settings, Path(root))
        seconds = time.perf_counter() - start
        phi = run.design_matrix.values
        wrong = run.scores["is_corrupted"].to_numpy()
        given = run.scores["given_label"].to_numpy()
        own = objective_of(run)
        probe = fit(
            Objective(own.likelihood, DesignMatrix(own.design.take(slice(None))), own.targets, own.prior_precision)
        )
        loo = LeaveOneOut(certify=0)
        scores = dict(zip(("full", "diag", "kron"), evaluate(probe, ("full", "diag", "kron"), loo), strict=True))
        rows = {"label_score": quality(wrong, 1 - run.scores["label_score"].to_numpy())}
        rows |= {"leave-one-out self-confidence": quality(wrong, 1 - scores["full"].loo_p_given)}
        rows |= {f"LSI {name}": quality(wrong, s.lsi) for name, s in scores.items()}
        for c in (1.0, 0.1, 0.01):
            start_peer = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = LogisticRegression(C=c, max_iter=1_000)
                p = np.asarray(cross_val_predict(model, phi[:, :-1].numpy(), given, cv=5, method="predict_proba"))
            row = quality(wrong, 1 - get_label_quality_scores(given, p))
            rows[f"cleanlab 5-fold self-confidence, C={c:g}"] = row | {"seconds": time.perf_counter() - start_peer}
    save(
        "real",
        {
            "samples": len(wrong),
            "wrong": int(wrong.sum()),
            "prior_precision": own.prior_precision,
            "seconds_with_features": seconds,
            "stages": run.manifest["seconds"],
            "detection": rows,
        },
    )


def quality(wrong: np.ndarray, score: np.ndarray) -> dict[str, float]:
    return {
        "auroc": float(roc_auc_score(wrong, score)),
        "average_precision": float(average_precision_score(wrong, score)),
    }


if __name__ == "__main__":
    main()
