"""The diag structure, the one the paper reports: only diag P enters the KL, in the usual weights θ (k, D).

With ρ = diag P₋ᵢ / diag P: mean_term ½ΣP₋ᵢΔ², trace_term ½Σ(ρ − 1), logdet_term −½Σ ln ρ. Δ is that of the full
problem: retraining knows nothing of the posterior's shape.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.laplace.design_matrix import Shard, rows_of, shards
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.posterior.terms import Terms, log_excess
from lsi.laplace.probe import Probe


@dataclass(frozen=True)
class Diagonal:
    """The diagonal of P, `precision`, as (k, D) in float64, with its own `prior_precision` in it."""

    likelihood: Likelihood
    precision: Float[Tensor, "k d"]
    prior_precision: float

    @classmethod
    def fit(cls, probe: Probe, prior_precision: float | None = None) -> "Diagonal":
        """Sum the diagonal of P at the probe's MAP, with the fit's λ unless another is given."""
        objective = probe.objective
        (total,) = objective.design.sum_shards(
            _diagonal,
            objective.targets,
            objective.likelihood,
            probe.logit_weights,
            rows=rows_of(objective.n_outputs, objective.design.device),
        )
        prior = objective.prior_precision if prior_precision is None else prior_precision
        return cls(objective.likelihood, total + prior, prior)

    def newton_terms(
        self, features: Float[Tensor, "b d"], delta: Float[Tensor, "b m d"], means: Float[Tensor, "b k"]
    ) -> Terms:
        """Return the terms with each sample's own curvature taken off the diagonal.

        Args:
            features: Φ of the b samples, (b, D).
            delta: Δ of each, (b, m, D).
            means: what the probe predicts for each, (b, k).
        """
        curvature = self.likelihood.curvature_diagonal(means)
        squared = features.double().square()
        return self._terms(-curvature[:, :, None] * (squared[:, None, :] / self.precision), delta)

    def refit_terms(
        self,
        probe: Probe,
        samples: Int[Tensor, " b"],
        delta: Float[Tensor, "b m d"],
        means: Float[Tensor, "n b k"],
    ) -> Terms:
        """Return the terms with diag P₋ᵢ at what the refitted probes predict.

        Args:
            probe: the fitted probe.
            samples: (b,) which samples were left out.
            delta: Δ of each refit, (b, m, D).
            means: what each of the b probes predicts for all samples, (n, b, k).
        """
        n, b, k = means.shape
        total = torch.zeros(b * k, self.precision.shape[1], dtype=torch.float64, device=means.device)
        for s in shards(n):
            curvature = self.likelihood.curvature_diagonal(means[s].flatten(0, 1).double()).reshape(-1, b, k)
            inside = (samples >= s.start) & (samples < s.stop)
            curvature[(samples - s.start)[inside], inside.nonzero()[:, 0]] = 0
            total += curvature.flatten(1).T @ probe.objective.design.take(s).double().square()
        without_sample = total.reshape(b, k, -1) + self.prior_precision
        return self._terms(without_sample / self.precision - 1, delta)

    def _terms(self, change: Float[Tensor, "b k d"], delta: Float[Tensor, "b m d"]) -> Terms:
        """Return the terms from ρ − 1 (`change`)."""
        moved = self.likelihood.expand(delta.transpose(1, 2)).transpose(1, 2)
        mean = 0.5 * ((1 + change) * self.precision * moved.square()).sum(dim=(1, 2))
        covariance_term = 0.5 * log_excess(change).sum(dim=(1, 2))
        trace = 0.5 * change.sum(dim=(1, 2))
        return Terms(mean, trace, covariance_term - trace, covariance_term)


def _diagonal(shard: Shard, likelihood: Likelihood, logit_weights: Float[Tensor, "k d"]) -> tuple[Tensor, ...]:
    """Return the diagonal of a shard's Σ Λᵢ ⊗ φᵢφᵢᵀ in logits, (k, D)."""
    phi = shard.features.to(logit_weights)
    curvature = likelihood.curvature_diagonal(likelihood.predict(phi @ logit_weights.T))
    return (curvature.T @ phi.square(),)
