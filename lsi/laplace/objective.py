"""The one objective that the probe, the posterior and leave-one-out all read.

Conventions, used in every module above this one:

    φᵢ ∈ ℝᴰ, D = d + 1   features with a constant 1 appended last (`with_bias`), the rows of Φ (n, D)
    V ∈ ℝᵐˣᴰ             weights in the likelihood's coordinates: logits of i are Q V φᵢ, the usual weights are W = QV
    L(V) = Σᵢ lossᵢ + ½λ‖V‖²      summed, never averaged; the bias is penalised too; ‖V‖ = ‖W‖
    ∇L = Σᵢ rᵢ φᵢᵀ + λV          ∇²L = P = Σᵢ Λᵢ ⊗ φᵢφᵢᵀ + λI

Features stay in their own dtype; losses and gradients are summed in float64, shard by shard, so that a float32 problem
is fitted to float64 accuracy. Products with the Hessian run in the features' dtype.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsi.laplace.design_matrix import DesignMatrix, shards
from lsi.laplace.kronecker import Kronecker
from lsi.laplace.likelihood import Likelihood


@dataclass(frozen=True)
class Evaluation:
    """The objective at one V: `loss` in nats, `gradient` and the predicted `means`, all float64."""

    loss: float
    gradient: Float[Tensor, "m d"]
    means: Float[Tensor, "n k"]


@dataclass(frozen=True)
class Objective:
    """L(V) over the samples of a `design` matrix Φ (n, D), and their `targets` as the likelihood takes them.

    Objectives on the same design matrix share its factor of ΦᵀΦ.
    """

    likelihood: Likelihood
    design: DesignMatrix
    targets: Shaped[Tensor, "n ..."]
    prior_precision: float

    def rows(self, chosen: Shaped[Tensor, " s"]) -> "Objective":
        """Return the objective over some of the samples, by mask or by index."""
        return Objective(self.likelihood, self.design.rows(chosen), self.targets[chosen], self.prior_precision)

    def with_targets(self, targets: Shaped[Tensor, "n ..."]) -> "Objective":
        """Return the objective over the same samples with other targets."""
        return replace(self, targets=targets)

    def with_prior_precision(self, prior_precision: float) -> "Objective":
        """Return the objective over the same samples with another λ."""
        return replace(self, prior_precision=prior_precision)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, D) of V."""
        return self.likelihood.basis.shape[1], self.design.shape[1]

    @cached_property
    def basis(self) -> Float[Tensor, "k m"]:
        """Q on the features' device, in float64."""
        return self.likelihood.basis.to(self.design.device)

    def logits(self, weights: Float[Tensor, "m d"]) -> Float[Tensor, "n k"]:
        """Return the logits Q V φ of every sample in float64."""
        rows = [self.design.values[s].double() @ weights.T for s in shards(len(self.design))]
        return torch.cat(rows) @ self.basis.T

    def evaluate(self, weights: Float[Tensor, "m d"]) -> Evaluation:
        """Return loss, gradient and predicted means at V, summed in float64."""
        loss = 0.5 * self.prior_precision * weights.square().sum()
        gradient = self.prior_precision * weights
        means = []
        for s in shards(len(self.design)):
            phi = self.design.values[s].double()
            logits = (phi @ weights.T) @ self.basis.T
            mean = self.likelihood.predict(logits)  # as `predict` does, to the bit
            loss = loss + self.likelihood.losses(logits, self.targets[s]).sum()
            gradient = gradient + self.likelihood.residuals(mean, self.targets[s]).T @ phi
            means.append(mean)
        return Evaluation(float(loss), gradient, torch.cat(means))

    def hessian_product(self, means: Float[Tensor, "n k"], vectors: Float[Tensor, "r m d"]) -> Float[Tensor, "r m d"]:
        """Return P X of each of r matrices X, P taken at the predicted `means`, in the vectors' dtype."""
        r, m, d = vectors.shape
        flat = vectors.reshape(r * m, d).to(self.design.values)
        product = self.prior_precision * vectors
        for s in shards(len(self.design)):
            phi = self.design.values[s]
            u = (phi @ flat.T).reshape(-1, m)
            mean = means[s].to(u).repeat_interleave(r, dim=0)
            image = self.likelihood.curvature_product(mean, u).reshape(len(phi), r * m)
            product = product + (image.T @ phi).reshape(r, m, d).to(vectors)
        return product

    def kronecker(self, means: Float[Tensor, "n k"]) -> Kronecker:
        """Return B ⊗ A / n + λI with A = Σφφᵀ and B = ΣΛ at the predicted `means`, in float64."""
        output = self.likelihood.curvature_sum(means)
        gram = self.design.gram_factor
        return Kronecker.refactor(output, gram.vectors, gram.values, len(self.design), self.prior_precision)


def predict(
    likelihood: Likelihood, features: Float[Tensor, "n d"], weights: Float[Tensor, "m d"]
) -> Float[Tensor, "n k"]:
    """Return what a fitted probe predicts, in float64: on the rows that it was fitted on, its `means` bit for bit.

    Args:
        likelihood: of the probe.
        features: Φ (n, D), bias column included.
        weights: V (m, D), float64.
    """
    basis = likelihood.basis.to(features.device)
    parts = [likelihood.predict((features[s].double() @ weights.T) @ basis.T) for s in shards(len(features))]
    return torch.cat(parts)
