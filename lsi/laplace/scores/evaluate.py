"""From a fitted probe to scores: one pass over the samples, then refits and certificates where they are asked for."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lsi.config import LooMethod, Structure
from lsi.errors import UsageError
from lsi.laplace.design_matrix import Shard, rows_of
from lsi.laplace.likelihood import Likelihood
from lsi.laplace.loo import ByClass, batch_rows, certify, means_by_class, refit, remove
from lsi.laplace.posterior import Diagonal, Full, Kron, Terms
from lsi.laplace.probe import DECREMENT_TOLERANCE, Probe, fit
from lsi.laplace.scores.predictions import Predictions, predictions_of
from lsi.laplace.scores.record import Scores
from lsi.laplace.scores.structures import Size, resolve
from lsi.probabilities import Probabilities

log = logging.getLogger(__name__)

FIGURES = ("lsi", "mean_term", "trace_term", "logdet_term", "leverage", "covariance_error")
CERTIFY_FLOPS = 4e11
CERTIFY_AT_MOST = 256


@dataclass(frozen=True)
class LeaveOneOut:
    """How the samples are taken out.

    Attributes:
        method: newton_step (closed form, all samples at once) or refit (solved to a tolerance).
        refit_top: with newton_step, refit this many samples of highest LSI as well.
        refit_samples: positions of samples that are refitted as well.
        certify: samples of highest LSI whose distance to the true refit is computed; None: as many as are cheap.
        folder: where the likeliest classes of many samples lie while they are computed; None: in memory.
    """

    method: str = "newton_step"
    refit_top: int = 0
    refit_samples: Sequence[int] | np.ndarray | Tensor = ()
    certify: int | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(LooMethod):
            raise UsageError(f"Expected loo {' or '.join(get_args(LooMethod))}, got {self.method!r}.")
        counts = (self.refit_top, 0 if self.certify is None else self.certify)
        if not all(isinstance(c, int | np.integer) and c >= 0 for c in counts):
            raise UsageError(f"Expected refit_top ≥ 0 and certify ≥ 0, got {self.refit_top} and {self.certify}.")
        asked = self.refit_samples
        positions = np.asarray(asked.cpu() if isinstance(asked, Tensor) else asked)
        if positions.ndim != 1 or (len(positions) and positions.dtype.kind not in "iu"):
            raise UsageError(
                f"Expected refit_samples that are positions of samples, got {positions.dtype} {positions.shape}: of a "
                "mask give np.flatnonzero(mask)."
            )
        object.__setattr__(self, "refit_samples", tuple(positions.tolist()))


def size_of(probe: Probe) -> Size:
    """Return the size of a probe's problem."""
    n, d = probe.objective.design.shape
    return Size(n, d, probe.objective.likelihood.n_coordinates)


def posterior_of(probe: Probe, structure: str = "auto") -> Full | Kron:
    """Return the posterior of a probe.

    Args:
        probe: the fitted probe.
        structure: full or kron, taken as it is; auto for what that means here.

    Raises:
        UsageError: there is no such structure.
    """
    chosen = structure if structure == "full" else resolve(structure, size_of(probe))
    return Full.fit(probe) if chosen == "full" else Kron.fit(probe)


def structure_of(posterior: Full | Kron) -> Structure:
    """Return the structure of a posterior, so that what goes on from it stays with the same."""
    return "kron" if isinstance(posterior, Kron) else "full"


def posterior_for(probe: Probe, structures: Sequence[Structure]) -> Full | Kron:
    """Return the posterior whose leave-one-out steps these structures take: full, or kron where that is too large.

    full and diag share P and Δ. Where "auto" would not take full, diag alone takes its Δ from kron.
    """
    exact = tuple(s for s in structures if s != "kron")
    large = exact == ("diag",) and resolve("auto", size_of(probe)) == "kron"
    if large:
        log.warning("structure diag takes its leave-one-out steps from kron: those of the full posterior are too large")
    return Kron.fit(probe) if not exact or large else Full.fit(probe)


