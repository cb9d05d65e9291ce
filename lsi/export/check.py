"""Whether a selection helps: a probe retrained on what is kept, against as many samples removed at random."""

import numpy as np
from torch import Tensor

from lsi.audit.curation import CurationCheck, check_curation
from lsi.export.selection import Selection
from lsi.runs.run import Run


def check_selection(run: Run, phi: Tensor, selection: Selection) -> CurationCheck:
    """Return the check of a selection of a run's samples.

    Args:
        run: a classification of n samples.
        phi: the features Φ that it was computed from, bias column included, (n, D).
        selection: which samples are kept and relabelled.

    Raises:
        UsageError: the run has no class labels, or the selection changes nothing or leaves too little to train on.
    """
    run.need_labels("The check of a curated set")
    new = run.scores["given_label"].to_numpy().astype(np.int64)
    new[list(selection.relabelled)] = list(selection.relabelled.values())
    kept = np.zeros(len(new), dtype=bool)
    kept[selection.kept] = True
    return check_curation(run.objective(phi), new, kept)
