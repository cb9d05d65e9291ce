"""From a fitted probe to scores: one pass over the samples, then refits and certificates where they are asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import cast, get_args

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lsi.config import LooMethod, Structure
from lsi.errors import UsageError
from lsi.laplace.loo import certify, leave_one_out, refit
from lsi.laplace.posterior import Diagonal, Full, Kron, Terms
from lsi.laplace.probe import Probe
from lsi.laplace.scores.record import Scores

FULL_LIMIT = 12_000
CERTIFY_FLOPS = 4e11
CERTIFY_AT_MOST = 256


@dataclass(frozen=True)
class LeaveOneOut:
    """How the samples are taken out.

    Attributes:
        method: newton_step (closed form, all samples at once) or refit (solved to a tolerance).
        refit_top: with newton_step, refit this many samples of highest LSI as well.
        refit_samples: refit these samples as well.
        certify: samples of highest LSI whose distance to the true refit is computed; None: as many as are cheap.
    """

    method: str = "newton_step"
    refit_top: int = 0
    refit_samples: tuple[int, ...] = ()
    certify: int | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(LooMethod):
            raise UsageError(f"Expected loo {' or '.join(get_args(LooMethod))}, got {self.method!r}.")
        if self.refit_top < 0 or (self.certify or 0) < 0:
            raise UsageError(f"Expected refit_top ≥ 0 and certify ≥ 0, got {self.refit_top} and {self.certify}.")


def resolve(structure: str, probe: Probe) -> Structure:
    """Return the structure itself, or what "auto" means for this probe.

    Raises:
        UsageError: there is no such structure, or it is too large for this probe.
    """
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


def posterior_of(probe: Probe) -> Full | Kron:
    """Return the posterior that "auto" means for this probe."""
    return Full.fit(probe) if resolve("auto", probe) == "full" else Kron.fit(probe)


def posterior_for(probe: Probe, structures: Sequence[Structure]) -> Full | Kron:
    """Return the posterior whose leave-one-out steps these structures take: full, or kron where that is too large.

    full and diag share P and Δ. With p beyond 12,000 parameters diag alone takes its Δ from kron.
    """
    exact = tuple(s for s in structures if s != "kron")
    large = math.prod(probe.objective.shape) > FULL_LIMIT
    return Kron.fit(probe) if not exact or (large and exact == ("diag",)) else Full.fit(probe)


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


def _evaluate(
    probe: Probe,
    posterior: Full | Kron,
    structures: Sequence[Structure],
    loo: LeaveOneOut,
    diag_prior_precision: float | None,
) -> dict[str, Scores]:
    diagonal = Diagonal.fit(probe, diag_prior_precision) if "diag" in structures else None
    found: dict[str, list[Terms]] = {s: [] for s in structures}
    leverages, means = [], []
    for removal in leave_one_out(probe, posterior, with_delta=diagonal is not None):
        phi = probe.objective.design.values[removal.samples]
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
        classes=np.arange(k),
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
