"""Who speaks for and against a label, and what each other label would cost.

For sample i and the contrast e = e_given − e_other of two logits, v = P₋ᵢ⁻¹(e ⊗ φᵢ) is how the contrast responds to the
weights of the probe that has not seen i. Removing j moves it by (Vφⱼ)·aⱼ, with aⱼ = rⱼ + Λⱼ·shiftⱼ, the push of j's
leave-one-out step, which the stored leave-one-out probabilities give back without any factor of P.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lsi.objective import Objective
from lsi.posterior.terms import log_excess
from lsi.solve import conjugate_gradients

TOLERANCE = 1e-8
MAX_STEPS = 500
_EXACT_BLOCK = 16


@dataclass(frozen=True)
class Explanation:
    """Why a sample's label looks right or wrong.

    Attributes:
        sample: its position.
        given_label: the label it has.
        other_label: the label it is compared with.
        support: (n,) log-odds of given against other that each training sample adds; positive speaks for the given
            label, negative against; 0 for the sample itself.
        label_lsi: (k,) LSI in nats that the sample would have under each label, seen from the probe without it.
    """

    sample: int
    given_label: int
    other_label: int
    support: Float[np.ndarray, " n"]
    label_lsi: Float[np.ndarray, " k"]

    @property
    def suggested_label(self) -> int:
        """The label that needs least information."""
        return int(self.label_lsi.argmin())

    def speakers(self, count: int) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " t"]]:
        """Return up to `count` samples that speak most for the given label, and as many against it."""
        order = np.argsort(-self.support, kind="stable")
        return order[: min(count, int((self.support > 0).sum()))], order[::-1][
            : min(count, int((self.support < 0).sum()))
        ]


def explain(
    objective: Objective,
    weights: Float[Tensor, "m d"],
    loo_means: Float[Tensor, "n k"],
    sample: int,
    other_label: int | None = None,
) -> Explanation:
    """Explain one sample of a classification.

    Args:
        objective: the probe's objective.
        weights: V at the MAP.
        loo_means: leave-one-out probabilities of all samples.
        sample: which sample.
        other_label: what to compare the given label with; by default the likeliest other one.
    """
    given = int(objective.targets[sample])
    loo = loo_means[sample].clone()
    if other_label is None:
        others = loo.clone()
        others[given] = -1
        other_label = int(others.argmax())
    weights = weights.double()
    logits = objective.logits(weights)
    at_map = objective.likelihood.predict(logits)
    residual = objective.likelihood.residuals(at_map[[sample]], objective.targets[[sample]])
    without = weights + solve_without(objective, at_map, sample, residual)[0]
    means = objective.likelihood.predict(objective.logits(without))  # of the probe that has not seen the sample
    contrast = objective.basis[given] - objective.basis[other_label]
    response = solve_without(objective, means, sample, contrast[None])[0]
    pushes = _pushes(objective, logits, means, loo_means)
    support = -((objective.features.double() @ response.T) * pushes).sum(dim=1)
    support[sample] = 0
    costs = _label_lsi(objective, means, loo, sample)
    return Explanation(sample, given, other_label, support.cpu().numpy(), costs.cpu().numpy())


def solve_without(
    objective: Objective, means: Float[Tensor, "n k"], sample: int, outputs: Float[Tensor, "r m"]
) -> Float[Tensor, "r m d"]:
    """Return P₋ᵢ⁻¹(u ⊗ φᵢ) for each row u of `outputs`, P₋ᵢ at the predicted `means`, by conjugate gradients."""
    phi = objective.features[sample].double()
    curvature = objective.likelihood.curvatures(means[sample : sample + 1])[0]
    cast = means.to(objective.features)
    form = objective.kronecker(means)

    def product(x: Tensor) -> Tensor:
        own = (x @ phi) @ curvature
        return objective.hessian_product(cast, x) - own[:, :, None] * phi

    right = outputs[:, :, None] * phi
    tolerance = TOLERANCE if objective.features.dtype == torch.float64 else 1e-5
    return conjugate_gradients(product, form.solve, right, tolerance=tolerance, max_iterations=MAX_STEPS).value


def _pushes(objective: Objective, logits: Tensor, means: Tensor, loo_means: Tensor) -> Tensor:
    """Return a = r + Λ·shift of every sample, r and Λ at `means`, those of the probe without the explained sample.

    The shift of each sample's own leave-one-out step is read off its stored leave-one-out probabilities and `logits`.
    """
    shift = (loo_means.double().clamp_min(1e-300).log() - logits) @ objective.basis
    residuals = objective.likelihood.residuals(means, objective.targets)
    return residuals + objective.likelihood.curvature_product(means, shift)


def _label_lsi(objective: Objective, means: Tensor, loo: Tensor, sample: int) -> Tensor:
    """Return the LSI of adding the sample under each label, by one Newton step from the probe without it."""
    m = objective.shape[0]
    phi = objective.features[sample].double()
    identity = torch.eye(m, dtype=torch.float64, device=means.device)
    if m <= _EXACT_BLOCK:
        leverage = solve_without(objective, means, sample, identity) @ phi
    else:  # one Kronecker solve instead of m conjugate-gradient solves
        leverage = objective.kronecker(means).solve(identity[:, :, None] * phi) @ phi
    root = torch.linalg.cholesky((leverage + leverage.T) / 2)
    loo = loo.double()
    curvature = objective.likelihood.curvatures(loo[None])[0]
    values, vectors = torch.linalg.eigh(root.T @ curvature @ root)
    values = values.clamp_min(0)
    residuals = (loo - torch.eye(len(loo), dtype=torch.float64, device=loo.device)) @ objective.basis
    weight = residuals @ root @ vectors
    certainty = 0.5 * log_excess(-values / (1 + values)).sum()
    return 0.5 * (weight / (1 + values)).square().sum(dim=1) + certainty
