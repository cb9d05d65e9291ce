"""LSI of every sample and its three terms, as one frozen record; `score` is the library's front door."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from lsi.errors import DataError, UsageError
from lsi.loo import certify, refit, remove
from lsi.objective import Objective, with_bias
from lsi.posterior import Diagonal, Full, Kron, Terms
from lsi.prior_precision import PriorChoice, choose
from lsi.probe import Probe, fit
from lsi.softmax import Softmax
from lsi.types import LooMethod, Structure

FULL_LIMIT = 12_000
CERTIFY_FLOPS = 4e11
CERTIFY_AT_MOST = 256


@dataclass(frozen=True)
class Scores:
    """One row a sample, arrays of shape (n,) unless said otherwise.

    Attributes:
        lsi: Laplace Sample Information in nats, ≥ 0; larger = the posterior depends more on this sample.
        mean_term: how far the sample moves the decision, in nats, ≥ 0.
        trace_term: ½(tr(P₋ᵢP⁻¹) − p), in nats, ≤ 0 by a Newton step.
        logdet_term: ½(ln det P − ln det P₋ᵢ), in nats; trace + logdet ≥ 0 is the certainty the sample adds.
        leverage: effective parameters the probe spends on the sample, tr(ΛS).
        loo_probabilities: (n, k), what the probe that has not seen the sample predicts for it.
        given_label: the labels that came in.
        loo_residual: Newton decrement left to the true refit, in posterior standard deviations; NaN: not checked.
        refitted: the row comes from a true refit, not from one Newton step.
        structure: full, kron or diag.
        prior_precision: λ on the summed loss.
        n_params: p = k(d + 1).
        converged: the probe met its tolerance (always true: an unconverged probe raises).
        newton_decrement: the proof, the probe's distance to its MAP in posterior standard deviations.
        prior_choice: how λ was chosen, if it was.
    """

    lsi: Float[np.ndarray, " n"]
    mean_term: Float[np.ndarray, " n"]
    trace_term: Float[np.ndarray, " n"]
    logdet_term: Float[np.ndarray, " n"]
    leverage: Float[np.ndarray, " n"]
    loo_probabilities: Float[np.ndarray, "n k"]
    given_label: Int[np.ndarray, " n"]
    loo_residual: Float[np.ndarray, " n"]
    refitted: Bool[np.ndarray, " n"]
    structure: Structure
    prior_precision: float
    n_params: int
    converged: bool
    newton_decrement: float
    prior_choice: PriorChoice | None = None

    @property
    def predicted_label(self) -> Int[np.ndarray, " n"]:
        """The class with the highest leave-one-out probability."""
        return self.loo_probabilities.argmax(axis=1)

    @property
    def loo_p_given(self) -> Float[np.ndarray, " n"]:
        """Leave-one-out self-confidence: the probability of the given label."""
        return self.loo_probabilities[np.arange(len(self.lsi)), self.given_label]

    @property
    def loo_margin(self) -> Float[np.ndarray, " n"]:
        """Probability of the given label less that of the likeliest other one, in [−1, 1]."""
        others = self.loo_probabilities.copy()
        others[np.arange(len(self.lsi)), self.given_label] = -np.inf
        return self.loo_p_given - others.max(axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a sample, in the order of the input, without the (n, k) probabilities."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        table = {k: v for k, v in columns.items() if isinstance(v, np.ndarray) and v.ndim == 1}
        frame = pd.DataFrame(table)
        frame.insert(1, "lsi_rank", frame["lsi"].rank(method="first", ascending=False).astype(np.int64))
        frame["predicted_label"] = self.predicted_label
        frame["loo_p_given"] = self.loo_p_given
        frame["loo_p_predicted"] = self.loo_probabilities.max(axis=1)
        frame["loo_margin"] = self.loo_margin
        return frame


@dataclass(frozen=True)
class LeaveOneOut:
    """How the samples are taken out.

    Attributes:
        method: newton_step (closed form, all samples at once) or refit (solved to a tolerance).
        refit_top: with newton_step, refit this many samples of highest LSI as well.
        refit_samples: refit these samples as well.
        certify: samples of highest LSI whose distance to the true refit is computed; None: as many as are cheap.
    """

    method: LooMethod = "newton_step"
    refit_top: int = 0
    refit_samples: tuple[int, ...] = ()
    certify: int | None = None


def score(
    features: ArrayLike | Tensor,
    labels: ArrayLike | Tensor,
    *,
    prior_precision: float | str = 1.0,
    structure: str = "full",
    loo: LooMethod | LeaveOneOut = "newton_step",
    device: str = "auto",
    seed: int = 0,
) -> Scores:
    """Return the Laplace Sample Information of every sample, KL(N(θ̂, P⁻¹) ‖ N(θ̂₋ᵢ, P₋ᵢ⁻¹)) in nats.

    Source: Kaiser et al., Laplace Sample Information, ICLR 2025, arXiv 2505.15303; leave-one-out in closed form.

    Args:
        features: (n, d) floats, used as they are (no scaling; a bias column is appended). float32 stays float32,
            anything else is computed in float64.
        labels: (n,) integers 0 … k − 1; k is the largest label + 1, at least 2.
        prior_precision: λ > 0 on the summed loss, or "auto": the one with the best leave-one-out likelihood.
        structure: of the posterior: full, kron, diag, or "auto": full up to p = 12,000 parameters, then kron.
        loo: "newton_step", "refit", or a `LeaveOneOut` for more.
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
    phi, y = _check(features, labels, device)
    likelihood = Softmax(max(2, int(y.max()) + 1))
    choice = None
    if prior_precision == "auto":
        choice = choose(likelihood, phi, y, seed=seed)
        prior_precision = choice.prior_precision
    if isinstance(prior_precision, str) or not (0 < prior_precision < math.inf):
        raise UsageError(f"Expected prior_precision > 0 or 'auto', got {prior_precision!r}.")
    probe = fit(Objective(likelihood, phi, y, float(prior_precision)))
    method = loo if isinstance(loo, LeaveOneOut) else LeaveOneOut(loo)
    return replace(evaluate(probe, (resolve(structure, probe),), method)[0], prior_choice=choice)


