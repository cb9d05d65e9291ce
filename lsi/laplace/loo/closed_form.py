"""The m×m algebra of taking one sample off a Laplace posterior, in float64.

With the leverage block S = (I⊗φ)ᵀP⁻¹(I⊗φ), the curvature Λ and the residual r of a sample, Woodbury gives
S₋ = (I − SΛ)⁻¹S for the posterior without the sample, and one Newton step without it moves its logits by S₋r:

    mean_term = ½ rᵀS₋r        trace_term = −½ tr(ΛS)        logdet_term = −½ ln det(I − ΛS)

Let S = CCᵀ and CᵀΛC = U diag(μ) Uᵀ, 0 ≤ μ < 1, w = UᵀCᵀr. Then S₋ = CU diag(1/(1−μ)) UᵀCᵀ, mean_term =
½Σ w²/(1−μ), trace_term = −½Σμ, logdet_term = −½Σ ln(1−μ): each a sum of one sign, with nothing left to cancel.
Where an approximation stands for P₋ᵢ instead (kron), S₋ = CCᵀ and CᵀΛC = U diag(ν) Uᵀ give μ = ν/(1+ν).
"""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import NumericalError
from lsi.laplace.posterior import Terms
from lsi.laplace.posterior.terms import log_excess

log = logging.getLogger(__name__)

_MARGIN = 1e-9  # an eigenvalue of CᵀΛC is at most 1 less this
_EXCESS = 1e-2  # beyond 1, what rounding in float32 may add
_INDEFINITE = 0.1  # of the largest eigenvalue: how far below 0 rounding in float32 may take the smallest


@dataclass(frozen=True)
class ClosedForm:
    """What follows from S, Λ and r alone.

    `shift` S₋r (b, m): how far the sample's own logits move, in the likelihood's coordinates.
    `dual_residual` a = r + Λ·shift (b, m): Δ = P⁻¹(a ⊗ φ). `leverage` tr(ΛS) (b,): effective parameters spent
    on the sample. `leverages_without` S₋ (b, m, m), None where no block is formed; `residuals` r (b, m).
    `covariance_error` (b,): estimate of the error of trace_term + logdet_term, None where they are exact.
    """

    terms: Terms
    residuals: Float[Tensor, "b m"]
    shift: Float[Tensor, "b m"]
    dual_residual: Float[Tensor, "b m"]
    leverage: Float[Tensor, " b"]
    leverages_without: Float[Tensor, "b m m"] | None
    covariance_error: Float[Tensor, " b"] | None = None


def closed_form(
    leverages: Float[Tensor, "b m m"],
    curvatures: Float[Tensor, "b m m"],
    residuals: Float[Tensor, "b m"],
    *,
    excludes_sample: bool,
) -> ClosedForm:
    """Solve the m×m problems of b samples.

    Args:
        leverages: S (b, m, m), or S₋ where `excludes_sample`.
        curvatures: Λ (b, m, m), positive semi-definite.
        residuals: r (b, m).
        excludes_sample: the leverages are S₋, of a posterior without the sample, and not S.

    Raises:
        NumericalError: a leverage is NaN, clearly negative or clearly above 1, beyond what rounding explains.
    """
    return closed_form_from_root(
        _root(leverages.double()), curvatures.double(), residuals.double(), excludes_sample=excludes_sample
    )


def closed_form_from_root(
    root: Float[Tensor, "b m m"],
    curvatures: Float[Tensor, "b m m"],
    residuals: Float[Tensor, "b m"],
    *,
    excludes_sample: bool,
) -> ClosedForm:
    """Solve the m×m problems of b samples from a root C of the leverages S = CCᵀ, all in float64.

    Args:
        root: C (b, m, r); r = m for single samples.
        curvatures: Λ (b, m, m), positive semi-definite.
        residuals: r (b, m).
        excludes_sample: CCᵀ is S₋, of a posterior without the sample, and not S.

    Raises:
        NumericalError: a leverage is NaN, or further above 1 than rounding explains.
    """
    values, vectors = torch.linalg.eigh(root.transpose(1, 2) @ curvatures @ root)
    values = values.clamp_min(0)
    if excludes_sample:
        share, gain = values / (1 + values), torch.ones_like(values)
    else:
        values = _below_one(values)
        share, gain = values, 1 / (1 - values)
    rotated = root @ vectors  # CU
    weight = (rotated.transpose(1, 2) @ residuals[:, :, None])[:, :, 0]
    shift = (rotated @ (gain * weight)[:, :, None])[:, :, 0]
    trace = -0.5 * share.sum(dim=1)
    covariance_term = 0.5 * log_excess(-share).sum(dim=1)
    terms = Terms(0.5 * (gain * weight.square()).sum(dim=1), trace, covariance_term - trace, covariance_term)
    dual_residual = residuals + (curvatures @ shift[:, :, None])[:, :, 0]
    leverages_without = (rotated * gain[:, None, :]) @ rotated.transpose(1, 2)
    return ClosedForm(terms, residuals, shift, dual_residual, -2 * trace, leverages_without)


def _below_one(values: Float[Tensor, "b m"]) -> Float[Tensor, "b m"]:
    """Return the eigenvalues μ of CᵀΛC, those that rounding took to 1 or above set just below it.

    Raises:
        NumericalError: an eigenvalue is NaN, or further above 1 than rounding explains.
    """
    reached = ~(values < 1 - _MARGIN)
    if not bool(reached.any()):
        return values
    if not bool((values <= 1 + _EXCESS).all()):
        raise NumericalError(
            "A sample's leverage is clearly above 1: rounding has destroyed the posterior precision without it. "
            "Compute in float64, or raise the prior precision."
        )
    log.warning(
        "The leverage of %d samples reached 1 in rounding; their LSI is approximate.", int(reached.any(1).sum())
    )
    return values.clamp_max(1 - _MARGIN)


def _root(leverages: Float[Tensor, "b m m"]) -> Float[Tensor, "b m m"]:
    """Return C with S = CCᵀ: by Cholesky, and by eigenvectors for the blocks that are singular to rounding.

    Raises:
        NumericalError: a block is not finite, or has clearly negative eigenvalues.
    """
    factor, info = torch.linalg.cholesky_ex(leverages)
    failed = info != 0
    if not bool(failed.any()):
        return factor
    blocks = leverages[failed]
    if not bool(torch.isfinite(blocks).all()):
        raise NumericalError("A leverage block holds NaN or infinity. Compute in float64, or standardise the features.")
    values, vectors = torch.linalg.eigh(blocks)
    if bool((values[:, 0] < -_INDEFINITE * values.abs().amax(dim=1)).any()):
        raise NumericalError(
            "A leverage block is clearly not positive definite. Compute in float64, raise the prior precision, "
            "or standardise the features."
        )
    log.debug("%d leverage blocks are singular to rounding; their roots are taken by eigenvectors", len(blocks))
    factor = factor.clone()
    factor[failed] = vectors * values.clamp_min(0).sqrt()[:, None, :]
    return factor
