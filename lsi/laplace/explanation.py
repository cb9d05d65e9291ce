"""Which training samples support or contradict a label, and the LSI of each other label.

For sample i and the contrast e = e_given − e_other of two logits, v = P₋ᵢ⁻¹(e ⊗ φᵢ) is how the contrast responds to the
weights of the probe that has not seen i. Removing j moves it by (Vφⱼ)·aⱼ, with aⱼ = rⱼ + Λⱼ·shiftⱼ, the dual residual
of j's leave-one-out step. On small problems, where one sample matters most, all of it is taken from a refit without i.
On large ones θ₋ᵢ is one Newton step away, and stored leave-one-out probabilities give the shifts without a factor of P.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.config import ScoreSettings
from lsi.errors import ConvergenceError, UsageError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.posterior.terms import log_excess
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, Method, as_design_and_labels, compute

DEFAULTS = ScoreSettings()
TOLERANCE = 1e-8
MAX_STEPS = 500
REFIT_FLOPS = 2e9
_EXACT_BLOCK = 16


@dataclass(frozen=True)
class Explanation:
    """Why a sample's label looks right or wrong.

    Attributes:
        sample: its position.
        given_label: the label it has, as an index 0 … k − 1 into `classes`.
        other_label: the label it is compared with, as an index.
        support: (n,) log-odds of given against other that each training sample adds; positive supports the given
            label, negative contradicts it; 0 for the sample itself.
        label_lsi: (k,) LSI in nats that the sample would have under each label, seen from the probe without it.
        classes: (k,) the labels that the indices stand for.
    """

    sample: int
    given_label: int
    other_label: int
    support: Float[np.ndarray, " n"]
    label_lsi: Float[np.ndarray, " k"]
    classes: Shaped[np.ndarray, " k"]

    @property
    def suggested_label(self) -> int:
        """The label that needs least information, as an index."""
        return int(self.label_lsi.argmin())

    def proponents_and_opponents(self, count: int) -> tuple[Int[np.ndarray, " s"], Int[np.ndarray, " t"]]:
        """Return up to `count` samples that support the given label most, and as many that contradict it most."""
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
    prior_precision: float | str = DEFAULTS.prior_precision,
    device: str = "auto",
    seed: int = 0,
) -> Explanation:
    """Say which samples support or contradict a sample's label, and the LSI of each other label.

    Args:
        features: (n, d) floats, as in `score`.
        labels: (n,) integers, texts or bools, as in `score`.
        sample: its position.
        other_label: what to compare the given label with, as an index into the sorted distinct labels; by default the
            likeliest other one.
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
    inputs = as_design_and_labels(features, labels, device)
    design, y = inputs.design, inputs.targets
    likelihood = Softmax(len(inputs.classes))
    if not 0 <= sample < len(y):
        raise UsageError(f"Expected a sample 0 … {len(y) - 1}, got {sample}.")
    if other_label is not None and not (0 <= other_label < likelihood.n_classes and other_label != int(y[sample])):
        raise UsageError(
            f"Expected another label than {int(y[sample])} in 0 … {likelihood.n_classes - 1}, got {other_label}."
        )
    result = compute(likelihood, design, y, Method(prior_precision, loo=LeaveOneOut(certify=0)), seed)
    loo = torch.from_numpy(result.scores.loo_probabilities).to(design.device)
    explanation = explain_label(result.probe.objective, result.probe.weights, loo, sample, other_label)
    return replace(explanation, classes=inputs.classes)


def explain_label(
    objective: Objective,
    weights: Float[Tensor, "m d"],
    loo_means: Float[Tensor, "n k"],
    sample: int,
    other_label: int | None = None,
    covariance: Float[Tensor, "p p"] | None = None,
) -> Explanation:
    """Explain one sample of a classification.

    Args:
        objective: the probe's objective.
        weights: V at the MAP.
        loo_means: leave-one-out probabilities of all samples.
        sample: which sample.
        other_label: what to compare the given label with; by default the likeliest other one.
        covariance: P⁻¹ at the MAP, p = mD, where it is at hand: large problems then take a few products instead
            of some thirty, to the same tolerance.

    Raises:
        ConvergenceError: the probe without the sample could not be computed.
    """
    given = int(objective.targets[sample])
    loo = loo_means[sample].clone()
    if other_label is None:
        candidates = loo.clone()
        candidates[given] = -1
        other_label = int(candidates.argmax())
    n, p = len(loo_means), math.prod(objective.shape)
    contrast = objective.basis[given] - objective.basis[other_label]
    if n * p**2 <= REFIT_FLOPS:
        without = _refitted(objective, weights.double(), sample, contrast)
    else:
        solver = _Solver(objective, sample, covariance)
        without = _one_step(solver, weights.double(), loo_means, contrast)
    support = -((objective.design.values.double() @ without.response.T) * without.dual_residuals).sum(dim=1)
    support[sample] = 0
    costs = _label_lsi(objective, without.leverage, loo)
    return Explanation(sample, given, other_label, support.cpu().numpy(), costs.cpu().numpy(), np.arange(len(costs)))


