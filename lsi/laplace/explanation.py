"""Who speaks for and against a label, and what each other label would cost.

For sample i and the contrast e = e_given − e_other of two logits, v = P₋ᵢ⁻¹(e ⊗ φᵢ) is how the contrast responds to the
weights of the probe that has not seen i. Removing j moves it by (Vφⱼ)·aⱼ, with aⱼ = rⱼ + Λⱼ·shiftⱼ, the push of j's
leave-one-out step. On small problems, where one sample matters most, all of it is taken from a refit without i. On
large ones θ₋ᵢ is one Newton step away, and stored leave-one-out probabilities give the shifts without a factor of P.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.errors import UsageError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import remove
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.posterior.terms import log_excess
from lsi.laplace.probe import fit
from lsi.laplace.scores import Method, check, compute

TOLERANCE = 1e-8
MAX_STEPS = 500
REFIT_FLOPS = 2e9
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
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    sample: int,
    *,
    other_label: int | None = None,
    prior_precision: float | str = 1.0,
    device: str = "auto",
    seed: int = 0,
) -> Explanation:
    """Say who speaks for and against a sample's label, and what each other label would cost.

    Args:
        features: (n, d) floats, as in `score`.
        labels: (n,) integers 0 … k − 1.
        sample: its position.
        other_label: what to compare the given label with; by default the likeliest other one.
        prior_precision: λ > 0 on the summed loss, or "auto".
        device: "cpu", "cuda", or "auto".
        seed: of the subsample on which λ is chosen.

    Raises:
        DataError: features or labels do not fit.
        UsageError: no sample or label has that number.

    Example:
        >>> import numpy as np, lsi
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(200) % 2
        >>> x = rng.normal(size=(200, 5)) + 2.0 * y[:, None]
        >>> y[0] = 1  # a wrong label
        >>> lsi.explain(x, y, 0).suggested_label
        0
    """
    design, y = check(features, labels, device)
    likelihood = Softmax(max(2, int(y.max()) + 1))
    if not 0 <= sample < len(y):
        raise UsageError(f"Expected a sample 0 … {len(y) - 1}, got {sample}.")
    if other_label is not None and not (0 <= other_label < likelihood.n_classes and other_label != int(y[sample])):
        raise UsageError(
            f"Expected another label than {int(y[sample])} in 0 … {likelihood.n_classes - 1}, got {other_label}."
        )
    found = compute(likelihood, design, y, Method(prior_precision), seed)
    loo = torch.from_numpy(found.scores.loo_probabilities).to(design.device)
    return explain_label(found.probe.objective, found.probe.weights, loo, sample, other_label)


def explain_label(
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
    n, p = len(loo_means), math.prod(objective.shape)
    contrast = objective.basis[given] - objective.basis[other_label]
    if n * p**2 <= REFIT_FLOPS:
        others = _refitted(objective, weights.double(), sample, contrast)
    else:
        others = _one_step(objective, weights.double(), loo_means, sample, contrast)
    support = -((objective.design.values.double() @ others.response.T) * others.pushes).sum(dim=1)
    support[sample] = 0
    costs = _label_lsi(objective, others.leverage, loo)
    return Explanation(sample, given, other_label, support.cpu().numpy(), costs.cpu().numpy())


@dataclass(frozen=True)
class _Others:
    """The probe that has not seen the sample: how the contrast responds, how hard each sample pushes, S₋ᵢ."""

    response: Float[Tensor, "m d"]
    pushes: Float[Tensor, "n m"]
    leverage: Float[Tensor, "m m"]


def _refitted(objective: Objective, weights: Tensor, sample: int, contrast: Tensor) -> _Others:
    """Refit without the sample and factor the posterior of the others."""
    kept = torch.arange(len(objective.design), device=weights.device) != sample
    probe = fit(objective.rows(kept), weights)
    posterior = Full.fit(probe)
    phi = objective.design.values[[sample]]
    pushes = weights.new_zeros(len(kept), len(contrast))
    pushes[kept] = torch.cat([removal.closed.push for removal in remove(probe, posterior)])
    response = posterior.solve(contrast[None, :, None] * phi.double())[0]
    return _Others(response, pushes, posterior.leverages(phi)[0].double())


def _one_step(objective: Objective, weights: Tensor, loo_means: Tensor, sample: int, contrast: Tensor) -> _Others:
    """Take one Newton step to the probe without the sample, and everything else from products with its Hessian."""
    logits = objective.logits(weights)
    at_map = objective.likelihood.predict(logits)
    residual = objective.likelihood.residuals(at_map[[sample]], objective.targets[[sample]])
    without = weights + solve_without(objective, at_map, sample, residual)[0]
    means = objective.likelihood.predict(objective.logits(without))
    response = solve_without(objective, means, sample, contrast[None])[0]
    return _Others(response, _pushes(objective, logits, means, loo_means), _leverage(objective, means, sample))


def solve_without(
    objective: Objective, means: Float[Tensor, "n k"], sample: int, outputs: Float[Tensor, "r m"]
) -> Float[Tensor, "r m d"]:
    """Return P₋ᵢ⁻¹(u ⊗ φᵢ) for each row u of `outputs`, P₋ᵢ at the predicted `means`, by conjugate gradients."""
    phi = objective.design.values[sample].double()
    curvature = objective.likelihood.curvatures(means[sample : sample + 1])[0]
    cast = means.to(objective.design.values)
    form = objective.kronecker(means)

    def product(x: Tensor) -> Tensor:
        own = (x @ phi) @ curvature
        return objective.hessian_product(cast, x) - own[:, :, None] * phi

    right = outputs[:, :, None] * phi
    tolerance = TOLERANCE if objective.design.dtype == torch.float64 else 1e-5
    return conjugate_gradients(product, form.solve, right, tolerance=tolerance, max_iterations=MAX_STEPS).value


def _pushes(objective: Objective, logits: Tensor, means: Tensor, loo_means: Tensor) -> Tensor:
    """Return a = r + Λ·shift of every sample, r and Λ at `means`, those of the probe without the explained sample.

    The shift of each sample's own leave-one-out step is read off its stored leave-one-out probabilities and `logits`.
    """
    shift = (loo_means.double().clamp_min(1e-300).log() - logits) @ objective.basis
    residuals = objective.likelihood.residuals(means, objective.targets)
    return residuals + objective.likelihood.curvature_product(means, shift)


def _leverage(objective: Objective, means: Tensor, sample: int) -> Float[Tensor, "m m"]:
    """Return S₋ᵢ = (I⊗φᵢ)ᵀ P₋ᵢ⁻¹ (I⊗φᵢ); beyond 16 outputs by the Kronecker form instead of m solves."""
    m = objective.shape[0]
    phi = objective.design.values[sample].double()
    identity = torch.eye(m, dtype=torch.float64, device=means.device)
    if m <= _EXACT_BLOCK:
        return solve_without(objective, means, sample, identity) @ phi
    return objective.kronecker(means).solve(identity[:, :, None] * phi) @ phi


def _label_lsi(objective: Objective, leverage: Float[Tensor, "m m"], loo: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return the LSI of adding the sample under each label, by one Newton step from the probe without it."""
    root = torch.linalg.cholesky((leverage + leverage.T) / 2)
    loo = loo.double()
    curvature = objective.likelihood.curvatures(loo[None])[0]
    values, vectors = torch.linalg.eigh(root.T @ curvature @ root)
    values = values.clamp_min(0)
    residuals = (loo - torch.eye(len(loo), dtype=torch.float64, device=loo.device)) @ objective.basis
    weight = residuals @ root @ vectors
    certainty = 0.5 * log_excess(-values / (1 + values)).sum()
    return 0.5 * (weight / (1 + values)).square().sum(dim=1) + certainty
