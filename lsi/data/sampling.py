"""Subsets that keep the proportions of the classes."""

import numpy as np
from jaxtyping import Int


def stratified(labels: Int[np.ndarray, " n"], size: int, seed: int) -> Int[np.ndarray, " s"]:
    """Return rising indices of at most `size` samples, each class in proportion and none left out."""
    n = len(labels)
    if n <= size:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(n)
    by_class = [shuffled[labels[shuffled] == c] for c in np.unique(labels)]
    # position within the class, in units of the class size: taking the smallest keeps the proportions
    rank = np.concatenate([(np.arange(len(rows)) + 0.5) / len(rows) for rows in by_class])
    rank[np.cumsum([0] + [len(rows) for rows in by_class[:-1]])] = -1  # the first of each class always
    chosen = np.concatenate(by_class)[np.argsort(rank, kind="stable")[:size]]
    return np.sort(chosen)
