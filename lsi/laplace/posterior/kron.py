"""The kron structure: P ≈ B ⊗ A / n + λI with A = Σφφᵀ and B = ΣΛ; memory D² and m², whatever p is.

For leave-one-out by a Newton step the form stands for the others' precision P₋ᵢ: taking the sample's exact
Λᵢ ⊗ φᵢφᵢᵀ off an approximation of P can leave an indefinite matrix, adding it to one of P₋ᵢ cannot.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.laplace.kronecker import Kronecker
from lsi.laplace.objective import Objective
from lsi.laplace.posterior.terms import Terms
from lsi.laplace.probe import Probe


@dataclass(frozen=True)
class Kron:
    """The Kronecker-factored posterior."""

    objective: Objective
    form: Kronecker
    output: Float[Tensor, "m m"]
    feature: Float[Tensor, "d d"]

    excludes_sample = True

    @classmethod
    def fit(cls, probe: Probe) -> "Kron":
        """Factor B ⊗ A / n + λI at the probe's MAP."""
        form = probe.objective.kronecker(probe.means)
        output = (form.output_basis * form.output_values) @ form.output_basis.T
        feature = (form.feature_basis * form.feature_values) @ form.feature_basis.T
        return cls(probe.objective, form, output, feature)

    def solve(self, matrices: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """Return P⁻¹ applied to each matrix."""
        return self.form.to(matrices).solve(matrices)

    def leverages(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b m m"]:
        """Return U_B diag_c(Σ_d q_d² / (α_d β_c / n + λ)) U_Bᵀ with q = U_Aᵀφᵢ."""
        form = self.form
        rotated = features @ form.feature_basis.to(features)
        values = rotated.square().double() @ (1 / form.values).T
        return (form.output_basis * values[:, None, :]) @ form.output_basis.T

    def refit_terms(self, sample: int, delta: Float[Tensor, "m d"], means: Float[Tensor, "n k"]) -> Terms:
        """Return the terms against B₋ᵢ ⊗ A₋ᵢ / (n − 1) + λI at what the refitted probe predicts.

        Float32 features keep 1e-4 of each term or 1e-7 nats, whichever is more.

        Args:
            sample: which sample was left out.
            delta: Δ of the refit, (m, D).
            means: what the refitted probe predicts for all samples, (n, k).
        """
        objective, n = self.objective, len(means)
        phi = objective.design.values[sample].double()
        kept = torch.arange(n, device=means.device) != sample
        output = objective.likelihood.curvature_sum(means[kept].double())
        feature = self.feature - torch.outer(phi, phi)
        others = Kronecker.factor(output, feature, n - 1, objective.prior_precision)
        in_basis = torch.outer(
            torch.einsum("ca,ce,ea->a", self.form.output_basis, output, self.form.output_basis),
            torch.einsum("ca,ce,ea->a", self.form.feature_basis, feature, self.form.feature_basis),
        )
        moved = delta.double()
        mean = 0.5 * ((moved * (output @ moved @ feature)).sum() / (n - 1))
        mean = mean + 0.5 * objective.prior_precision * moved.square().sum()
        ratio = (in_basis / (n - 1) + objective.prior_precision) / self.form.values
        trace = 0.5 * (ratio - 1).sum()
        logdet = 0.5 * (self.form.values.log().sum() - others.values.log().sum())
        return Terms(*(t.reshape(1) for t in (mean, trace, logdet, (trace + logdet).clamp_min(0))))
