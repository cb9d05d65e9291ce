"""Does the ranking carry over? Agreement between backbones and probes, and a network trained on what LSI selects."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import lsi
from benchmarks.evidence import small_net
from benchmarks.evidence.probes import fitted, scores_of
from benchmarks.evidence.problems import Source, sources
from lsi.features import fit_standardisation

SHARES = (10, 30, 50, 70, 90)  # % of the training images
TEST = 1 / 3


def study(quick: bool, cache: Path) -> dict[str, Any]:
    """Return, for each dataset, rank agreement and the accuracy of a network by what it was trained on."""
    found = {}
    for source in sources(cache, 400 if quick else 6_000):
        if quick and found:
            break
        agreement = rank_agreement(source, cache, 40 if quick else small_net.STEPS)
        selection = [selected(source, seed, quick) for seed in range(1 if quick else 3)]
        found[source.name] = {"agreement": agreement, "selection": selection, "n": len(source.clean)}
        print(source.name, agreement, flush=True)
    return found


def rank_agreement(source: Source, cache: Path, steps: int) -> dict[str, dict[str, float]]:
    """Return Spearman's correlation of LSI with that of the product's defaults, by what is changed."""
    k, images = int(source.clean.max()) + 1, source.pixels()
    values = {"default": source.features}
    if source.name != "digits":
        values["pixels"] = source.with_backbone(cache, backbone="pixels")
        values |= {f"{size} px": source.with_backbone(cache, backbone="efficientnet_lite0", image_size=size)
                   for size in (96, 224)}  # fmt: skip
    net = small_net.train(images, source.clean, k, 0, small_net.Training(steps))
    raw = small_net.features(net, images)
    values["small network, trained on these images"] = fit_standardisation(raw, 256).apply(raw)
    probes = {name: fitted(v, source.clean, k) for name, v in values.items()}
    lsi_by = {name: scores_of(probe).lsi for name, probe in probes.items()}
    by_default = probes["default"]
    lsi_by["kron"] = scores_of(by_default, "kron").lsi
    lsi_by["λ × 10"] = scores_of(
        fitted(source.features, source.clean, k, 10 * by_default.objective.prior_precision)
    ).lsi
    lsi_by["paper's preset"] = lsi.score(source.features, source.clean, preset="paper").lsi
    return {name: _agreement(v, lsi_by["default"]) for name, v in lsi_by.items() if name != "default"}


def selected(source: Source, seed: int, quick: bool) -> dict[str, Any]:
    """Return the network's accuracy on unseen images after training on the top, bottom, middle and random k %."""
    rng, k, images = np.random.default_rng(seed), int(source.clean.max()) + 1, source.pixels()
    order = rng.permutation(len(source.clean))
    test, rest = np.split(order, [round(TEST * len(order))])
    by_lsi = rest[np.argsort(-scores_of(fitted(source.features[rest], source.clean[rest], k)).lsi)]
    steps = 60 if quick else small_net.STEPS
    rows: dict[str, dict[int, float]] = {}
    for share in (30,) if quick else SHARES:
        count = round(share / 100 * len(rest))
        start = (len(rest) - count) // 2
        parts = {"top": by_lsi[:count], "middle": by_lsi[start : start + count], "bottom": by_lsi[-count:],
                 "random": rng.permutation(rest)[:count]}  # fmt: skip
        for name, rows_of in parts.items():
            net = small_net.train(images[rows_of], source.clean[rows_of], k, seed, small_net.Training(steps))
            rows.setdefault(name, {})[share] = small_net.accuracy(net, images[test], source.clean[test])
    return rows


def _agreement(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    top = max(1, len(a) // 20)
    found: Any = spearmanr(a, b)
    overlap = len(np.intersect1d(np.argsort(-a)[:top], np.argsort(-b)[:top])) / top
    return {"spearman": float(found.statistic), "top_overlap": overlap}
