"""Leave-one-out: what the probe and its posterior are without one sample, for every sample."""

from lsi.laplace.loo.certificate import certify
from lsi.laplace.loo.group import leave_group_out
from lsi.laplace.loo.newton_step import Removal, leave_one_out
from lsi.laplace.loo.refit import Refit, refit

__all__ = ["Refit", "Removal", "certify", "leave_group_out", "leave_one_out", "refit"]
