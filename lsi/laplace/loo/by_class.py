"""Leave-one-out predictions of a softmax beside the kron posterior: each logit by the curvature of its own class.

The Kronecker form gives every class one feature matrix, as if the samples that bend the loss of a class lay as all
samples do. Among those of its own class a sample counts for more, most of all where its label is wrong, so that the
step of kron takes too little of it away, and its predictions come out surer than those of folds. With the block of
class c, H_c = Σᵢ Λᵢ[c, c] φᵢφᵢᵀ + λI (`lsi.laplace.class_blocks`), the step without sample i moves its logit c by

    h / (1 − Λᵢ[c, c] h) · rᵢ[c]        h = φᵢᵀH_c⁻¹φᵢ

which leaves out what couples the logits, as one-vs-rest would. It is taken for the classes with the largest residuals.
Measured against ten folds in `tests/laplace/test_by_class.py` and in docs/evidence.md. LSI itself stays that of kron.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.class_blocks import class_blocks
from lsi.laplace.design_matrix import Shard
from lsi.laplace.likelihood import Likelihood, Softmax
from lsi.laplace.probe import Probe

MOST_BYTES = 5 * 2**29  # of all blocks: 1,000 classes of 818 features; fixed, so that no result depends on a machine
CLASSES = 32  # that are moved, those of the largest residuals
SAMPLES_A_COLUMN = 16  # that a block is summed from, for each column of Φ
_DRAWN_BYTES = 120  # of a drawn sample while the blocks are summed
_BELOW_ONE = 1 - 1e-6


@dataclass(frozen=True)
class ByClass:
    """The inverse Cholesky factors L⁻¹ (k, D, D) of the blocks of all classes, and the prior precision λ.

    They are pickled as an array, which the workers of a machine read where it lies in their shared memory.
    """

    inverse_factors: Float[Tensor, "k d d"]
    prior_precision: float

    @classmethod
    def fit(cls, probe: Probe) -> "ByClass | None":
        """Return the blocks at the probe's MAP; None where it is no softmax, or they would take too much memory.

        Args:
            probe: the fitted probe.
        """
        objective, (_, d) = probe.objective, probe.objective.shape
        size = bytes_by_class(objective.n_outputs, d, objective.design.dtype.itemsize)
        if not isinstance(objective.likelihood, Softmax) or not size:
            return None
        blocks = class_blocks(objective, objective.at(probe.weights), SAMPLES_A_COLUMN * d)
        return cls(blocks.inverse_factors, objective.prior_precision)

    def __reduce__(self) -> "tuple[Callable[[np.ndarray, float], ByClass], tuple[np.ndarray, float]]":
        """Return what pickle keeps."""
        return _of_array, (self.inverse_factors.cpu().numpy(), self.prior_precision)


def _of_array(inverse_factors: Float[np.ndarray, "k d d"], prior_precision: float) -> ByClass:
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # nobody writes to shared memory
        return ByClass(torch.from_numpy(inverse_factors), prior_precision)


def bytes_by_class(n_classes: int, n_columns: int, itemsize: int = 4) -> int:
    """Return how much memory the blocks take; 0 where that is more than they may, and kron's own step stands for them.

    Args:
        n_classes: k.
        n_columns: D.
        itemsize: bytes of a number of Φ.
    """
    size = n_classes * n_columns**2 * itemsize
    return size if size <= MOST_BYTES else 0


def peak_by_class(n_samples: int, n_classes: int, n_columns: int) -> int:
    """Return about how much memory computing the blocks of float32 features takes at most, 0 where there are none.

    Args:
        n_samples: n.
        n_classes: k.
        n_columns: D.
    """
    size = bytes_by_class(n_classes, n_columns)
    return size and size + _DRAWN_BYTES * n_classes * min(n_samples, SAMPLES_A_COLUMN * n_columns)


def means_by_class(
    shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"], blocks: ByClass
) -> Float[Tensor, "b k"]:
    """Return what the probe predicts for each sample of a shard that it has not seen.

    Args:
        shard: the samples.
        likelihood: of the probe.
        logit_weights: W at the MAP, (k, D).
        blocks: of the probe.
    """
    logits = shard.features.double() @ logit_weights.T
    means = likelihood.predict(logits)
    residuals = likelihood.residuals(means, shard.targets)
    classes = residuals.abs().topk(min(CLASSES, residuals.shape[1]), dim=1).indices
    leverages = _leverages(shard.features, classes, blocks.inverse_factors)
    within = (likelihood.curvature_diagonal(means).gather(1, classes) * leverages).clamp_max_(_BELOW_ONE)
    most = shard.features.double().square().sum(dim=1, keepdim=True) / blocks.prior_precision
    without = torch.minimum(leverages / (1 - within), most)
    return likelihood.predict(logits.scatter_add_(1, classes, without * residuals.gather(1, classes)))


def _leverages(
    features: Float[Tensor, "b d"], classes: Int[Tensor, "b q"], inverse_factors: Float[Tensor, "k d d"]
) -> Float[Tensor, "b q"]:
    """Return φᵢᵀH_c⁻¹φᵢ for some classes c of each sample, float64: all samples of a class at once."""
    order = classes.flatten().argsort(stable=True)
    rows, counts = order // classes.shape[1], torch.bincount(classes.flatten(), minlength=len(inverse_factors))
    found = torch.empty(classes.numel(), dtype=torch.float64, device=features.device)
    start = 0
    for c, count in enumerate(counts.tolist()):
        some = slice(start, start + count)
        if count:
            found[order[some]] = (features[rows[some]] @ inverse_factors[c].T).square_().sum(dim=1).double()
        start += count
    return found.reshape(classes.shape)
