"""Leave-one-out: what the probe and its posterior are without one sample, for every sample."""

from lsi.laplace.loo.by_class import ByClass, means_by_class, peak_by_class
from lsi.laplace.loo.certificate import certify
from lsi.laplace.loo.group import leave_group_out
from lsi.laplace.loo.newton_step import Removal, batch_rows, leave_one_out, leave_one_out_means, remove
from lsi.laplace.loo.refit import Refit, refit

__all__ = [
    "ByClass",
    "Refit",
    "Removal",
    "batch_rows",
    "certify",
    "leave_group_out",
    "leave_one_out",
    "leave_one_out_means",
    "means_by_class",
    "peak_by_class",
    "refit",
    "remove",
]
