"""The kron structure: P ≈ B ⊗ A / n + λI with A = Σφφᵀ and B = ΣΛ; memory D² and k², whatever p is.

For leave-one-out by a Newton step the form stands for the others' precision P₋ᵢ: taking the sample's exact
Λᵢ ⊗ φᵢφᵢᵀ off an approximation of P can leave an indefinite matrix, adding it to one of P₋ᵢ cannot. All samples share
the basis in which S₋ is diagonal: `spectrum` is all that leave-one-out needs of it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.laplace.kronecker import Kronecker
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.objective import Objective
from lsi.laplace.posterior.terms import Terms
from lsi.laplace.probe import Probe


@dataclass(frozen=True)
class Kron:
    """The Kronecker-factored posterior: its form, and the eigenvectors of B in logits, `logit_basis` U (k, m)."""

    likelihood: Likelihood
    form: Kronecker
    logit_basis: Float[Tensor, "k m"]

    excludes_sample = True

    @classmethod
    def fit(cls, probe: Probe) -> "Kron":
        """Factor B ⊗ A / n + λI at the probe's MAP."""
        return cls.at(probe.objective, probe.weights)

    @classmethod
    def at(cls, objective: Objective, weights: Float[Tensor, "m d"]) -> "Kron":
        """Factor B ⊗ A / n + λI at V."""
        return cls.of(objective.likelihood, objective.kronecker(objective.at(weights)))

    @classmethod
    def of(cls, likelihood: Likelihood, form: Kronecker) -> "Kron":
        """Return the posterior of a form that is factored."""
        return cls(likelihood, form, likelihood.expand(form.output_basis.T).T.contiguous())

    def solve(self, matrices: Float[Tensor, "b m d"]) -> Float[Tensor, "b m d"]:
        """Return P⁻¹ applied to each matrix."""
        return self.form.to(matrices).solve(matrices)

    def spectrum(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b m"]:
        """Return s = Σ_d q_d² / (α_d β_c / n + λ) with q = U_Aᵀφᵢ, float64: S₋ = U diag(s) Uᵀ in logits."""
        rotated = features @ self.form.feature_basis.to(features)
        return rotated.double().square_() @ (1 / self.form.values).T

    def leverages(self, features: Float[Tensor, "b d"]) -> Float[Tensor, "b m m"]:
        """Return S₋ in the likelihood's coordinates: for few samples or few classes."""
        basis = self.form.output_basis
        return (basis * self.spectrum(features)[:, None, :]) @ basis.T

    def refit_terms(self, probe: Probe, sample: int, delta: Float[Tensor, "m d"], means: Float[Tensor, "n k"]) -> Terms:
        """Return the terms against B₋ᵢ ⊗ A₋ᵢ / (n − 1) + λI at what the refitted probe predicts.

        Float32 features keep 1e-4 of each term or 1e-7 nats, whichever is more.

        Args:
            probe: the fitted probe.
            sample: which sample was left out.
            delta: Δ of the refit, (m, D).
            means: what the refitted probe predicts for all samples, (n, k).
        """
        objective, form, n = probe.objective, self.form, len(means)
        phi = objective.design.take(torch.tensor([sample], device=means.device))[0].double()
        kept = torch.arange(n, device=means.device) != sample
        likelihood = objective.likelihood
        output = likelihood.contract(likelihood.contract(likelihood.curvature_sum(means[kept].double())).T)
        whole = (form.feature_basis * form.feature_values) @ form.feature_basis.T
        feature = whole - torch.outer(phi, phi)
        others = Kronecker.factor(output, feature, n - 1, objective.prior_precision)
        in_basis = torch.outer(
            torch.einsum("ca,ce,ea->a", form.output_basis, output, form.output_basis),
            torch.einsum("ca,ce,ea->a", form.feature_basis, feature, form.feature_basis),
        )
        moved = delta.double()
        mean = 0.5 * ((moved * (output @ moved @ feature)).sum() / (n - 1))
        mean = mean + 0.5 * objective.prior_precision * moved.square().sum()
        ratio = (in_basis / (n - 1) + objective.prior_precision) / form.values
        trace = 0.5 * (ratio - 1).sum()
        logdet = 0.5 * (form.values.log().sum() - others.values.log().sum())
        return Terms(*(t.reshape(1) for t in (mean, trace, logdet, (trace + logdet).clamp_min(0))))
