"""Which structure of the posterior fits a problem: by its cost and memory, with the reason in one line."""

import logging
from dataclasses import dataclass
from typing import cast

from lsi.config import Structure
from lsi.errors import UsageError
from lsi.memory import budget_bytes

log = logging.getLogger(__name__)

FULL_LIMIT = 12_000
FULL_FLOPS = 1e14  # about a quarter of an hour on two cores
_EIGEN_FLOPS = 30  # of m³: eigenvalues and the products around them


@dataclass(frozen=True)
class Size:
    """The size of a problem: n samples, D columns of Φ, m coordinates of the logits; p = mD weights."""

    n_samples: int
    n_columns: int
    n_coordinates: int

    @property
    def n_weights(self) -> int:
        """The number of weights p."""
        return self.n_columns * self.n_coordinates

    @property
    def full_bytes(self) -> int:
        """Memory of the full posterior: P in float64 twice while it is ordered, and its inverse."""
        return 20 * self.n_weights**2

    @property
    def full_flops(self) -> float:
        """Flops of the full posterior: assembling P, factor and inverse, leverages, each sample's eigenvalues."""
        m, d = self.n_coordinates, self.n_columns
        of_samples = self.n_samples * (d**2 * m * (m + 1) * 1.8 + _EIGEN_FLOPS * float(m) ** 3)
        return of_samples + float(self.n_weights) ** 3


def resolve(structure: str, size: Size) -> Structure:
    """Return the structure itself, or what "auto" means for a problem of this size; says why in one line of the log.

    Args:
        structure: full, kron, diag or auto.
        size: of the problem.

    Raises:
        UsageError: there is no such structure, or it does not fit into the memory that is free.
    """
    if structure not in ("auto", "full", "kron", "diag"):
        raise UsageError(f"Expected structure full, kron, diag or auto, got {structure!r}.")
    p, needed, free = size.n_weights, size.full_bytes, budget_bytes()
    if structure == "full" and needed > free:
        raise UsageError(
            f"structure='full' needs a matrix of {p:,}² numbers, {needed / 2**30:.1f} GiB in all, and "
            f"{free / 2**30:.1f} GiB may be taken: use structure='kron', or fewer features (PCA)."
        )
    if structure != "auto":
        return cast(Structure, structure)
    reasons = {
        f"p = {p:,} weights, more than {FULL_LIMIT:,}": p > FULL_LIMIT,
        f"its matrix needs {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB that may be taken": needed > free,
        f"it takes {size.full_flops:.1e} flops, more than {FULL_FLOPS:.0e}": size.full_flops > FULL_FLOPS,
    }
    against = [reason for reason, holds in reasons.items() if holds]
    chosen: Structure = "kron" if against else "full"
    log.info("structure %s: %s", chosen, f"full is too large ({against[0]})" if against else f"p = {p:,} weights")
    return chosen
