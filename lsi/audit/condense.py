"""Which samples to keep where fewer must do: spread evenly over the information within each class, suspects left out.

Keeping the highest information alone keeps what is atypical and mislabelled, and keeping the lowest keeps near copies
of the typical. A subset that takes its samples at even steps through the ranking of each class resembles the whole.
Stratifying over a score of difficulty after its hardest share has left is the idea of Zheng et al., Coverage-centric
coreset selection for high pruning rates, ICLR 2023 (arXiv 2210.15809); here the suspects are what leaves.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lsi.errors import UsageError


def condense(
    lsi: Float[np.ndarray, " n"],
    strata: Int[np.ndarray, " n"],
    is_eligible: Bool[np.ndarray, " n"],
    count: int,
) -> Int[np.ndarray, " s"]:
    """Return the positions of the samples to keep, in rising order; fewer than `count` where fewer are eligible.

    Each stratum gives in proportion to its eligible samples, and where there is room one at least. Of m samples out of
    e in a stratum, those of rank ⌊(i + ½)·e/m⌋, i = 0 … m − 1, stay, in rising order of their information.

    Args:
        lsi: information of each sample in nats.
        strata: the class of each sample; one number for all where there are no classes.
        is_eligible: whether a sample may stay; suspects may not.
        count: how many to keep.

    Raises:
        UsageError: `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"Expected at least one sample to keep, got {count}.")
    eligible = np.flatnonzero(is_eligible)
    names, of = np.unique(strata[eligible], return_inverse=True)
    sizes = np.bincount(of, minlength=len(names))
    kept = []
    for stratum, share in enumerate(_shares(sizes, min(count, len(eligible)))):
        rows = eligible[of == stratum]
        rows = rows[np.argsort(lsi[rows], kind="stable")]
        kept.append(rows[((np.arange(share) + 0.5) * len(rows) / max(share, 1)).astype(np.int64)])
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)


def _shares(sizes: Int[np.ndarray, " c"], count: int) -> Int[np.ndarray, " c"]:
    """Return how many of each stratum make up `count`, in proportion by largest remainders, none above its size."""
    exact = sizes * (count / max(int(sizes.sum()), 1))
    shares = np.floor(exact).astype(np.int64)
    if count >= len(sizes):
        shares = np.maximum(shares, np.minimum(sizes, 1))
    while (short := count - int(shares.sum())) != 0:
        room = shares < sizes if short > 0 else shares > (1 if count >= len(sizes) else 0)
        order = np.argsort(-np.sign(short) * (exact - shares), kind="stable")
        shares[order[room[order]][: abs(short)]] += np.sign(short)
    return shares