@dataclass(frozen=True)
class _WithoutSample:
    """The probe that has not seen the sample: the contrast's response, dual residuals, S₋ᵢ."""

    response: Float[Tensor, "m d"]
    dual_residuals: Float[Tensor, "n m"]
    leverage: Float[Tensor, "m m"]


def _refitted(objective: Objective, weights: Tensor, sample: int, contrast: Tensor) -> _WithoutSample:
    """Refit without the sample and factor the posterior of the others."""
    kept = torch.arange(len(objective.design), device=weights.device) != sample
    probe = fit(objective.rows(kept), weights)
    posterior = Full.fit(probe)
    phi = objective.design.values[[sample]]
    dual_residuals = weights.new_zeros(len(kept), len(contrast))
    dual_residuals[kept] = torch.cat([removal.closed.dual_residual for removal in leave_one_out(probe, posterior)])
    response = posterior.solve(contrast[None, :, None] * phi.double())[0]
    return _WithoutSample(response, dual_residuals, posterior.leverages(phi)[0].double())


def _one_step(solver: "_Solver", weights: Tensor, loo_means: Tensor, contrast: Tensor) -> _WithoutSample:
    """Take one Newton step to the probe without the sample, and everything else from products with its Hessian."""
    objective, sample = solver.objective, solver.sample
    logits = objective.logits(weights)
    at_map = objective.likelihood.predict(logits)
    residual = objective.likelihood.residuals(at_map[[sample]], objective.targets[[sample]])
    without = weights + solver.solve(at_map, residual)[0]
    means = objective.likelihood.predict(objective.logits(without))
    dual_residuals = _dual_residuals(objective, logits, means, loo_means)
    m, phi = objective.shape[0], objective.design.values[sample].double()
    identity = torch.eye(m, dtype=torch.float64, device=means.device)
    if m <= _EXACT_BLOCK:
        columns = solver.solve(means, identity)
        return _WithoutSample(torch.tensordot(contrast, columns, dims=1), dual_residuals, columns @ phi)
    # beyond 16 outputs the leverage block comes from the Kronecker form instead of m solves
    leverage = objective.kronecker(means).solve(identity[:, :, None] * phi) @ phi
    return _WithoutSample(solver.solve(means, contrast[None])[0], dual_residuals, leverage)


@dataclass(frozen=True)
class _Solver:
    """Solves with P₋ᵢ of one sample i: by conjugate gradients, preconditioned by P⁻¹ where that is at hand."""

    objective: Objective
    sample: int
    covariance: Float[Tensor, "p p"] | None

    def solve(self, means: Float[Tensor, "n k"], outputs: Float[Tensor, "r m"]) -> Float[Tensor, "r m d"]:
        """Return P₋ᵢ⁻¹(u ⊗ φᵢ) for each row u of `outputs`, P₋ᵢ at the predicted `means`."""
        objective = self.objective
        phi = objective.design.values[self.sample].double()
        curvature = objective.likelihood.curvatures(means[self.sample : self.sample + 1])[0]
        cast = means.to(objective.design.values)

        def product(x: Tensor) -> Tensor:
            of_sample = (x @ phi) @ curvature
            return objective.hessian_product(cast, x) - of_sample[:, :, None] * phi

        right = outputs[:, :, None] * phi
        tolerance = TOLERANCE if objective.design.dtype == torch.float64 else 1e-4
        precondition = objective.kronecker(means).solve if self.covariance is None else self._by_covariance
        solution = conjugate_gradients(product, precondition, right, tolerance=tolerance, max_iterations=MAX_STEPS)
        if not solution.converged:
            raise ConvergenceError(
                f"The explanation of sample {self.sample} could not be computed: {solution.outcome.value}. "
                "Compute in float64, or raise the prior precision."
            )
        return solution.value

    def _by_covariance(self, x: Float[Tensor, "r m d"]) -> Float[Tensor, "r m d"]:
        assert self.covariance is not None
        return (x.flatten(1).to(self.covariance) @ self.covariance).reshape(x.shape).to(x)


def _dual_residuals(objective: Objective, logits: Tensor, means: Tensor, loo_means: Tensor) -> Tensor:
    """Return a = r + Λ·shift of every sample, r and Λ at `means`, those of the probe without the explained sample.

    The shift of each sample's own leave-one-out step is read off its stored leave-one-out probabilities and `logits`.
    """
    shift = (loo_means.double().clamp_min(1e-300).log() - logits) @ objective.basis
    residuals = objective.likelihood.residuals(means, objective.targets)
    return residuals + objective.likelihood.curvature_product(means, shift)


def _label_lsi(objective: Objective, leverage: Float[Tensor, "m m"], loo: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return the LSI of adding the sample under each label, by one Newton step from the probe without it."""
    root = torch.linalg.cholesky((leverage + leverage.T) / 2)
    loo = loo.double()
    curvature = objective.likelihood.curvatures(loo[None])[0]
    values, vectors = torch.linalg.eigh(root.T @ curvature @ root)
    values = values.clamp_min(0)
    residuals = (loo - torch.eye(len(loo), dtype=torch.float64, device=loo.device)) @ objective.basis
    weight = residuals @ root @ vectors
    covariance_term = 0.5 * log_excess(-values / (1 + values)).sum()
    return 0.5 * (weight / (1 + values)).square().sum(dim=1) + covariance_term
