"""Many probes at once, each without one sample: gradients and Hessian products as a few large GEMMs.

Weights of B models are (B, m, D); the logits of all samples under all models are one (n × D)·(D × Bk) product, the
gradients another: 4·n·D·k·B flops. Sample `left_out[b]` does not count in model b.
"""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import Shard
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.objective import Objective

_SHARD_BYTES = 32 * 2**20
_FEWEST = 256


@dataclass(frozen=True)
class Models:
    """B leave-one-out problems over one objective."""

    objective: Objective
    left_out: Int[Tensor, " b"]

    def losses(self, weights: Float[Tensor, "b m d"]) -> Float[Tensor, " b"]:
        """Return the objective of each problem at its own weights."""
        (total,) = self.objective.design.sum_shards(
            _losses, self.objective.targets, self.objective.likelihood, self.left_out,
            self.objective.logit_weights(weights), rows=self._rows(weights),
        )  # fmt: skip
        return total + 0.5 * self.objective.prior_precision * weights.square().sum(dim=(1, 2))

    def gradients(self, weights: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """Return the gradient of each problem's objective at its own weights, in the weights' dtype."""
        (total,) = self.objective.design.sum_shards(
            _gradients, self.objective.targets, self.objective.likelihood, self.left_out,
            self.objective.logit_weights(weights), rows=self._rows(weights),
        )  # fmt: skip
        return self.objective.coordinates(total) + self.objective.prior_precision * weights

    def hessian_products(
        self, weights: Float[Tensor, "b m d"], vectors: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b m d"]:
        """Return each problem's Hessian at its own weights times its own vector."""
        (total,) = self.objective.design.sum_shards(
            _products, self.objective.targets, self.objective.likelihood, self.left_out,
            self.objective.logit_weights(weights), self.objective.logit_weights(vectors), rows=self._rows(weights),
        )  # fmt: skip
        return self.objective.coordinates(total) + self.objective.prior_precision * vectors

    def means(self, weights: Float[Tensor, "b m d"]) -> Float[Tensor, "n b k"]:
        """Return every model's prediction for every sample."""
        return self.objective.design.gather_shards(
            _means, self.objective.targets, self.objective.likelihood, self.objective.logit_weights(weights),
            rows=self._rows(weights),
        )  # fmt: skip

    def _rows(self, weights: Tensor) -> int:
        row = len(self.left_out) * self.objective.n_outputs * weights.element_size()
        return max(_FEWEST, _SHARD_BYTES // max(1, row))


def _logits(shard: Shard, logit_weights: Float[Tensor, "b k d"]) -> Float[Tensor, "sb k"]:
    """Return the logits of a shard under every model, sample by sample."""
    _, k, d = logit_weights.shape
    return (shard.features.to(logit_weights) @ logit_weights.reshape(-1, d).T).reshape(-1, k)


def _means(shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "b k d"]) -> Float[Tensor, "s b k"]:
    """Return the predictions of a shard under every model."""
    count, k, _ = logit_weights.shape
    return likelihood.predict(_logits(shard, logit_weights)).reshape(-1, count, k)


def _losses(
    shard: Shard, likelihood: Likelihood, left_out: Tensor, logit_weights: Float[Tensor, "b k d"]
) -> tuple[Tensor, ...]:
    count, logits = len(logit_weights), _logits(shard, logit_weights)
    targets = shard.targets.repeat_interleave(count, dim=0)
    losses = likelihood.losses(logits, likelihood.predict(logits), targets).reshape(-1, count)
    _leave_out(shard, left_out, losses)
    return (losses.sum(dim=0),)


def _gradients(
    shard: Shard, likelihood: Likelihood, left_out: Tensor, logit_weights: Float[Tensor, "b k d"]
) -> tuple[Tensor, ...]:
    means = _means(shard, likelihood, logit_weights)
    targets = shard.targets.repeat_interleave(len(logit_weights), dim=0)
    residuals = likelihood.residuals(means.flatten(0, 1), targets).reshape(means.shape)
    return (_summed(shard, left_out, residuals),)


def _products(
    shard: Shard,
    likelihood: Likelihood,
    left_out: Tensor,
    logit_weights: Float[Tensor, "b k d"],
    vectors: Float[Tensor, "b k d"],
) -> tuple[Tensor, ...]:
    means = _means(shard, likelihood, logit_weights)
    logits = shard.features.to(vectors) @ vectors.reshape(-1, vectors.shape[2]).T
    image = likelihood.curvature_product(means.flatten(0, 1), logits.reshape(-1, means.shape[2]))
    return (_summed(shard, left_out, image.reshape(means.shape)),)


def _summed(shard: Shard, left_out: Tensor, values: Float[Tensor, "s b k"]) -> Float[Tensor, "b k d"]:
    """Return Σ value ⊗ φ over a shard, each model without its own sample."""
    _leave_out(shard, left_out, values)
    return (values.flatten(1).T @ shard.features.to(values)).reshape(*values.shape[1:], -1)


def _leave_out(shard: Shard, left_out: Tensor, values: Float[Tensor, "s b *k"]) -> None:
    """Put 0 where a model meets its own sample."""
    inside = ((left_out >= shard.start) & (left_out < shard.start + len(shard))).nonzero()[:, 0]
    values[left_out[inside] - shard.start, inside] = 0
