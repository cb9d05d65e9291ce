"""Many probes at once, each without one sample: gradients and Hessian products as a few large GEMMs.

Weights of B models are (B, m, D); the logits of all samples under all models are one (n × D)·(D × Bm) product, the
gradients another: 4·n·D·m·B flops. Sample `left_out[b]` does not count in model b.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import shards
from lsi.laplace.objective import Objective

_SHARD_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Models:
    """B leave-one-out problems over one objective."""

    objective: Objective
    left_out: Int[Tensor, " b"]

    def gradients(self, weights: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """Return the gradient of each problem's objective at its own weights, in the weights' dtype."""
        total = (self.objective.prior_precision * weights).flatten(0, 1)
        for s in self._shards():
            means = self._means(weights, s)
            targets = self.objective.targets[s].repeat_interleave(len(weights), dim=0)
            residuals = self.objective.likelihood.residuals(means, targets).reshape(-1, *weights.shape[:2])
            total = total + self._without(residuals, s).flatten(1).T @ self.objective.design.values[s].to(weights)
        return total.reshape(weights.shape)

    def hessian_products(
        self, weights: Float[Tensor, "b m d"], vectors: Float[Tensor, "b m d"]
    ) -> Float[Tensor, "b m d"]:
        """Return each problem's Hessian at its own weights times its own vector."""
        total = (self.objective.prior_precision * vectors).flatten(0, 1)
        m = weights.shape[1]
        for s in self._shards():
            means = self._means(weights, s)
            u = (self.objective.design.values[s] @ vectors.flatten(0, 1).T).reshape(-1, m)
            image = self.objective.likelihood.curvature_product(means, u).reshape(-1, *weights.shape[:2])
            total = total + self._without(image, s).flatten(1).T @ self.objective.design.values[s]
        return total.reshape(vectors.shape)

    def means(self, weights: Float[Tensor, "b m d"]) -> Float[Tensor, "n b k"]:
        """Return every model's prediction for every sample."""
        rows = [self._means(weights, s).reshape(-1, len(weights), len(self.objective.basis)) for s in self._shards()]
        return torch.cat(rows)

    def _shards(self) -> list[slice]:
        features = self.objective.design.values
        row = max(1, len(self.left_out)) * len(self.objective.basis) * features.element_size()
        return list(shards(len(features), max(256, _SHARD_BYTES // row)))

    def _means(self, weights: Tensor, s: slice) -> Tensor:
        """Return the predictions of shard `s`, sample by sample and model by model, as (len(s)·B, k)."""
        u = (self.objective.design.values[s].to(weights) @ weights.flatten(0, 1).T).reshape(-1, weights.shape[1])
        return self.objective.likelihood.predict(u @ self.objective.basis.to(u).T)

    def _without(self, values: Float[Tensor, "s b m"], s: slice) -> Float[Tensor, "s b m"]:
        inside = ((self.left_out >= s.start) & (self.left_out < s.stop)).nonzero()[:, 0]
        values[self.left_out[inside] - s.start, inside] = 0
        return values
