"""The one objective that the probe, the posterior and leave-one-out all read.

Conventions, used in every module above this one:

    φᵢ ∈ ℝᴰ, D = d + 1   features with a constant 1 appended last (`with_bias`), the rows of Φ (n, D)
    V ∈ ℝᵐˣᴰ             weights in the likelihood's coordinates; the usual weights are W = QV, logits of i are W φᵢ
    L(V) = Σᵢ lossᵢ + ½λ‖V‖²      summed, never averaged; the bias is penalised too; ‖V‖ = ‖W‖
    ∇L = Qᵀ Σᵢ rᵢ φᵢᵀ + λV        ∇²L = P = Σᵢ QᵀΛᵢQ ⊗ φᵢφᵢᵀ + λI

Features stay in their own dtype; losses and gradients are summed in float64, shard by shard, so that a float32 problem
is fitted to float64 accuracy. Products with the Hessian run in the features' dtype. Sums run in logits: two products of
n·D·k a gradient or Hessian product, a third where the predictions of a shard did not fit into its memo.
"""

import itertools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lsi.laplace.design_matrix import Design, DesignMatrix, Memo, Shard, rows_of
from lsi.laplace.kronecker import Kronecker
from lsi.laplace.likelihood import Likelihood

SPARSE_SAMPLES = 16_384  # samples that a preconditioner's B is summed over
_MARKS = itertools.count()


@dataclass(frozen=True)
class Point:
    """Weights V (m, D), float64, with a number of their own, by which shards know predictions that they kept."""

    weights: Float[Tensor, "m d"]
    mark: int


@dataclass(frozen=True)
class Evaluation:
    """The objective at one point: `loss` in nats and `gradient`, float64."""

    loss: float
    gradient: Float[Tensor, "m d"]
    point: Point