def resolve(structure: str, probe: Probe) -> Structure:
    """Return the structure itself, or what "auto" means for this probe."""
    if structure not in ("auto", "full", "kron", "diag"):
        raise UsageError(f"Expected structure full, kron, diag or auto, got {structure!r}.")
    p = math.prod(probe.objective.shape)
    if structure == "full" and p > 4 * FULL_LIMIT:
        raise UsageError(
            f"structure='full' would need a matrix of {p:,}² numbers: use structure='kron', or fewer features (PCA)."
        )
    if structure != "auto":
        return cast(Structure, structure)
    return "full" if p <= FULL_LIMIT else "kron"


def evaluate(probe: Probe, structures: Sequence[Structure], loo: LeaveOneOut = LeaveOneOut()) -> tuple[Scores, ...]:
    """Return the scores of a fitted probe in each of the `structures`, sharing one pass over the samples.

    full and diag share P and Δ; kron brings its own. With p beyond 12,000 parameters diag takes its Δ from kron.
    """
    results: dict[str, Scores] = {}
    exact: tuple[Structure, ...] = tuple(s for s in structures if s != "kron")
    large = math.prod(probe.objective.shape) > FULL_LIMIT
    if exact:
        posterior = Kron.fit(probe) if large and exact == ("diag",) else Full.fit(probe)
        results.update(_evaluate(probe, posterior, exact, loo))
        del posterior
    if "kron" in structures:
        results.update(_evaluate(probe, Kron.fit(probe), ("kron",), loo))
    return tuple(results[s] for s in structures)


def _evaluate(
    probe: Probe, posterior: Full | Kron, structures: Sequence[Structure], loo: LeaveOneOut
) -> dict[str, Scores]:
    diagonal = Diagonal.fit(probe) if "diag" in structures else None
    found: dict[str, list[Terms]] = {s: [] for s in structures}
    leverages, means = [], []
    for removal in remove(probe, posterior, with_delta=diagonal is not None):
        phi = probe.objective.features[removal.samples]
        for structure in structures:
            if structure == "diag":
                assert diagonal is not None
                assert removal.delta is not None
                found[structure].append(diagonal.newton_terms(phi, removal.delta, probe.means[removal.samples]))
            else:
                found[structure].append(removal.closed.terms)
        leverages.append(removal.closed.leverage)
        means.append(removal.means)
    results = {s: _record(probe, s, _join(found[s]), torch.cat(leverages), torch.cat(means)) for s in structures}
    return {s: _improve(probe, posterior, diagonal, r, loo) for s, r in results.items()}


def _improve(
    probe: Probe, posterior: Full | Kron, diagonal: Diagonal | None, scores: Scores, loo: LeaveOneOut
) -> Scores:
    """Replace rows by true refits, and certify others, as `loo` asks."""
    n = len(scores.lsi)
    by_lsi = np.argsort(-scores.lsi, kind="stable")
    chosen = np.arange(n) if loo.method == "refit" else np.union1d(by_lsi[: loo.refit_top], loo.refit_samples)
    residual = scores.loo_residual.copy()
    if loo.method == "newton_step":
        affordable = int(CERTIFY_FLOPS / (4 * n * math.prod(probe.objective.shape)))
        wanted = min(n, loo.certify if loo.certify is not None else n if affordable >= n else CERTIFY_AT_MOST)
        certified = np.sort(by_lsi[:wanted])
        index = torch.from_numpy(certified).to(probe.means.device)
        residual[certified] = certify(probe, posterior, index).cpu().numpy()
    scores = replace(scores, loo_residual=residual)
    return _refitted(probe, posterior, diagonal, scores, chosen.astype(np.int64)) if len(chosen) else scores


