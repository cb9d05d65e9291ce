"""The Laplace posterior N(θ̂, P⁻¹) over the probe's weights, one structure of P a module."""

from lsi.laplace.posterior.diag import Diagonal
from lsi.laplace.posterior.full import Full
from lsi.laplace.posterior.kron import Kron
from lsi.laplace.posterior.terms import Terms

__all__ = ["Diagonal", "Full", "Kron", "Terms"]
