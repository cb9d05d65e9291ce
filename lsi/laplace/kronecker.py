"""Kronecker algebra: M = B ⊗ A / n + λI through the eigenvectors of A and B.

A is (D, D) over features, B is (m, m) over outputs, vectors are held as matrices X of shape (m, D), so that
(B ⊗ A) vec(X) is B X A. With A = U_A α U_Aᵀ and B = U_B β U_Bᵀ, M is diagonal in the basis U_B ⊗ U_A with the values
β_c α_d / n + λ.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Kronecker:
    """B ⊗ A / n + λI, factored. `values` are its eigenvalues, (m, D), output by feature."""

    output_basis: Float[Tensor, "m m"]
    feature_basis: Float[Tensor, "d d"]
    output_values: Float[Tensor, " m"]
    feature_values: Float[Tensor, " d"]
    n_samples: int
    prior_precision: float

    @classmethod
    def factor(
        cls,
        output: Float[Tensor, "m m"],
        feature: Float[Tensor, "d d"],
        n_samples: int,
        prior_precision: float,
    ) -> "Kronecker":
        """Factor B ⊗ A / n + λI.

        Args:
            output: B (m, m), positive semi-definite.
            feature: A (D, D), positive semi-definite.
            n_samples: n.
            prior_precision: λ.
        """
        alpha, basis = torch.linalg.eigh(feature)
        return Kronecker.refactor(output, basis, alpha.clamp_min(0), n_samples, prior_precision)

    @classmethod
    def refactor(
        cls,
        output: Float[Tensor, "m m"],
        feature_basis: Float[Tensor, "d d"],
        feature_values: Float[Tensor, " d"],
        n_samples: int,
        prior_precision: float,
    ) -> "Kronecker":
        """Factor with another B where A's eigenvectors are at hand.

        Args:
            output: B (m, m), positive semi-definite.
            feature_basis: eigenvectors of A as columns, (D, D).
            feature_values: eigenvalues of A, (D,).
            n_samples: n.
            prior_precision: λ.
        """
        beta, basis = torch.linalg.eigh(output.to(feature_basis))
        return Kronecker(basis, feature_basis, beta.clamp_min(0), feature_values, n_samples, prior_precision)

    @property
    def values(self) -> Float[Tensor, "m d"]:
        """The eigenvalues β_c α_d / n + λ."""
        return torch.outer(self.output_values, self.feature_values) / self.n_samples + self.prior_precision

    def solve(self, matrices: Float[Tensor, "*batch m d"]) -> Float[Tensor, "*batch m d"]:
        """Return M⁻¹ applied to each matrix."""
        rotated = self.output_basis.T @ matrices @ self.feature_basis
        return self.output_basis @ (rotated / self.values.to(rotated)) @ self.feature_basis.T

    def to(self, like: Tensor) -> "Kronecker":
        """Return the same factors in the dtype and on the device of `like`."""
        return Kronecker(
            self.output_basis.to(like),
            self.feature_basis.to(like),
            self.output_values.to(like),
            self.feature_values.to(like),
            self.n_samples,
            self.prior_precision,
        )
