"""Leave-one-out: what the probe and its posterior are without one sample, for every sample."""

from lsi.loo.certificate import certify
from lsi.loo.group import remove_group
from lsi.loo.newton_step import Removal, remove
from lsi.loo.refit import Refit, refit

__all__ = ["Refit", "Removal", "certify", "refit", "remove", "remove_group"]
