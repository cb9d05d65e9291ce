"""Does a selection help? A probe retrained on what is kept, against as many samples removed at random."""

import numpy as np
from torch import Tensor

from lsi.audit.curation import CurationCheck, check_curation
from lsi.export.selection import Selection
from lsi.runs.run import Run


def check_selection(run: Run, phi: Tensor, selection: Selection) -> CurationCheck:
    """Return the check of a selection of a run, whose features Φ (bias column included) are `phi`.

    Raises:
        UsageError: the selection changes nothing, or leaves too little to train on.
    """
    run.need_labels("The check of a curated set")
    given = run.scores["given_label"].to_numpy().astype(np.int64)
    new = given.copy()
    new[list(selection.relabelled)] = list(selection.relabelled.values())
    kept = np.zeros(len(given), dtype=bool)
    kept[selection.kept] = True
    objective = run.objective(phi)
    return check_curation(objective.likelihood, phi, given, new, kept, objective.prior_precision)
