"""Which training samples support or contradict a label, and the LSI of each other label.

For sample i and the contrast e = e_given − e_other of two logits, v = P₋ᵢ⁻¹(e ⊗ φᵢ) is how the contrast responds to the
weights of the probe that has not seen i. Removing j moves it by (Vφⱼ)·aⱼ, with aⱼ = rⱼ + Λⱼ·shiftⱼ, the dual residual
of j's leave-one-out step. On small problems, where one sample matters most, all of it is taken from a refit without i.
On large ones θ₋ᵢ is one Newton step away, and stored leave-one-out probabilities give the shifts without a factor of P.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.config import ScoreSettings
from lsi.errors import ConvergenceError, UsageError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.design_matrix import Shard
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective, Point
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.posterior.terms import log_excess
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, Method, as_design_and_labels, as_position, compute
from lsi.probabilities import Probabilities

DEFAULTS = ScoreSettings()
TOLERANCE = 1e-8
MAX_STEPS = 500
REFIT_FLOPS = 2e9
SOLVE_FLOPS = 2e12  # beyond, the Kronecker form stands for P₋ᵢ
_SOLVES = 30  # products with the Hessian that an explanation takes
_EXACT_BLOCK = 16
_ROWS = 4096


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
    device: str | torch.device = "auto",
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
    design, y, k = inputs.design, inputs.targets, len(inputs.classes)
    likelihood, position = Softmax(k), as_position(sample, len(y))
    if position is None:
        raise UsageError(f"Expected a sample 0 … {len(y) - 1}, got {sample!r}.")
    other = None if other_label is None else as_position(other_label, k)
    if other_label is not None and other in (None, int(y[position])):
        raise UsageError(f"Expected another label than {int(y[position])} in 0 … {k - 1}, got {other_label!r}.")
    result = compute(likelihood, design, y, Method(prior_precision, loo=LeaveOneOut(certify=0)), seed)
    probe, loo = result.probe, result.scores.probabilities
    kron = result.posterior if isinstance(result.posterior, Kron) else None
    explanation = explain_label(probe.objective, probe.weights, loo, position, other, kron)
    return replace(explanation, classes=inputs.classes)


def explain_label(
    objective: Objective,
    weights: Float[Tensor, "m d"],
    loo: "Probabilities | Float[np.ndarray, 'n k']",
    sample: int,
    other_label: int | None = None,
    posterior: "Float[Tensor, 'p p'] | Kron | None" = None,
) -> Explanation:
    """Explain one sample of a classification.

    Args:
        objective: the probe's objective.
        weights: V at the MAP.
        loo: leave-one-out probabilities of all samples.
        sample: which sample.
        other_label: what to compare the given label with; by default the likeliest other one.
        posterior: P⁻¹ at the MAP, p = mD, or its Kronecker form, where one is at hand: large problems then take a few
            products instead of some thirty, to the same tolerance, and the largest take the form itself for P₋ᵢ.

    Raises:
        ConvergenceError: the probe without the sample could not be computed.
    """
    loo, given = Probabilities.of(loo), int(objective.targets[sample])
    own = torch.from_numpy(np.array(loo.rows([sample])[0], dtype=np.float64)).to(weights.device)
    if other_label is None:
        candidates = own.clone()
        candidates[given] = -1
        other_label = int(candidates.argmax())
    n, (m, d) = len(loo), objective.shape
    contrast = own.new_zeros(len(own))
    contrast[given], contrast[other_label] = 1.0, -1.0
    contrast = objective.likelihood.contract(contrast)
    if _SOLVES * 4 * n * m * d > SOLVE_FLOPS:
        kron = posterior if isinstance(posterior, Kron) else Kron.at(objective, weights.double())
        return _by_form(objective, kron, loo, Pair(sample, given, other_label), own)
    if n * (m * d) ** 2 <= REFIT_FLOPS:
        without = _refitted(objective, weights.double(), sample, contrast)
    else:
        covariance = posterior if isinstance(posterior, Tensor) else None
        loo_means = torch.from_numpy(loo.dense()).to(weights.device)
        without = _one_step(_Solver(objective, sample, covariance), weights.double(), loo_means, contrast)
    support = objective.design.gather_shards(_along, objective.targets, without.response)
    support = -(support * without.dual_residuals).sum(dim=1)
    support[sample] = 0
    costs = _label_lsi(objective, without.leverage, own)
    return Explanation(sample, given, other_label, support.cpu().numpy(), costs.cpu().numpy(), np.arange(len(costs)))


@dataclass(frozen=True)
class Pair:
    """A sample, the label it has and the label that it is compared with."""

    sample: int
    given: int
    other: int


def _by_form(objective: Objective, kron: Kron, loo: Probabilities, pair: Pair, own: Float[Tensor, " k"]) -> Explanation:
    """Explain by the Kronecker form of P₋ᵢ, with dual residuals p₋ⱼ − onehot(yⱼ), exact to first order.

    Only samples that are given or predicted as one of the two classes have a support: the response of the contrast is
    small in all other logits.
    """
    given = objective.targets.cpu().numpy()
    labels = [pair.given, pair.other]
    asked = np.isin(given, labels) | np.isin(loo.likeliest(1)[:, 0], labels)
    asked[pair.sample] = False
    rows = np.flatnonzero(asked)
    phi = objective.design.take(torch.tensor([pair.sample], device=own.device)).double()
    difference = kron.logit_basis[pair.given] - kron.logit_basis[pair.other]
    rotated = phi[0] @ kron.form.feature_basis
    coefficients = difference[:, None] * rotated / kron.form.values  # P₋ᵢ⁻¹(e ⊗ φᵢ) in both eigenbases
    support = np.zeros(len(given))
    for start in range(0, len(rows), _ROWS):
        chosen = rows[start : start + _ROWS]
        index = torch.from_numpy(chosen).to(own.device)
        moved = (objective.design.take(index).double() @ kron.form.feature_basis) @ coefficients.T @ kron.logit_basis.T
        residual = torch.from_numpy(np.array(loo.rows(chosen), dtype=np.float64)).to(own.device)
        residual[torch.arange(len(chosen)), objective.targets[index]] -= 1
        support[chosen] = -(moved * residual).sum(dim=1).cpu().numpy()
    costs = _label_lsi(objective, kron.leverages(phi)[0], own)
    return Explanation(pair.sample, pair.given, pair.other, support, costs.cpu().numpy(), np.arange(len(costs)))


def _along(shard: Shard, response: Float[Tensor, "m d"]) -> Float[Tensor, "b m"]:
    return shard.features.to(response) @ response.T


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
    phi = objective.design.take(torch.tensor([sample], device=weights.device))
    dual_residuals = weights.new_zeros(len(kept), len(contrast))
    dual_residuals[kept] = torch.cat([removal.closed.dual_residual for removal in leave_one_out(probe, posterior)])
    response = posterior.solve(contrast[None, :, None] * phi.double())[0]
    return _WithoutSample(response, dual_residuals, posterior.leverages(phi)[0].double())


def _one_step(solver: "_Solver", weights: Tensor, loo_means: Tensor, contrast: Tensor) -> _WithoutSample:
    """Take one Newton step to the probe without the sample, and everything else from products with its Hessian."""
    objective, sample = solver.objective, solver.sample
    likelihood = objective.likelihood
    logits = objective.logits(weights)
    at_map = likelihood.predict(logits[[sample]])
    residual = likelihood.contract(likelihood.residuals(at_map, objective.targets[[sample]]))
    without = objective.at(weights + solver.solve(objective.at(weights), residual)[0])
    dual_residuals = _dual_residuals(objective, logits, objective.means(without.weights), loo_means)
    phi = solver.phi.double()
    m = objective.shape[0]
    if m <= _EXACT_BLOCK:
        columns = solver.solve(without, torch.eye(m, dtype=torch.float64, device=phi.device))
        return _WithoutSample(torch.tensordot(contrast, columns, dims=1), dual_residuals, columns @ phi)
    # beyond 16 outputs the leverage block comes from the Kronecker form instead of m solves
    leverage = Kron.at(objective, without.weights).leverages(phi[None])[0]
    return _WithoutSample(solver.solve(without, contrast[None])[0], dual_residuals, leverage)


@dataclass(frozen=True)
class _Solver:
    """Solves with P₋ᵢ of one sample i: by conjugate gradients, preconditioned by P⁻¹ where that is at hand."""

    objective: Objective
    sample: int
    covariance: Float[Tensor, "p p"] | None

    @cached_property
    def phi(self) -> Float[Tensor, " d"]:
        """φᵢ."""
        return self.objective.design.take(torch.tensor([self.sample], device=self.objective.design.device))[0]

    def solve(self, point: Point, outputs: Float[Tensor, "r m"]) -> Float[Tensor, "r m d"]:
        """Return P₋ᵢ⁻¹(u ⊗ φᵢ) for each row u of `outputs`, P₋ᵢ at a point."""
        objective, likelihood = self.objective, self.objective.likelihood
        phi = self.phi.double()
        means = likelihood.predict(phi[None] @ objective.logit_weights(point.weights).T)

        def product(x: Tensor) -> Tensor:
            bent = likelihood.curvature_product(means.expand(len(x), -1), likelihood.expand(x @ phi))
            return objective.hessian_product(point, x) - likelihood.contract(bent)[:, :, None] * phi

        right = outputs[:, :, None] * phi
        tolerance = TOLERANCE if objective.design.dtype == torch.float64 else 1e-4
        precondition = objective.kronecker(point).solve if self.covariance is None else self._by_covariance
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
    likelihood = objective.likelihood
    shift = loo_means.double().clamp_min(1e-300).log() - logits
    residuals = likelihood.residuals(means, objective.targets)
    return likelihood.contract(residuals + likelihood.curvature_product(means, shift))


def _label_lsi(objective: Objective, leverage: Float[Tensor, "m m"], loo: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Return the LSI of adding the sample under each label, by one Newton step from the probe without it."""
    values, vectors = torch.linalg.eigh((leverage + leverage.T) / 2)
    root = vectors * values.clamp_min(0).sqrt()
    loo = loo.double()
    curvature = objective.likelihood.curvatures(loo[None])[0]
    values, vectors = torch.linalg.eigh(root.T @ curvature @ root)
    values = values.clamp_min(0)
    residuals = objective.likelihood.contract(loo - torch.eye(len(loo), dtype=torch.float64, device=loo.device))
    weight = residuals @ root @ vectors
    covariance_term = 0.5 * log_excess(-values / (1 + values)).sum()
    return 0.5 * (weight / (1 + values)).square().sum(dim=1) + covariance_term
