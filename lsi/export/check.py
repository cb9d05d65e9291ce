"""Whether a selection helps: a probe retrained on what is kept, against as many samples removed at random."""

from typing import TYPE_CHECKING

import numpy as np

from lsi.export.selection import Selection
from lsi.export.tables import final_labels
from lsi.runs.run import Run

if TYPE_CHECKING:
    from lsi.audit.curation import CurationCheck


def check_selection(run: Run, selection: Selection) -> "CurationCheck":
    """Return the check of a selection of a run's samples, on the run's own design matrix.

    Raises:
        UsageError: the run has no class labels, or the selection changes nothing or leaves too little to train on.
        DataError: the design matrix is not there.
    """
    from lsi.audit.curation import check_curation  # brings torch, which looking at a run does without
    from lsi.runs.model import objective_of

    run.need_labels("The check of a curated set")
    new = final_labels(run, selection)
    kept = np.zeros(len(new), dtype=bool)
    kept[selection.kept] = True
    return check_curation(objective_of(run), new, kept)