@dataclass(frozen=True)
class Objective:
    """L(V) over the samples of a `design` Φ (n, D), and their `targets` as the likelihood takes them.

    Objectives on the same design share its factor of ΦᵀΦ.
    """

    likelihood: Likelihood
    design: Design
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
        return self.likelihood.n_coordinates, self.design.shape[1]

    @property
    def n_outputs(self) -> int:
        """The number of logits k."""
        return self.likelihood.n_outputs

    def logit_weights(self, weights: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch k d"]:
        """Return W = QV."""
        return self.likelihood.expand(weights.transpose(-1, -2)).transpose(-1, -2)

    def coordinates(self, logit_weights: Float[Tensor, "*batch k d"]) -> Float[Tensor, "*batch m d"]:
        """Return V = QᵀW."""
        return self.likelihood.contract(logit_weights.transpose(-1, -2)).transpose(-1, -2)

    def logits(self, weights: Float[Tensor, "m d"]) -> Float[Tensor, "n k"]:
        """Return the logits of every sample in float64: for few samples or few classes."""
        return self.design.gather_shards(
            _logits, self.targets, self.logit_weights(weights), rows=rows_of(self.n_outputs, self.design.device)
        )

    def means(self, weights: Float[Tensor, "m d"]) -> Float[Tensor, "n k"]:
        """Return what is predicted for every sample in float64: for few samples or few classes."""
        return self.likelihood.predict(self.logits(weights))

    def at(self, weights: Float[Tensor, "m d"]) -> Point:
        """Return the point at V."""
        return Point(weights, next(_MARKS))

    def evaluate(self, weights: Float[Tensor, "m d"]) -> Evaluation:
        """Return loss and gradient at V, summed in float64."""
        point = self.at(weights)
        loss, gradient = self.design.sum_shards(
            _loss_and_gradient, self.targets, self.likelihood, self.logit_weights(weights), point.mark,
            rows=rows_of(self.n_outputs, self.design.device),
        )  # fmt: skip
        loss = loss + 0.5 * self.prior_precision * weights.square().sum()
        return Evaluation(float(loss), self.coordinates(gradient) + self.prior_precision * weights, point)

    def hessian_product(self, point: Point, vectors: Float[Tensor, "r m d"]) -> Float[Tensor, "r m d"]:
        """Return P X of each of r matrices X, P taken at a point, multiplied in the features' dtype."""
        weights, dtype = self.logit_weights(point.weights), self.design.dtype
        (product,) = self.design.sum_shards(
            _curvature_times, self.targets, self.likelihood, (weights.to(dtype), point.mark),
            self.logit_weights(vectors).to(dtype), rows=rows_of(self.n_outputs * len(vectors), self.design.device),
        )  # fmt: skip
        return self.prior_precision * vectors + self.coordinates(product).to(vectors)

    def kronecker(self, point: Point, *, sparse: bool = False) -> Kronecker:
        """Return B ⊗ A / n + λI with A = Σφφᵀ and B = QᵀΣΛQ at a point, in float64.

        Args:
            point: where.
            sparse: sum B over an even part of the samples only, as a preconditioner may.
        """
        n = len(self.design)
        step = max(1, n // SPARSE_SAMPLES) if sparse else 1
        count, output = self.design.sum_shards(
            _curvature_sum, self.targets, self.likelihood, (self.logit_weights(point.weights), point.mark), step,
            rows=rows_of(self.n_outputs, self.design.device),
        )  # fmt: skip
        half = self.likelihood.contract(output * (n / float(count)))
        gram = self.design.gram_factor
        return Kronecker.refactor(self.likelihood.contract(half.T), gram.vectors, gram.values, n, self.prior_precision)


def predict(
    likelihood: Likelihood, features: Float[Tensor, "n d"], logit_weights: Float[Tensor, "k d"]
) -> Float[Tensor, "n k"]:
    """Return what a fitted probe predicts, in float64: on the rows that it was fitted on, its `means` bit for bit.

    Args:
        likelihood: of the probe.
        features: Φ (n, D), bias column included.
        logit_weights: W (k, D), float64.
    """
    logits = DesignMatrix(features).gather_shards(
        _logits, features.new_empty(len(features), 0), logit_weights, rows=rows_of(len(logit_weights), features.device)
    )
    return likelihood.predict(logits)


def _logits(shard: Shard, logit_weights: Float[Tensor, "k d"]) -> Float[Tensor, "b k"]:
    return shard.features.to(logit_weights) @ logit_weights.T


def _loss_and_gradient(
    shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"], mark: int
) -> tuple[Tensor, ...]:
    """Return the loss of a shard and its gradient by W, (k, D), both float64."""
    phi = shard.features.to(logit_weights)
    logits = phi @ logit_weights.T
    means = likelihood.predict(logits)
    shard.memo.remember(mark, shard.start, means.to(shard.features.dtype))
    loss = likelihood.losses(logits, means, shard.targets).sum()
    return loss, likelihood.residuals(means, shard.targets).T @ phi


def means_at(shard: Shard, likelihood: Likelihood, where: tuple[Float[Tensor, "k d"], int]) -> Float[Tensor, "b k"]:
    """Return the predictions of a shard in the dtype of its features: those that were kept, or computed.

    Args:
        shard: some samples.
        likelihood: of the probe.
        where: its weights W (k, D), and the mark of the point.
    """
    kept = shard.memo.recall(where[1], shard.start, len(shard))
    if kept is None:
        kept = likelihood.predict(_logits(shard, where[0].to(shard.features)))
        shard.memo.remember(where[1], shard.start, kept)
    return kept


def _curvature_times(
    shard: Shard, likelihood: Likelihood, where: tuple[Tensor, int], vectors: Float[Tensor, "r k d"]
) -> tuple[Tensor, ...]:
    """Return Σ Λᵢ X φᵢ φᵢᵀ of a shard for each of r matrices X, in logits, as float64."""
    r, k, d = vectors.shape
    phi, means = shard.features, means_at(shard, likelihood, where)
    logits = (phi @ vectors.flatten(0, 1).T).reshape(-1, k)
    image = likelihood.curvature_product(means.repeat_interleave(r, dim=0) if r > 1 else means, logits)
    return ((image.reshape(len(phi), r * k).T @ phi).double().reshape(r, k, d),)


def _curvature_sum(shard: Shard, likelihood: Likelihood, where: tuple[Tensor, int], step: int) -> tuple[Tensor, ...]:
    """Return how many samples of a shard were taken, every `step`-th, and their ΣΛ (k, k) in float64."""
    if step > 1:
        shard = Shard(shard.features[::step], shard.targets[::step], -1 - shard.start, Memo())
    means = means_at(shard, likelihood, where) if step > 1 else likelihood.predict(_logits(shard, where[0]))
    return means.new_tensor(len(means), dtype=torch.float64), likelihood.curvature_sum(means.double())
