"""`score`, the library's front door: from features and labels to LSI."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.config import LooMethod, ScoreSettings, Structure
from lsi.errors import UsageError
from lsi.laplace.design_matrix import Design
from lsi.laplace.likelihood import Likelihood, Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores.evaluate import LeaveOneOut, evaluate, posterior_for
from lsi.laplace.scores.inputs import as_design_and_labels, as_design_and_targets
from lsi.laplace.scores.record import Scores
from lsi.laplace.scores.regression import RegressionScores, score_ridge
from lsi.laplace.scores.structures import Size, resolve

# n times the weight decay 1e-4, and what 1,000 epochs of lr 0.004 with momentum 0.9 leave of the start: (1 − 0.9)/4
PAPER_RIDGE = 1e-4 + 1 / 40
DEFAULTS = ScoreSettings()


@dataclass(frozen=True)
class Method:
    """How to score, as in `score`; the defaults are those of `lsi.config.ScoreSettings`."""

    prior_precision: float | str = DEFAULTS.prior_precision
    structure: str = DEFAULTS.structure
    loo: LeaveOneOut = field(default_factory=lambda: LeaveOneOut(DEFAULTS.loo))
    preset: str = DEFAULTS.preset

    def __post_init__(self) -> None:
        _positive("prior_precision", self.prior_precision)
        if self.structure not in ("auto", *get_args(Structure)):
            raise UsageError(f"Expected structure full, kron, diag or auto, got {self.structure!r}.")
        if self.preset not in ("none", "paper"):
            raise UsageError(f"Expected preset none or paper, got {self.preset!r}.")
        if self.preset == "paper" and (self.prior_precision != "auto" or self.structure not in ("auto", "diag")):
            raise UsageError("preset=paper sets structure and prior_precision itself: leave both at auto.")


@overload
def score(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    likelihood: Literal["classification"] = ...,
    prior_precision: float | str = ...,
    structure: str = ...,
    loo: LooMethod | LeaveOneOut = ...,
    preset: str = ...,
    device: str | torch.device = ...,
    seed: int = ...,
) -> Scores: ...


@overload
def score(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    likelihood: Literal["regression"],
    prior_precision: float | str = ...,
    noise_variance: float | str = ...,
    device: str | torch.device = ...,
    seed: int = ...,
) -> RegressionScores: ...


def score(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    likelihood: str = "classification",
    prior_precision: float | str = DEFAULTS.prior_precision,
    noise_variance: float | str = "auto",
    structure: str = DEFAULTS.structure,
    loo: str | LeaveOneOut = DEFAULTS.loo,
    preset: str = DEFAULTS.preset,
    device: str | torch.device = "auto",
    seed: int = 0,
) -> Scores | RegressionScores:
    """Return the Laplace Sample Information of every sample, KL(N(θ̂, P⁻¹) ‖ N(θ̂₋ᵢ, P₋ᵢ⁻¹)) in nats.

    Source: Kaiser et al., Laplace Sample Information, ICLR 2025, arXiv 2505.15303; leave-one-out in closed form.

    Args:
        features: (n, d) floats, used as they are (no scaling; a bias column is appended). float32 stays float32,
            anything else is computed in float64.
        labels: (n,) integers, texts or bools; the k ≥ 2 distinct values are the classes (`Scores.classes`). For
            regression: targets, (n,) or (n, m) floats, used as they are.
        likelihood: "classification" (softmax), or "regression" (Gaussian), where every step is exact and structure,
            loo and preset have no effect.
        prior_precision: λ > 0 on the summed loss, or "auto": the one with the best leave-one-out likelihood.
        noise_variance: σ² of the targets of a regression, or "auto": that with the best leave-one-out likelihood.
        structure: of the posterior: full, kron, diag, or "auto": full up to (k − 1)(d + 1) = 12,000 weights where it
            fits into the memory that is free and takes at most 10¹⁴ flops, else kron.
        loo: "newton_step", "refit", or a `LeaveOneOut` for more.
        preset: "paper": diag with prior precision 1 on a probe with the ridge strength λ = n(1e-4 + 1/40) that the
            paper's training (full-batch Nesterov SGD, 1,000 epochs) amounts to; prior_precision and structure stay at
            "auto" then.
        device: "cpu", "cuda", a `torch.device`, or "auto": CUDA where there is one.
        seed: of the subsample and, above 2,500 weights, of the folds on which λ is chosen: with the order of the
            samples it decides which sample is in which fold, so that another order may give a neighbouring λ.

    Raises:
        DataError: features or labels do not fit.
        UsageError: a setting is out of range.
        ConvergenceError: the probe or a refit did not converge.

    Example:
        >>> import numpy as np, lsi
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(200) % 2
        >>> x = rng.normal(size=(200, 5)) + 2.0 * y[:, None]
        >>> y[0] = 1  # a wrong label
        >>> int(lsi.score(x, y).lsi.argmax())
        0
    """
    if likelihood not in ("classification", "regression"):
        raise UsageError(f"Expected likelihood classification or regression, got {likelihood!r}.")
    method = Method(prior_precision, structure, loo if isinstance(loo, LeaveOneOut) else LeaveOneOut(loo), preset)
    if likelihood == "regression":
        inputs = as_design_and_targets(features, labels, device)
        prior, noise = _positive("prior_precision", prior_precision), _positive("noise_variance", noise_variance)
        result = score_ridge(inputs.design.values, inputs.targets, prior, noise, seed)
        return replace(result.scores, index=inputs.index)
    inputs = as_design_and_labels(features, labels, device)
    scores = compute(Softmax(len(inputs.classes)), inputs.design, inputs.targets, method, seed).scores
    return replace(scores, classes=inputs.classes, index=inputs.index)


@dataclass(frozen=True)
class Result:
    """The scores, the fitted probe they belong to, and the posterior that its leave-one-out steps came from."""

    scores: Scores
    probe: Probe
    posterior: Full | Kron


def compute(likelihood: Likelihood, design: Design, targets: Tensor, method: Method, seed: int = 0) -> Result:
    """Return scores and probe for a design matrix and targets that have been checked.

    Args:
        likelihood: of the targets.
        design: Φ (n, D), bias column included.
        targets: (n,) class indices, or what else the likelihood takes.
        method: how to score.
        seed: of the subsample and the folds that λ is chosen on.

    Raises:
        UsageError: a setting is out of range.
    """
    choice, prior = None, method.prior_precision
    if method.preset == "paper":
        probe = fit(Objective(likelihood, design, targets, len(design) * PAPER_RIDGE))
        posterior = posterior_for(probe, ("diag",))
        scores = evaluate(probe, ("diag",), method.loo, diag_prior_precision=1.0, posterior=posterior)[0]
        return Result(scores, probe, posterior)
    structures = (resolve(method.structure, Size(*design.shape, likelihood.n_coordinates)),)
    if prior == "auto":
        choice = choose(likelihood, design, targets, seed=seed)
        prior = choice.prior_precision
    probe = fit(Objective(likelihood, design, targets, float(prior)))
    posterior = posterior_for(probe, structures)
    scores = evaluate(probe, structures, method.loo, posterior=posterior)[0]
    return Result(replace(scores, prior_choice=choice), probe, posterior)


def _positive(name: str, value: object) -> float | None:
    """Return a finite number above 0, or None for "auto"."""
    if isinstance(value, str) and value == "auto":
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.integer | np.floating)
        or not 0 < value < math.inf
    ):
        raise UsageError(f"Expected {name} > 0 and finite, or 'auto', got {value!r}.")
    return float(value)
