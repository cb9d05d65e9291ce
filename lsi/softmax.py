"""The softmax likelihood: class probabilities, their residuals and their curvature.

With p = softmax(f) of the k logits: loss −ln p[y], gradient r = p − onehot(y), Hessian Λ = diag(p) − ppᵀ. Both r and
the rows of Λ sum to zero, so k − 1 orthonormal contrasts Q of the logits carry everything: r' = Qᵀr, Λ' = QᵀΛQ.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.errors import UsageError


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
