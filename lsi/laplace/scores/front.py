"""`score`, the library's front door: from features and labels to LSI."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.config import LooMethod
from lsi.devices import choose_device
from lsi.errors import DataError, UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Likelihood, Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores.evaluate import LeaveOneOut, evaluate, resolve
from lsi.laplace.scores.record import Scores
from lsi.laplace.scores.regression import RegressionScores, score_ridge

# n times the weight decay 1e-4, and what 1,000 epochs of lr 0.004 with momentum 0.9 leave of the start: (1 − 0.9)/4
PAPER_RIDGE = 1e-4 + 1 / 40


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
    device: str = ...,
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
    device: str = ...,
    seed: int = ...,
) -> RegressionScores: ...


def score(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    likelihood: str = "classification",
    prior_precision: float | str = 1.0,
    noise_variance: float | str = "auto",
    structure: str = "full",
    loo: LooMethod | LeaveOneOut = "newton_step",
    preset: str = "none",
    device: str = "auto",
    seed: int = 0,
) -> Scores | RegressionScores:
    """Return the Laplace Sample Information of every sample, KL(N(θ̂, P⁻¹) ‖ N(θ̂₋ᵢ, P₋ᵢ⁻¹)) in nats.

    Source: Kaiser et al., Laplace Sample Information, ICLR 2025, arXiv 2505.15303; leave-one-out in closed form.

    Args:
        features: (n, d) floats, used as they are (no scaling; a bias column is appended). float32 stays float32,
            anything else is computed in float64.
        labels: (n,) integers 0 … k − 1; k is the largest label + 1, at least 2. For regression: targets, (n,) or (n, m)
            floats, used as they are.
        likelihood: "classification" (softmax), or "regression" (Gaussian), where every step is exact and structure,
            loo and preset say nothing.
        prior_precision: λ > 0 on the summed loss, or "auto": the one with the best leave-one-out likelihood.
        noise_variance: σ² of the targets of a regression, or "auto": that with the best leave-one-out likelihood.
        structure: of the posterior: full, kron, diag, or "auto": full up to p = 12,000 parameters, then kron.
        loo: "newton_step", "refit", or a `LeaveOneOut` for more.
        preset: "paper": diag with prior precision 1 on a probe with the ridge strength λ = n(1e-4 + 1/40) that the
            paper's training (full-batch Nesterov SGD, 1,000 epochs) amounts to; overrides the two settings above.
        device: "cpu", "cuda", or "auto": CUDA where there is one.
        seed: of the subsample on which λ is chosen.

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
    if likelihood == "regression":
        design, targets = check_targets(features, labels, device)
        return score_ridge(design.values, targets, _number(prior_precision), _number(noise_variance), seed)[0]
    if likelihood != "classification":
        raise UsageError(f"Expected likelihood classification or regression, got {likelihood!r}.")
    design, y = check(features, labels, device)
    softmax = Softmax(max(2, int(y.max()) + 1))
    method = Method(prior_precision, structure, loo if isinstance(loo, LeaveOneOut) else LeaveOneOut(loo), preset)
    return compute(softmax, design, y, method, seed).scores


@dataclass(frozen=True)
class Method:
    """How to score, as in `score`."""

    prior_precision: float | str = "auto"
    structure: str = "auto"
    loo: LeaveOneOut = field(default_factory=LeaveOneOut)
    preset: str = "none"


@dataclass(frozen=True)
class Result:
    """The scores, and the fitted probe they belong to."""

    scores: Scores
    probe: Probe


def compute(likelihood: Likelihood, design: DesignMatrix, targets: Tensor, method: Method, seed: int = 0) -> Result:
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
    if method.preset not in ("none", "paper"):
        raise UsageError(f"Expected preset none or paper, got {method.preset!r}.")
    choice, prior = None, method.prior_precision
    if method.preset == "paper":
        probe = fit(Objective(likelihood, design, targets, len(design) * PAPER_RIDGE))
        scores = evaluate(probe, ("diag",), method.loo, diag_prior_precision=1.0)[0]
        return Result(scores, probe)
    if prior == "auto":
        choice = choose(likelihood, design, targets, seed=seed)
        prior = choice.prior_precision
    if isinstance(prior, str) or not 0 < prior < math.inf:
        raise UsageError(f"Expected prior_precision > 0 or 'auto', got {prior!r}.")
    probe = fit(Objective(likelihood, design, targets, float(prior)))
    scores = evaluate(probe, (resolve(method.structure, probe),), method.loo)[0]
    return Result(replace(scores, prior_choice=choice), probe)


def check(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, device: str) -> tuple[DesignMatrix, Tensor]:
    """Return Φ with its bias column and the labels, on the device."""
    x = _check_features(features)
    y = torch.as_tensor(labels if isinstance(labels, Tensor) else np.asarray(labels))
    if y.shape != x.shape[:1] or y.is_floating_point() or y.dtype == torch.bool:
        raise DataError(
            f"Expected integer labels of shape ({len(x)},), one for each row of features, "
            f"got {y.dtype} {tuple(y.shape)}."
        )
    if int(y.min()) < 0:
        raise DataError(f"Expected labels 0 … k − 1, got {int(y.min())}.")
    if len(torch.unique(y)) < 2:
        raise DataError("Expected labels of at least two classes; all labels are the same.")
    where = torch.device(choose_device(device))
    return DesignMatrix(with_bias(x.to(where))), y.long().to(where)


def check_targets(
    features: ArrayLike | Tensor, targets: ArrayLike | Tensor, device: str
) -> tuple[DesignMatrix, Tensor]:
    """Return Φ with its bias column and the targets as (n, m) float64, on the device."""
    x = _check_features(features)
    t = torch.as_tensor(targets if isinstance(targets, Tensor) else np.asarray(targets)).double()
    t = t[:, None] if t.ndim == 1 else t
    if t.ndim != 2 or len(t) != len(x) or t.shape[1] < 1:
        raise DataError(
            f"Expected targets of shape ({len(x)},) or ({len(x)}, m), one for each row of features, "
            f"got {tuple(t.shape)}."
        )
    _check_finite(t, "targets")
    where = torch.device(choose_device(device))
    return DesignMatrix(with_bias(x.to(where))), t.to(where)


def _check_features(features: ArrayLike | Tensor) -> Tensor:
    x = torch.as_tensor(features if isinstance(features, Tensor) else np.asarray(features))
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise DataError(f"Expected features of shape (n, d) with n ≥ 2 and d ≥ 1, got {tuple(x.shape)}.")
    x = x if x.dtype == torch.float32 else x.double()
    _check_finite(x, "features")
    return x


def _check_finite(values: Tensor, what: str) -> None:
    bad = (~torch.isfinite(values)).any(dim=1)
    if bool(bad.any()):
        rows = bad.nonzero()[:5, 0].tolist()
        raise DataError(f"Expected finite {what}; {int(bad.sum())} rows hold NaN or infinity, such as {rows}.")


def _number(value: float | str) -> float | None:
    """Return None for "auto"."""
    if value == "auto":
        return None
    if isinstance(value, str):
        raise UsageError(f"Expected a number or 'auto', got {value!r}.")
    return float(value)
