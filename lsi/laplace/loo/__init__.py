"""Leave-one-out: what the probe and its posterior are without one sample, for every sample."""

from lsi.laplace.loo.certificate import certify
from lsi.laplace.loo.group import remove_group
from lsi.laplace.loo.newton_step import Removal, remove
from lsi.laplace.loo.refit import Refit, refit

__all__ = ["Refit", "Removal", "certify", "refit", "remove", "remove_group"]
