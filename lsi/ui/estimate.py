"""How many of the suspected labels are wrong: a range, or nothing where the features are too weak to say."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lsi.audit.remaining import WEAK, ErrorEstimate, estimate_remaining_errors
from lsi.ui.deciding import label_decisions, reviews
from lsi.ui.session import View, by_key


@dataclass(frozen=True)
class Suspects:
    """The suspected labels of a run and what has become of them: numbers of labels."""

    suspected: int
    decided: int
    undecided: int


def counts(view: View) -> Suspects:
    """Return how many labels are suspected, decided (unsure among them), and left."""
    suspected = view.table.index[view.table["is_label_issue"]]
    undecided = int(label_decisions(view)["action"].reindex(suspected).isna().sum())
    return Suspects(len(suspected), len(suspected) - undecided, undecided)


def is_weak(view: View) -> bool:
    """Say whether the probe agrees with fewer than half of the labels that it has not seen."""
    return view.labelled and view.run.manifest["summary"]["loo_accuracy"] < WEAK


def weak_words(view: View) -> str:
    """Return what a weak probe means for the suspects, and what would help."""
    accuracy = view.run.manifest["summary"]["loo_accuracy"]
    return (
        f"Without having seen them, the probe agrees with {accuracy:.0%} of the labels only: these features tell the "
        "classes apart too little to judge labels, and how many of the suspects are wrong cannot be said. Another "
        "backbone, or embeddings of your own model, would help."
    )


def of_undecided(view: View) -> ErrorEstimate:
    """Return how many of the undecided suspects are wrong, by the probabilities of labels and the decisions so far.

    What was excluded for another reason than its label, as a copy say, tells nothing of the labels of others.
    """
    return _estimate(view.key, reviews().version(view.run.subject))


def range_words(view: View) -> str:
    """Return the range as words: between 19 and 81 of them are wrong."""
    estimate = of_undecided(view)
    low, high = int(np.floor(estimate.low)), int(np.ceil(estimate.high))
    if low == high:
        return f"{low:,} of them {'is' if low == 1 else 'are'} wrong"
    return f"between {low:,} and {high:,} of them are wrong"


@lru_cache(maxsize=32)
def _estimate(key: tuple[str, int], _version: tuple[int, int]) -> ErrorEstimate:
    view = by_key(key)
    suspected = view.table.index[view.table["is_label_issue"]]
    found, p = label_decisions(view).reindex(suspected), view.table["label_score"].loc[suspected]
    action = found["action"]
    wrong = (action == "relabel") | (action == "exclude") & ~found["is_of_label"].isin([False])
    undecided = action.isna()
    decided = wrong | (action == "keep")
    return estimate_remaining_errors(
        p[undecided].to_numpy(), p[decided].to_numpy(), wrong[decided].to_numpy(dtype=bool)
    )
