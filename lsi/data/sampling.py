"""Subsets that keep the proportions of the classes."""

import numpy as np
from jaxtyping import Int


def stratified(labels: Int[np.ndarray, " n"], size: int, seed: int) -> Int[np.ndarray, " s"]:
    """Return rising indices of at most `size` samples, each class in proportion.

    Every class keeps at least one sample as long as there are no more classes than `size`; with more classes, the first
    `size` classes keep one sample each.

    Args:
        labels: class of each of n samples, any integers.
        size: number of samples to keep; all of them are kept where there are no more.
        seed: of the order in which a class gives its samples.
    """
    n = len(labels)
    if n <= size:
        return np.arange(n)
    shuffled = np.random.default_rng(seed).permutation(n)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, first, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    # position within the class, in units of the class size: taking the smallest keeps the proportions
    rank = (np.arange(n) - np.repeat(first, counts) + 0.5) / np.repeat(counts, counts)
    rank[first] = -1  # the first of each class always
    return np.sort(by_class[np.argsort(rank, kind="stable")[:size]])
