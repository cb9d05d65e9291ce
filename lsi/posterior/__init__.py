"""The Laplace posterior N(θ̂, P⁻¹) over the probe's weights, one structure of P a module."""

from lsi.posterior.diag import Diagonal
from lsi.posterior.full import Full
from lsi.posterior.kron import Kron
from lsi.posterior.terms import Terms

__all__ = ["Diagonal", "Full", "Kron", "Terms"]
