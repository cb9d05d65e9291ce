"""What a run knows of its labels beside those it was computed on: those before decisions, and those made wrong."""

import numpy as np

from lsi.data import noise
from lsi.runs.run import Run

BEFORE = "label_in_data"  # in a run that started from decisions


def labels_in_data(run: Run) -> np.ndarray:
    """Return the name of each sample's class before decisions, (n,): the data's, or what noise made of it."""
    if BEFORE in run.scores.columns:
        return run.scores[BEFORE].to_numpy(dtype=object)
    return np.array(run.class_names, dtype=object)[run.scores["given_label"]]


def still_wrong(run: Run, labels: np.ndarray) -> np.ndarray:
    """Return which labels noise or a second labelling put in the place of the true ones, and nobody changed, (n,).

    Args:
        run: the run, of class labels.
        labels: (n,) class indices of its samples as they are now.
    """
    if "true_label" not in run.scores.columns:
        return np.zeros(len(run.scores), dtype=bool)
    names = np.array(run.class_names, dtype=object)
    return noise.still_wrong(names[labels], labels_in_data(run), names[run.scores["true_label"]])
