"""Beyond class labels: odd images without labels, pairs out of place, moved numbers, flipped sentiments, the cost."""

import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.stats import spearmanr
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import roc_auc_score

import lsi
from benchmarks.evidence.contrastive import lsi_by_refits
from benchmarks.evidence.problems import CIFAR, FASHION
from lsi.audit.duplicates import neighbours
from lsi.compute import pipeline, queries
from lsi.compute.designs import design_of
from lsi.compute.preparation import prepare
from lsi.compute.raw_features import Where, raw_features
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data import load
from lsi.features import fit_standardisation
from lsi.laplace.design_matrix import with_bias
from lsi.laplace.scores import score_ridge
from lsi.progress import Progress
from lsi.runs.store import Store

SENTENCES = Path(__file__).parent.parent.parent / "tests" / "samples" / "sentiment.csv"
FOREIGN = 0.02


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return AUROC by what is looked for, twins, the cost, and agreement with the contrastive reference."""
    seeds = 1 if quick else 3
    found: dict[str, Any] = {
        "numbers": [moved_numbers(seed) for seed in range(seeds)],
        "pairs": [shuffled_pairs(seed, 400 if quick else 1_797) for seed in range(seeds)],
        "contrastive": contrastive(40 if quick else 300),
        "cost": cost(*((400, 16, 16) if quick else (50_000, 512, 512))),
    }
    if not quick:
        found["sentiments"] = [sentiments(seed, cache) for seed in range(10)]
        if (CIFAR / "test.parquet").exists() and FASHION.exists():
            found["foreign"] = [foreign(seed, cache, 3_000) for seed in range(seeds)]
            found["twins"] = twins(cache, 1_000)
    return found


def foreign(seed: int, cache: Path, n: int) -> dict[str, Any]:
    """Mix a few images of clothes into photographs: AUROC for the clothes, without any label."""
    from cleanlab.outlier import OutOfDistribution

    rng = np.random.default_rng(seed)
    photographs = load(DataSettings(data=CIFAR / "test.parquet"), CIFAR)
    assert photographs.images is not None
    raw = gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())
    clothes = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
    some = round(FOREIGN * n)
    images = [
        np.asarray(photographs.images.read(int(i))) for i in rng.choice(len(photographs), n - some, replace=False)
    ]
    images += [np.asarray(Image.fromarray(clothes[i]).convert("RGB").resize((32, 32)))
               for i in rng.choice(len(clothes), some, replace=False)]  # fmt: skip
    is_foreign = np.arange(n) >= n - some
    path = cache / f"foreign{seed}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=np.stack(images))
    settings = Settings(DataSettings(data=path), features=FeatureSettings(backbone="efficientnet_lite0"), seed=seed)
    run = pipeline.run(settings, cache)
    plain = Settings(settings.data, features=FeatureSettings(backbone="efficientnet_lite0", standardise=False))
    prepared = prepare(plain)
    raw = raw_features(prepared, plain.features, Where(torch.device("cpu"), Store(cache), Progress()))
    unstandardised = np.asarray(design_of(prepared, raw, plain, Store(cache)).design.values[:, :-1])
    reduced = run.design.values[:, :-1]
    table = run.scores
    suspicion: dict[str, Any] = {
        "LSI, task self": table["lsi"],
        "its certainty terms": table["trace_term"] + table["logdet_term"],
        "its standardised residual": table["standardised_residual"],
    }
    for name, values in (("as they are", unstandardised), ("standardised, 256 components", reduced)):
        outlier = OutOfDistribution().fit_score(features=values, verbose=False)
        suspicion[f"cleanlab out-of-distribution, features {name}"] = -np.asarray(outlier)
        suspicion[f"mean distance to 10 neighbours, features {name}"] = neighbours(values, 10).distance.mean(axis=1)
    return {"n": n, "foreign": some, "auroc": {k: float(roc_auc_score(is_foreign, v)) for k, v in suspicion.items()}}


def twins(cache: Path, n: int) -> dict[str, float]:
    """Copy fifty images twice; LSI of each alone, among its copies, and of the three left out together."""
    photographs = load(DataSettings(data=CIFAR / "test.parquet"), CIFAR)
    assert photographs.images is not None
    rng = np.random.default_rng(0)
    images = np.stack([np.asarray(photographs.images.read(int(i))) for i in rng.choice(len(photographs), n, False)])
    chosen = np.sort(rng.choice(n, 50, replace=False))
    runs = []
    for name, index in (("single", np.arange(n)), ("triple", np.concatenate([np.arange(n), chosen, chosen]))):
        np.savez(cache / f"{name}.npz", images=images[index])
        data = DataSettings(data=cache / f"{name}.npz")
        runs.append(pipeline.run(Settings(data, features=FeatureSettings(backbone="efficientnet_lite0")), cache))
    alone, among = (run.scores["lsi"].to_numpy()[chosen] for run in runs)
    fitted = queries.refit_of_run(runs[1])
    groups = np.stack([chosen, n + np.arange(50), n + 50 + np.arange(50)], axis=1)
    together = np.array([fitted.group_information(g) for g in groups])
    return {
        "lower_share": float((among < alone).mean()),
        "median_ratio": float(np.median(among / alone)),
        "together_ratio": float(np.median(together / alone)),
    }


def moved_numbers(seed: int) -> dict[str, float]:
    """Move 5 % of the targets of scikit-learn's diabetes data by four deviations."""
    data: Any = load_diabetes()
    x, t = data.data, data.target
    rng = np.random.default_rng(seed)
    moved = np.zeros(len(t), bool)
    moved[rng.choice(len(t), round(0.05 * len(t)), replace=False)] = True
    noisy = t + 4 * t.std() * rng.choice([-1.0, 1.0], len(t)) * moved
    noisy = (noisy - noisy.mean()) / noisy.std()
    found = lsi.score((x - x.mean(axis=0)) / x.std(), noisy, likelihood="regression", prior_precision="auto")
    return {"standardised residual": float(roc_auc_score(moved, found.standardised_residual)),
            "LSI": float(roc_auc_score(moved, found.lsi))}  # fmt: skip


