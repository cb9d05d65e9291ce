"""The likelihood that every module above sees, and the softmax: class probabilities, residuals and curvature.

With p = softmax(f) of the k logits: loss −ln p[y], gradient r = p − onehot(y), Hessian Λ = diag(p) − ppᵀ. Both r and
the rows of Λ sum to zero, so k − 1 orthonormal contrasts Q of the logits carry everything: r' = Qᵀr, Λ' = QᵀΛQ.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lsi.errors import UsageError


@runtime_checkable
class Likelihood(Protocol):
    """What the objective, the posterior and leave-one-out need to know of a model's outputs.

    A model has k logits a sample. Where the likelihood does not see some direction of them (softmax: adding one
    number to all), the MAP of a ridge-penalised probe does not use it either, so everything is computed in m ≤ k
    coordinates: logits = u Qᵀ with an orthonormal `basis` Q of shape (k, m). Residuals and curvatures below are in
    these coordinates.
    """

    basis: Float[Tensor, "k m"]

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the mean of the prediction: probabilities (softmax) or the logits themselves (Gaussian)."""
        ...

    def losses(self, logits: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        """Return each sample's negative log-likelihood in nats."""
        ...

    def residuals(self, means: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n m"]:
        """Return the gradient of each loss by its coordinates u."""
        ...

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return the Hessian of each loss by its coordinates u (= GGN = Fisher)."""
        ...

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "m m"]:
        """Return the sum of the curvatures, without forming them."""
        ...

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the diagonal of each loss's Hessian by the k logits."""
        ...

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Return each curvature times each vector, without forming the blocks."""
        ...


def contrasts(n_classes: int) -> Float[Tensor, "k m"]:
    """Return k − 1 orthonormal contrasts of k logits, each orthogonal to the vector of ones (Helmert, float64)."""
    columns = torch.zeros(n_classes, n_classes - 1, dtype=torch.float64)
    for j in range(1, n_classes):
        columns[:j, j - 1] = 1 / math.sqrt(j * (j + 1))
        columns[j, j - 1] = -j / math.sqrt(j * (j + 1))
    return columns


class Softmax:
    """Classification into `n_classes` ≥ 2 classes; targets are class indices of shape (n,)."""

    def __init__(self, n_classes: int) -> None:
        if n_classes < 2:
            raise UsageError(f"Expected at least 2 classes, got {n_classes}: give labels of two or more classes.")
        self.n_classes = n_classes
        self.basis = contrasts(n_classes)

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the class probabilities."""
        return torch.softmax(logits, dim=-1)

    def losses(self, logits: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return −ln p[y] of each sample in nats."""
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none")

    def residuals(self, means: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n m"]:
        """Return Qᵀ(p − onehot(y))."""
        basis = self._basis(means)
        return means @ basis - basis[targets]

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return Qᵀ(diag(p) − ppᵀ)Q, symmetric to the last bit."""
        basis = self._basis(means)
        centred = basis - (means @ basis)[:, None, :]  # the variance form keeps its digits where p is near one-hot
        weighted = centred * means[:, :, None].sqrt()
        return weighted.transpose(1, 2) @ weighted

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "m m"]:
        """Return Qᵀ(diag(Σp) − Σppᵀ)Q."""
        basis = self._basis(means)
        return basis.T @ (torch.diag(means.sum(dim=0)) - means.T @ means) @ basis

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return p(1 − p), with 1 − p summed from the other classes where p is near 1."""
        others = 1 - means
        index = means.argmax(dim=1, keepdim=True)
        rest = means.scatter(1, index, 0).sum(dim=1, keepdim=True)
        return means * others.scatter(1, index, rest)

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Return Λ'u as Qᵀ(p ∘ (Qu − p·Qu))."""
        basis = self._basis(means)
        logits = vectors @ basis.T
        return (means * (logits - (means * logits).sum(dim=1, keepdim=True))) @ basis

    def _basis(self, like: Tensor) -> Tensor:
        return self.basis.to(like)
