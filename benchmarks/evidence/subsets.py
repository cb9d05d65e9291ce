"""Ways to keep a part of a dataset: ours, and those of the field. Each returns the rows to keep, (s,)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from benchmarks.evidence import small_net
from lsi.audit.condense import condense

HARDEST_OUT = {0.1: 0.3, 0.2: 0.1, 0.3: 0.1}  # CCS's β by share kept, as its authors tuned it on CIFAR-10; else 0
BINS = 50


@dataclass(frozen=True)
class Pool:
    """What a rule may look at.

    Attributes:
        features: standardised, (n, d).
        labels: as given, (n,).
        lsi: in nats, (n,).
        suspects: (n,).
        el2n: difficulty for a small network early in training, (n,).
    """

    features: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    lsi: Float[np.ndarray, " n"]
    suspects: Bool[np.ndarray, " n"]
    el2n: Float[np.ndarray, " n"]


def el2n(images: Float[np.ndarray, "n c h w"], labels: Int[np.ndarray, " n"], k: int, steps: int) -> np.ndarray:
    """Return the length of the error vector ‖p − y‖, the mean over two networks early in training, (n,).

    Source: Paul, Ganguli and Dziugaite, Deep learning on a data diet, NeurIPS 2021 (arXiv 2107.07075).
    """
    found = []
    for seed in (0, 1):
        net = small_net.train(images, labels, k, seed, small_net.Training(steps))
        with torch.inference_mode():
            parts = [net(torch.from_numpy(part)).softmax(dim=1).numpy() for part in np.array_split(images, 8)]
        found.append(np.linalg.norm(np.concatenate(parts) - np.eye(k)[labels], axis=1))
    return np.mean(found, axis=0)


def subsets(pool: Pool, share: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the rows that each rule keeps of a pool.

    Args:
        pool: the samples.
        share: of them to keep.
        rng: for the rules that draw.
    """
    n = len(pool.labels)
    count, everything, good = round(share * n), np.ones(n, dtype=bool), ~pool.suspects
    order = np.argsort(-pool.lsi, kind="stable")
    clean = order[good[order]]
    return {
        "random": rng.permutation(n)[:count],
        "random, suspects out": rng.permutation(clean)[:count],
        "highest LSI": order[:count],
        "highest LSI, suspects out": clean[:count],
        "lowest LSI": order[::-1][:count],
        "even over LSI": condense(pool.lsi, pool.labels, everything, count),
        "even over LSI, suspects out": condense(pool.lsi, pool.labels, good, count),
        "highest EL2N": np.argsort(-pool.el2n, kind="stable")[:count],
        "CCS on EL2N": coverage_centric(pool.el2n, count, HARDEST_OUT.get(share, 0.0), rng),
        "k-centre": k_centre(pool.features, count, int(rng.integers(n))),
        "herding": herding(pool.features, pool.labels, count),
        "D-optimal": d_optimal(pool.features, count),
    }


def coverage_centric(score: np.ndarray, count: int, hardest_out: float, rng: np.random.Generator) -> np.ndarray:
    """Return CCS's choice: without the hardest share, as many of each of 50 equal ranges of the score as there are.

    Source: Zheng et al., Coverage-centric coreset selection, ICLR 2023 (arXiv 2210.15809), algorithm 1.

    Args:
        score: difficulty, (n,).
        count: how many to keep.
        hardest_out: share that leaves first.
        rng: draws within a range.
    """
    order = np.argsort(-score, kind="stable")[round(hardest_out * len(score)) :]
    edges = np.linspace(score[order].min(), score[order].max(), BINS + 1)[1:-1]
    bins = [rng.permutation(order[np.digitize(score[order], edges) == b]) for b in range(BINS)]
    kept, left = [], count
    bins = sorted((rows for rows in bins if len(rows)), key=len)
    for i, rows in enumerate(bins):
        take = min(len(rows), left // (len(bins) - i))
        kept.append(rows[:take])
        left -= take
    return np.concatenate(kept)


def k_centre(features: np.ndarray, count: int, first: int) -> np.ndarray:
    """Return the greedy k-centre: each next sample is the one farthest from those that are kept.

    Source: Sener and Savarese, Active learning for convolutional neural networks, ICLR 2018 (arXiv 1708.00489).
    """
    kept, nearest = [first], np.linalg.norm(features - features[first], axis=1)
    for _ in range(count - 1):
        kept.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(features - features[kept[-1]], axis=1))
    return np.array(kept)


def herding(features: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """Return herding's choice in each class: each next sample brings the mean nearest to that of the class.

    Source: Welling, Herding dynamical weights to learn, ICML 2009.
    """
    kept = []
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        mean, total, left = features[rows].mean(axis=0), 0.0, np.ones(len(rows), dtype=bool)
        for t in range(round(count * len(rows) / len(labels))):
            distance = np.linalg.norm(mean - (total + features[rows]) / (t + 1), axis=1)
            best = int(np.where(left, distance, np.inf).argmin())
            left[best] = False
            total = total + features[rows[best]]
            kept.append(rows[best])
    return np.array(kept)


def d_optimal(features: np.ndarray, count: int, ridge: float = 1.0) -> np.ndarray:
    """Return the greedy D-optimal design: each next sample adds most to log det(λI + Σ φφᵀ)."""
    inverse = np.eye(features.shape[1]) / ridge
    leverage = (features**2).sum(axis=1) / ridge
    kept = []
    for _ in range(count):
        best = int(leverage.argmax())
        kept.append(best)
        direction = inverse @ features[best]
        scale = 1 + features[best] @ direction
        inverse -= np.outer(direction, direction) / scale
        leverage -= (features @ direction) ** 2 / scale
        leverage[kept] = -np.inf
    return np.array(kept)
