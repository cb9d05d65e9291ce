"""The m×m algebra of taking one sample off a Laplace posterior, in float64.

With the leverage block S = (I⊗φ)ᵀP⁻¹(I⊗φ), the curvature Λ and the residual r of a sample, Woodbury gives
S₋ = (I − SΛ)⁻¹S for the posterior of the others, and one Newton step on them moves the sample's own logits by S₋r:

    mean_term = ½ rᵀS₋r        trace_term = −½ tr(ΛS)        logdet_term = −½ ln det(I − ΛS)

Let S = CCᵀ and CᵀΛC = U diag(μ) Uᵀ, 0 ≤ μ < 1, w = UᵀCᵀr. Then S₋ = CU diag(1/(1−μ)) UᵀCᵀ, mean_term =
½Σ w²/(1−μ), trace_term = −½Σμ, logdet_term = −½Σ ln(1−μ): each a sum of one sign, with nothing left to cancel.
Where an approximation stands for P₋ᵢ instead (kron), S₋ = CCᵀ and CᵀΛC = U diag(ν) Uᵀ give μ = ν/(1+ν).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lsi.errors import NumericalError
from lsi.laplace.posterior import Terms
from lsi.laplace.posterior.terms import log_excess


@dataclass(frozen=True)
class ClosedForm:
    """What follows from S, Λ and r alone.

    `shift` S₋r (b, m): how far the sample's own logits move, in the likelihood's coordinates.
    `push` a = r + Λ·shift (b, m): Δ = P⁻¹(a ⊗ φ). `leverage` tr(ΛS) (b,): effective parameters spent on the sample.
    `others` S₋ (b, m, m); `residuals` r (b, m).
    """

    terms: Terms
    residuals: Float[Tensor, "b m"]
    shift: Float[Tensor, "b m"]
    push: Float[Tensor, "b m"]
    leverage: Float[Tensor, " b"]
    others: Float[Tensor, "b m m"]


def closed_form(
    leverages: Float[Tensor, "b m m"],
    curvatures: Float[Tensor, "b m m"],
    residuals: Float[Tensor, "b m"],
    *,
    stands_for_others: bool,
) -> ClosedForm:
    """Solve the m×m problems of b samples.

    Args:
        leverages: S, or S₋ where `stands_for_others`.
        curvatures: Λ, positive semi-definite.
        residuals: r.
        stands_for_others: the leverages belong to the posterior without the sample.

    Raises:
        NumericalError: where rounding made a leverage exceed what one sample can have.
    """
    return from_root(
        _cholesky(leverages.double()), curvatures.double(), residuals.double(), stands_for_others=stands_for_others
    )


def from_root(
    root: Float[Tensor, "b m m"],
    curvatures: Float[Tensor, "b m m"],
    residuals: Float[Tensor, "b m"],
    *,
    stands_for_others: bool,
) -> ClosedForm:
    """Solve the same problems where a root C of the leverages S = CCᵀ is at hand, all in float64."""
    values, vectors = torch.linalg.eigh(root.transpose(1, 2) @ curvatures @ root)
    values = values.clamp_min(0)
    if stands_for_others:
        share, gain = values / (1 + values), torch.ones_like(values)
    else:
        share, gain = values, 1 / (1 - values)
        if bool((values >= 1 - 1e-9).any()):
            raise NumericalError(
                "A sample's leverage reached 1: rounding has eaten the posterior precision of the others. "
                "Compute in float64, or raise the prior precision."
            )
    rotated = root @ vectors  # CU
    weight = (rotated.transpose(1, 2) @ residuals[:, :, None])[:, :, 0]
    shift = (rotated @ (gain * weight)[:, :, None])[:, :, 0]
    trace = -0.5 * share.sum(dim=1)
    certainty = 0.5 * log_excess(-share).sum(dim=1)
    terms = Terms(0.5 * (gain * weight.square()).sum(dim=1), trace, certainty - trace, certainty)
    push = residuals + (curvatures @ shift[:, :, None])[:, :, 0]
    others = (rotated * gain[:, None, :]) @ rotated.transpose(1, 2)
    return ClosedForm(terms, residuals, shift, push, -2 * trace, others)


def _cholesky(leverages: Float[Tensor, "b m m"]) -> Float[Tensor, "b m m"]:
    factor, info = torch.linalg.cholesky_ex(leverages)
    if bool((info != 0).any()):
        raise NumericalError(
            "A leverage block is not positive definite to rounding. Compute in float64, raise the prior precision, "
            "or standardise the features."
        )
    return factor
