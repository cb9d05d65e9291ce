"""`score`, the library's front door: from features and labels to LSI."""

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal, get_args, overload

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.config import LooMethod, ScoreSettings, Structure
from lsi.devices import choose_device
from lsi.errors import DataError, UsageError
from lsi.laplace.design_matrix import Design, DesignMatrix, with_bias
from lsi.laplace.likelihood import Likelihood, Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores.evaluate import LeaveOneOut, evaluate, posterior_for
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
    prior_precision: float | str = DEFAULTS.prior_precision,
    noise_variance: float | str = "auto",
    structure: str = DEFAULTS.structure,
    loo: str | LeaveOneOut = DEFAULTS.loo,
    preset: str = DEFAULTS.preset,
    device: str = "auto",
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
        structure: of the posterior: full, kron, diag, or "auto": full up to p = 12,000 parameters, then kron.
        loo: "newton_step", "refit", or a `LeaveOneOut` for more.
        preset: "paper": diag with prior precision 1 on a probe with the ridge strength λ = n(1e-4 + 1/40) that the
            paper's training (full-batch Nesterov SGD, 1,000 epochs) amounts to; prior_precision and structure stay at
            "auto" then.
        device: "cpu", "cuda", or "auto": CUDA where there is one.
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
        return score_ridge(inputs.design.values, inputs.targets, prior, noise, seed).scores
    inputs = as_design_and_labels(features, labels, device)
    scores = compute(Softmax(len(inputs.classes)), inputs.design, inputs.targets, method, seed).scores
    return replace(scores, classes=inputs.classes)


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


@dataclass(frozen=True)
class Inputs:
    """Features and labels or targets that have been checked.

    Attributes:
        design: Φ (n, D), bias column included.
        targets: (n,) indices into `classes`, or (n, m) numbers.
        classes: (k,) the distinct labels in sorted order; (0,) where there are none.
    """

    design: DesignMatrix
    targets: Tensor
    classes: Shaped[np.ndarray, " k"]


def as_design_and_labels(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, device: str) -> Inputs:
    """Return features as a design matrix and labels as class indices, on the device.

    Args:
        features: (n, d) floats.
        labels: (n,) integers, texts or bools.
        device: cpu, cuda, cuda:N or auto.

    Raises:
        DataError: features or labels do not fit.
        UsageError: there is no such device.
    """
    x, where = _check_features(features), as_device(device)
    classes, index = _classes_and_indices(labels, len(x))
    return Inputs(DesignMatrix(with_bias(x.to(where))), torch.from_numpy(index).to(where), classes)


def as_design_and_targets(features: ArrayLike | Tensor, targets: ArrayLike | Tensor, device: str) -> Inputs:
    """Return features as a design matrix and targets as (n, m) float64, on the device.

    Args:
        features: (n, d) floats.
        targets: (n,) or (n, m) numbers.
        device: cpu, cuda, cuda:N or auto.

    Raises:
        DataError: features or targets do not fit.
        UsageError: there is no such device.
    """
    x, where = _check_features(features), as_device(device)
    t = _as_tensor(targets, "targets").double()
    t = t[:, None] if t.ndim == 1 else t
    if t.ndim != 2 or len(t) != len(x) or t.shape[1] < 1:
        raise DataError(
            f"Expected targets of shape ({len(x)},) or ({len(x)}, m), one for each row of features, "
            f"got {tuple(t.shape)}."
        )
    _check_finite(t, "targets")
    return Inputs(DesignMatrix(with_bias(x.to(where))), t.to(where), np.empty(0, dtype=np.int64))


def as_device(device: str) -> torch.device:
    """Return the device of that name, CUDA for "auto" where there is one.

    Raises:
        UsageError: there is no such device here.
    """
    name = choose_device(device)
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise UsageError(f"Expected device auto, cpu, cuda or cuda:N, got {device!r}.")
    where = torch.device(name)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"device={device!r} is not available: PyTorch sees {torch.cuda.device_count()} CUDA devices.")
    return where


def _classes_and_indices(labels: ArrayLike | Tensor, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct labels in sorted order, and each label's index among them."""
    labels = labels if isinstance(labels, Tensor) else _unmasked(labels, "labels")
    try:
        values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    except (TypeError, ValueError):
        values = np.empty(0, dtype=object)
    if values.shape != (n,):
        raise DataError(
            f"Expected labels of shape ({n},), one for each row of features, got {values.dtype} {values.shape}."
        )
    kinds = {values.dtype.kind.replace("u", "i")}
    if values.dtype.kind == "O" or isinstance(
        labels, list | tuple
    ):  # NumPy makes one kind of several: nan becomes "nan"
        kinds = {_kind(label) for label in (labels if isinstance(labels, list | tuple) else values)}
    if len(kinds) > 1 or not kinds <= set("biUS"):
        raise DataError(
            "Expected labels that are integers, bools or texts, all of one kind and none missing, got "
            f"{values.dtype if len(kinds) == 1 else 'several kinds'}."
        )
    values = values.astype(bool) if kinds == {"b"} else values
    classes, index = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        raise DataError("Expected labels of at least two classes; all labels are the same.")
    return classes, index.astype(np.int64)


def _kind(label: object) -> str:
    """Return NumPy's letter for the kind of a label, "?" for what can be none."""
    kinds: tuple[tuple[str, tuple[type, ...]], ...] = (
        ("b", (bool, np.bool_)),
        ("i", (int, np.integer)),
        ("U", (str,)),
        ("S", (bytes,)),
    )
    return next((letter for letter, types in kinds if isinstance(label, types)), "?")


def _unmasked(values: ArrayLike, what: str) -> ArrayLike:
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise DataError(f"Expected {what} none of which is missing; {np.ma.count_masked(values)} are masked.")
    return values


def _as_tensor(values: ArrayLike | Tensor, what: str) -> Tensor:
    values = values if isinstance(values, Tensor) else _unmasked(values, what)
    try:
        tensor = torch.as_tensor(values if isinstance(values, Tensor) else np.asarray(values))
    except (TypeError, ValueError) as error:
        raise DataError(f"Expected {what} that are an array of numbers: {error}.") from error
    if tensor.is_complex():
        raise DataError(f"Expected {what} that are real numbers, got {tensor.dtype}.")
    return tensor


def _check_features(features: ArrayLike | Tensor) -> Tensor:
    x = _as_tensor(features, "features")
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