def shuffled_pairs(seed: int, n: int) -> dict[str, float]:
    """Let one half of a digit predict the other, and shuffle 5 % of the pairs."""
    digits: Any = load_digits()
    images = digits.images[:n] / 16
    left, right = images[:, :, :4].reshape(n, -1), images[:, :, 4:].reshape(n, -1).copy()
    rng = np.random.default_rng(seed)
    chosen = rng.choice(n, round(0.05 * n), replace=False)
    right[chosen] = right[np.roll(chosen, 1)]
    shuffled = np.isin(np.arange(n), chosen)
    fourier = np.cos(left @ (rng.normal(size=(left.shape[1], 800)) / 2) + rng.uniform(0, 2 * np.pi, 800))
    figures = {}
    for name, features in (("pixels", left), ("800 random Fourier features", fourier)):
        found = lsi.score(features - features.mean(axis=0), right - right.mean(axis=0), likelihood="regression",
                          prior_precision="auto")  # fmt: skip
        figures[f"standardised residual, {name}"] = float(roc_auc_score(shuffled, found.standardised_residual))
        figures[f"LSI, {name}"] = float(roc_auc_score(shuffled, found.lsi))
    return figures


def sentiments(seed: int, cache: Path) -> dict[str, float]:
    """Flip 10 % of two hundred sentiments."""
    table = pd.read_csv(SENTENCES)
    rng = np.random.default_rng(seed)
    flipped = np.zeros(len(table), bool)
    flipped[rng.choice(len(table), round(0.1 * len(table)), replace=False)] = True
    other = table["label"].map({"positive": "negative", "negative": "positive"})
    table["label"] = table["label"].where(~flipped, other)
    cache.mkdir(parents=True, exist_ok=True)
    table.to_csv(cache / f"sentiments{seed}.csv", index=False)
    scores = pipeline.run(Settings(DataSettings(data=cache / f"sentiments{seed}.csv")), cache).scores
    return {"label_score": float(roc_auc_score(flipped, -scores["label_score"])),
            "leave-one-out self-confidence": float(roc_auc_score(flipped, -scores["loo_p_given"])),
            "LSI": float(roc_auc_score(flipped, scores["lsi"]))}  # fmt: skip


def contrastive(n: int) -> dict[str, float]:
    """Compare LSI of paired data with that of the contrastive objective by true refits, 5 % of the pairs shuffled."""
    digits: Any = load_digits()
    images = digits.images[:n] / 16
    left, right = images[:, :, :4].reshape(n, -1), images[:, :, 4:].reshape(n, -1).copy()
    rng = np.random.default_rng(0)
    chosen = rng.choice(n, max(2, round(0.05 * n)), replace=False)
    right[chosen] = right[np.roll(chosen, 1)]
    x, t = (fit_standardisation(side, 12).apply(side) for side in (left, right))
    start = time.perf_counter()
    truth = lsi_by_refits(x, t)
    refitted = time.perf_counter()
    gaussian = lsi.score(x, t, likelihood="regression", prior_precision="auto").lsi
    done = time.perf_counter()
    shuffled = np.isin(np.arange(n), chosen)
    agreement: Any = spearmanr(truth, gaussian)
    return {
        "n": n,
        "spearman": float(agreement.statistic),
        "auroc_contrastive": float(roc_auc_score(shuffled, truth)),
        "auroc_gaussian": float(roc_auc_score(shuffled, gaussian)),
        "seconds_refits": refitted - start,
        "seconds_gaussian": done - refitted,
    }


def cost(n: int, d: int, m: int) -> dict[str, float]:
    """Return the seconds that choice, fit and all terms take."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(np.float32)
    t = x @ rng.normal(size=(d, m)) / np.sqrt(d) + rng.normal(size=(n, m))
    start = time.perf_counter()
    score_ridge(with_bias(torch.from_numpy(x)), torch.from_numpy(t))
    return {"n": n, "d": d, "m": m, "seconds": time.perf_counter() - start}