def evaluate(
    probe: Probe,
    structures: Sequence[Structure],
    loo: LeaveOneOut = LeaveOneOut(),
    diag_prior_precision: float | None = None,
    posterior: Full | Kron | None = None,
) -> tuple[Scores, ...]:
    """Return the scores of a fitted probe in each of the `structures`, sharing one pass over the samples.

    Args:
        probe: fitted, on n samples.
        structures: of the posterior; full and diag share their steps, kron brings its own.
        loo: how the samples are taken out.
        diag_prior_precision: λ of the diag posterior where it differs from the fit's (the paper's preset).
        posterior: what `posterior_for` gave for these structures, where it is at hand.

    Raises:
        UsageError: a sample to refit does not exist.
        ConvergenceError: a refit did not converge.
    """
    results: dict[str, Scores] = {}
    exact: tuple[Structure, ...] = tuple(s for s in structures if s != "kron")
    if exact:
        posterior = posterior or posterior_for(probe, exact)
        results.update(_evaluate(probe, posterior, exact, loo, diag_prior_precision))
    if "kron" in structures:
        kron = posterior if isinstance(posterior, Kron) else Kron.fit(probe)
        results.update(_evaluate(probe, kron, ("kron",), loo, None))
    return tuple(results[s] for s in structures)


@dataclass(frozen=True)
class _Asked:
    """What each shard is asked for: scores in `structures`, and if `predicted` how many classes of predictions."""

    structures: tuple[Structure, ...]
    diagonal: Diagonal | None
    n_kept: int | None
    predicted: bool


def _evaluate(
    probe: Probe,
    posterior: Full | Kron,
    structures: Sequence[Structure],
    loo: LeaveOneOut,
    diag_prior_precision: float | None,
) -> dict[str, Scores]:
    diagonal = Diagonal.fit(probe, diag_prior_precision) if "diag" in structures else None
    objective, n = probe.objective, len(probe.objective.design)
    kept = Predictions.allocate(Probabilities.allocate(n, objective.n_outputs, folder=loo.folder))
    by_class = ByClass.fit(probe) if isinstance(posterior, Kron) else None
    asked = _Asked(tuple(structures), diagonal, kept.probabilities.n_kept, by_class is None)
    figures = {s: {name: np.zeros(n) for name in FIGURES} for s in structures}
    parts = objective.design.map_shards(
        _score_shard, objective.targets, objective.likelihood, probe.logit_weights, posterior, asked,
        rows=batch_rows(probe, posterior, with_delta=diagonal is not None),
    )  # fmt: skip
    for rows, (of_structures, predictions) in parts:
        if predictions is not None:
            kept.put(rows, predictions)
        for structure, columns in of_structures.items():
            for name, values in columns.items():
                figures[structure][name][rows] = values
    if by_class is not None:
        how = (objective.likelihood, probe.logit_weights, by_class, asked.n_kept)
        rows_at_once = rows_of(objective.n_outputs, objective.design.device)
        for rows, predictions in objective.design.map_shards(_predict, objective.targets, *how, rows=rows_at_once):
            kept.put(rows, predictions)
    results = {s: _record(probe, s, figures[s], kept) for s in structures}
    return {s: _improve(probe, posterior, diagonal, r, loo) for s, r in results.items()}


def _predict(
    shard: Shard, likelihood: Likelihood, logit_weights: Tensor, by_class: ByClass, n_kept: int | None
) -> Predictions:
    return predictions_of(means_by_class(shard, likelihood, logit_weights, by_class), shard.targets, n_kept)


def _score_shard(
    shard: Shard, likelihood: Likelihood, logit_weights: Tensor, posterior: Full | Kron, asked: _Asked
) -> tuple[dict[str, dict[str, np.ndarray]], Predictions | None]:
    """Return the figures of a shard's samples in each structure, and their leave-one-out predictions."""
    removal = remove(shard, likelihood, logit_weights, posterior, with_delta=asked.diagonal is not None)
    found: dict[str, dict[str, np.ndarray]] = {}
    for structure in asked.structures:
        terms, error = removal.closed.terms, removal.closed.covariance_error
        if structure == "diag":
            assert asked.diagonal is not None
            assert removal.delta is not None
            terms, error = asked.diagonal.newton_terms(shard.features, removal.delta, removal.means_before), None
        values = _term_columns(terms) | {"leverage": removal.closed.leverage}
        values["covariance_error"] = torch.zeros_like(terms.lsi) if error is None else error
        found[structure] = {name: v.double().cpu().numpy() for name, v in values.items()}
    return found, predictions_of(removal.means, shard.targets, asked.n_kept) if asked.predicted else None