def _refitted(
    probe: Probe,
    posterior: Full | Kron,
    diagonal: Diagonal | None,
    scores: Scores,
    chosen: Int[np.ndarray, " s"],
) -> Scores:
    if chosen.min() < 0 or chosen.max() >= len(scores.lsi):
        raise UsageError(f"refit_samples must lie in 0 … {len(scores.lsi) - 1}, got {chosen.min()} … {chosen.max()}.")
    found: list[Terms] = []
    own, residuals = [], []
    for batch in refit(probe, posterior, torch.from_numpy(chosen).to(probe.means.device)):
        samples = batch.removal.samples
        if scores.structure == "diag":
            assert diagonal is not None
            found.append(diagonal.refit_terms(samples, batch.delta, batch.means))
        else:
            found += [posterior.refit_terms(int(i), batch.delta[b], batch.means[:, b]) for b, i in enumerate(samples)]
        own.append(batch.means[samples, torch.arange(len(samples), device=samples.device)].double())
        residuals.append(batch.decrement)
    terms, updates = _join(found), {}
    for name in ("lsi", "mean_term", "trace_term", "logdet_term"):
        updates[name] = _put(getattr(scores, name), chosen, getattr(terms, name))
    updates["loo_probabilities"] = _put(scores.loo_probabilities, chosen, torch.cat(own))
    updates["loo_residual"] = _put(scores.loo_residual, chosen, torch.cat(residuals))
    updates["refitted"] = np.isin(np.arange(len(scores.lsi)), chosen)
    return replace(scores, **updates)


def _record(probe: Probe, structure: Structure, terms: Terms, leverage: Tensor, means: Tensor) -> Scores:
    n, k = means.shape
    return Scores(
        lsi=terms.lsi.cpu().numpy(),
        mean_term=terms.mean_term.cpu().numpy(),
        trace_term=terms.trace_term.cpu().numpy(),
        logdet_term=terms.logdet_term.cpu().numpy(),
        leverage=leverage.cpu().numpy(),
        loo_probabilities=means.cpu().numpy(),
        given_label=probe.objective.targets.cpu().numpy(),
        loo_residual=np.full(n, np.nan),
        refitted=np.zeros(n, dtype=bool),
        structure=structure,
        prior_precision=probe.objective.prior_precision,
        n_params=k * probe.objective.shape[1],
        converged=True,
        newton_decrement=probe.newton_decrement,
    )


def _join(parts: Sequence[Terms]) -> Terms:
    return Terms(*(torch.cat([getattr(t, f.name).double() for t in parts]) for f in fields(Terms)))


def _put(array: np.ndarray, index: np.ndarray, values: Tensor) -> np.ndarray:
    copy = array.copy()
    copy[index] = values.cpu().numpy()
    return copy


def _check(features: ArrayLike | Tensor, labels: ArrayLike | Tensor, device: str) -> tuple[Tensor, Tensor]:
    """Return Φ with its bias column and the labels, on the device."""
    where = torch.device(choose_device(device))
    x = torch.as_tensor(features if isinstance(features, Tensor) else np.asarray(features))
    y = torch.as_tensor(labels if isinstance(labels, Tensor) else np.asarray(labels))
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise DataError(f"Expected features of shape (n, d) with n ≥ 2 and d ≥ 1, got {tuple(x.shape)}.")
    if y.shape != x.shape[:1] or y.is_floating_point() or y.dtype == torch.bool:
        raise DataError(
            f"Expected integer labels of shape ({len(x)},), one for each row of features, "
            f"got {y.dtype} {tuple(y.shape)}."
        )
    x = x if x.dtype == torch.float32 else x.double()
    bad = (~torch.isfinite(x)).any(dim=1)
    if bool(bad.any()):
        rows = bad.nonzero()[:5, 0].tolist()
        raise DataError(f"Expected finite features; {int(bad.sum())} rows hold NaN or infinity, such as {rows}.")
    if int(y.min()) < 0:
        raise DataError(f"Expected labels 0 … k − 1, got {int(y.min())}.")
    if len(torch.unique(y)) < 2:
        raise DataError("Expected labels of at least two classes; all labels are the same.")
    return with_bias(x.to(where)), y.long().to(where)


def choose_device(device: str) -> str:
    """Return "cuda" or "cpu" for "auto", anything else as it is."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
