"""The likelihood that every module above sees, and the softmax: class probabilities, residuals and curvature.

With p = softmax(f) of the k logits: loss −ln p[y], gradient r = p − onehot(y), Hessian Λ = diag(p) − ppᵀ. Both r and
the rows of Λ sum to zero, so m = k − 1 orthonormal contrasts Q of the logits carry everything: Qᵀr, QᵀΛQ. Sums over
samples are taken in logits, and only what is summed is turned by Q: no product with Q is paid for once a sample.
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
    number to all), the MAP of a ridge-penalised probe does not use it either, so weights are held in m ≤ k coordinates:
    logits = Q u with an orthonormal Q of shape (k, m), which `expand` and `contract` apply.
    """

    n_outputs: int
    n_coordinates: int

    def expand(self, coordinates: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch k"]:
        """Return Q u of each vector u along the last dimension."""
        ...

    def contract(self, logits: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch m"]:
        """Return Qᵀ f of each vector f along the last dimension."""
        ...

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the mean of the prediction: probabilities (softmax) or the logits themselves (Gaussian)."""
        ...

    def losses(
        self, logits: Float[Tensor, "n k"], means: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]
    ) -> Float[Tensor, " n"]:
        """Return each sample's negative log-likelihood in nats.

        Args:
            logits: (n, k).
            means: what `predict` gives for them, (n, k).
            targets: (n, …) as the likelihood takes them.
        """
        ...

    def residuals(self, means: Float[Tensor, "n k"], targets: Shaped[Tensor, "n ..."]) -> Float[Tensor, "n k"]:
        """Return the gradient of each loss by its logits."""
        ...

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return the Hessian of each loss by its coordinates u (= GGN = Fisher)."""
        ...

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "k k"]:
        """Return the sum of the Hessians by the logits, without forming them."""
        ...

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the diagonal of each loss's Hessian by the k logits."""
        ...

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return each Hessian by the logits times each vector, without forming the blocks."""
        ...


class Softmax:
    """Classification into `n_classes` ≥ 2 classes; targets are class indices of shape (n,).

    Q is the reflection that turns the vector of ones into the last axis, less that axis: H = I − vvᵀ/(1 + 1/√k) with
    v = 1/√k + e_k. Applied in O(k) a vector.
    """

    def __init__(self, n_classes: int) -> None:
        if n_classes < 2:
            raise UsageError(f"Expected at least 2 classes, got {n_classes}: give labels of two or more classes.")
        self.n_classes = self.n_outputs = n_classes
        self.n_coordinates = n_classes - 1

    def expand(self, coordinates: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch k"]:
        """Return Q u: each coordinate less a part of their sum, which the last logit takes."""
        root = math.sqrt(self.n_classes)
        total = coordinates.sum(dim=-1, keepdim=True)
        return torch.cat([coordinates - total / (self.n_classes + root), -total / root], dim=-1)

    def contract(self, logits: Float[Tensor, "*batch k"]) -> Float[Tensor, "*batch m"]:
        """Return Qᵀ f; a number added to all logits does not change it."""
        root = math.sqrt(self.n_classes)
        first, last = logits[..., :-1], logits[..., -1:]
        return first - (first.sum(dim=-1, keepdim=True) / root + (1 + 1 / root) * last) / (1 + root)

    def predict(self, logits: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return the class probabilities."""
        return torch.softmax(logits, dim=-1)

    def losses(
        self, logits: Float[Tensor, "n k"], means: Float[Tensor, "n k"], targets: Int[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        """Return −ln p[y] in nats, from the highest logit f and its probability: f − f[y] − ln p.

        Args:
            logits: (n, k).
            means: class probabilities (n, k).
            targets: class indices (n,).
        """
        return _cross_entropy(logits, means, logits.gather(1, targets[:, None])[:, 0])

    def residuals(self, means: Float[Tensor, "n k"], targets: Int[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return p − onehot(y)."""
        residuals = means.clone()
        residuals[torch.arange(len(means), device=means.device), targets] -= 1
        return residuals

    def curvatures(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n m m"]:
        """Return Qᵀ(diag(p) − ppᵀ)Q, symmetric to the last bit."""
        basis = dense_basis(self).to(means)
        centred = basis - (means @ basis)[:, None, :]  # the variance form keeps its digits where p is near one-hot
        weighted = centred * means[:, :, None].sqrt()
        return weighted.transpose(1, 2) @ weighted

    def curvature_sum(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "k k"]:
        """Return diag(Σp) − Σppᵀ."""
        return torch.diag(means.sum(dim=0)) - means.T @ means

    def curvature_diagonal(self, means: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return p(1 − p), with 1 − p summed from the other classes where p is near 1."""
        others = 1 - means
        index = means.argmax(dim=1, keepdim=True)
        rest = means.scatter(1, index, 0).sum(dim=1, keepdim=True)
        return means * others.scatter(1, index, rest)

    def curvature_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return Λf as p ∘ (f − p·f)."""
        weighted = means * vectors
        return weighted.addcmul_(means, weighted.sum(dim=1, keepdim=True), value=-1)


class SoftLabels(Softmax):
    """Classification where a target is a distribution over the classes, (n, k), rows that sum to one."""

    def losses(
        self, logits: Float[Tensor, "n k"], means: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]
    ) -> Float[Tensor, " n"]:
        """Return −Σ t ln p in nats, from the highest logit f and its probability: f − t·f − ln p.

        Args:
            logits: (n, k).
            means: class probabilities (n, k).
            targets: distributions t over the classes (n, k).
        """
        return _cross_entropy(logits, means, (targets * logits).sum(dim=1))

    def residuals(self, means: Float[Tensor, "n k"], targets: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return p − t."""
        return means - targets


def _cross_entropy(
    logits: Float[Tensor, "n k"], means: Float[Tensor, "n k"], of_target: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Return the log-sum-exp of the logits less the target's logit, from the highest logit and its probability."""
    highest, index = logits.max(dim=1)
    return highest - of_target - means.gather(1, index[:, None])[:, 0].log()


def dense_basis(likelihood: Likelihood) -> Float[Tensor, "k m"]:
    """Return Q as a matrix, float64: for few classes."""
    return likelihood.expand(torch.eye(likelihood.n_coordinates, dtype=torch.float64)).T.contiguous()