def _term_columns(terms: Terms) -> dict[str, Tensor]:
    return {name: getattr(terms, name) for name in ("lsi", "mean_term", "trace_term", "logdet_term")}


def _improve(
    probe: Probe, posterior: Full | Kron, diagonal: Diagonal | None, scores: Scores, loo: LeaveOneOut
) -> Scores:
    """Replace rows by true refits, and certify others, as `loo` asks."""
    n, asked = len(scores.lsi), np.array(loo.refit_samples, dtype=np.int64)
    if len(asked) and not 0 <= asked.min() <= asked.max() < n:
        raise UsageError(f"refit_samples must lie in 0 … {n - 1}, got {asked.min()} … {asked.max()}.")
    by_lsi = np.argsort(-scores.lsi, kind="stable")
    chosen = np.arange(n) if loo.method == "refit" else np.union1d(by_lsi[: loo.refit_top], asked)
    residual = scores.loo_residual.copy()
    if loo.method == "newton_step":
        affordable = int(CERTIFY_FLOPS / (4 * n * math.prod(probe.objective.shape)))
        most = n if affordable >= n else min(affordable, CERTIFY_AT_MOST)
        wanted = min(n, most if loo.certify is None else loo.certify)
        certified = np.sort(by_lsi[:wanted])
        index = torch.from_numpy(certified).to(probe.weights.device)
        residual[certified] = certify(probe, posterior, index).cpu().numpy()
    scores = replace(scores, loo_residual=residual)
    return _refitted(probe, posterior, diagonal, scores, chosen) if len(chosen) else scores


def _refitted(
    probe: Probe,
    posterior: Full | Kron,
    diagonal: Diagonal | None,
    scores: Scores,
    chosen: Int[np.ndarray, " s"],
) -> Scores:
    names = ("lsi", "mean_term", "trace_term", "logdet_term", "covariance_error", "loo_residual")
    columns = {name: getattr(scores, name).copy() for name in names}
    if probe.newton_decrement > DECREMENT_TOLERANCE:  # Δ would hold what the probe of a large problem is off
        probe = fit(probe.objective, probe, DECREMENT_TOLERANCE)
    kept = scores.predictions_copy()
    exact = posterior
    if isinstance(posterior, Full) and scores.structure == "full" and posterior.covariance.dtype != torch.float64:
        exact = Full.fit(probe, exact=True)
    for batch in refit(probe, posterior, torch.from_numpy(chosen).to(probe.weights.device)):
        samples = batch.removal.samples
        rows = samples.cpu().numpy()
        if scores.structure == "diag":
            assert diagonal is not None
            terms = [diagonal.refit_terms(probe, samples, batch.delta, batch.means)]
        else:
            each = enumerate(samples)
            terms = [exact.refit_terms(probe, int(i), batch.delta[b], batch.means[:, b]) for b, i in each]
        for name in names[:4]:
            columns[name][rows] = torch.cat([getattr(t, name) for t in terms]).double().cpu().numpy()
        columns["covariance_error"][rows] = 0
        columns["loo_residual"][rows] = batch.decrement.cpu().numpy()
        own = batch.means[samples, torch.arange(len(samples), device=samples.device)].double()
        kept.put(rows, predictions_of(own, probe.objective.targets[samples], kept.probabilities.n_kept))
    return replace(scores, refitted=np.isin(np.arange(len(scores.lsi)), chosen), predictions=kept, **columns)


def _record(probe: Probe, structure: Structure, figures: dict[str, np.ndarray], kept: Predictions) -> Scores:
    n, k = kept.probabilities.shape
    return Scores(
        lsi=figures["lsi"],
        mean_term=figures["mean_term"],
        trace_term=figures["trace_term"],
        logdet_term=figures["logdet_term"],
        leverage=figures["leverage"],
        covariance_error=figures["covariance_error"],
        given_label=probe.objective.targets.cpu().numpy(),
        predictions=kept,
        classes=np.arange(k),
        loo_residual=np.full(n, np.nan),
        refitted=np.zeros(n, dtype=bool),
        structure=structure,
        prior_precision=probe.objective.prior_precision,
        n_params=k * probe.objective.design.shape[1],
        converged=True,
        newton_decrement=probe.newton_decrement,
    )
