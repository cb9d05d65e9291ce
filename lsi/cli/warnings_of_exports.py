"""What an export says on standard error: what of it may not be as whoever asked expects."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from lsi.data.plan import counted
from lsi.export import Selection, n_without_class, n_without_sample, planted_labels
from lsi.runs.moved import moved_and_relabelled, relabelled_words
from lsi.runs.run import Run


def say(text: str) -> None:
    """Print a sentence to standard error under the program's name."""
    print(f"lsi: {text}", file=sys.stderr)


def warn(run: Run, chosen: Selection, cache: Path) -> None:
    """Say where data and labels have changed since the run, and which labels are not those that decisions or data give.

    Args:
        run: the run.
        chosen: what is exported of it.
        cache: where checksums are kept.
    """
    _warn_of_changes(run, cache)
    _warn_of_classes(run, chosen)
    _warn_of_noise(run, chosen)


def warn_of_lost(run: Run, records: list[dict[str, Any]]) -> None:
    """Say how many decisions of a file are about samples that are not there.

    Args:
        run: the run.
        records: of the file.
    """
    count = n_without_sample(run, records)
    if count:
        say(f"{counted(count, 'decision')} of the file {'fits' if count == 1 else 'fit'} no sample here, and "
            f"{'changes' if count == 1 else 'change'} nothing")  # fmt: skip


def warn_of_unknown(run: Run | None, dataset: str) -> None:
    """Say where no run here is on the data that decisions were read in for.

    Args:
        run: one on them, if any.
        dataset: their name.
    """
    if run is None:
        say(f"no run here on {dataset} has these samples, and none on other data has half of them: should the data "
            "have another name here, compute a run on them and read the file in again")  # fmt: skip


def _warn_of_changes(run: Run, cache: Path) -> None:
    changes = {} if run.images is None else run.images.changes(np.arange(len(run.scores)))
    is_read_just_now = not run.has_scores
    moved, relabelled = (0, 0) if changes or is_read_just_now else moved_and_relabelled(run, cache)
    if changes:
        have = "has" if len(changes) == 1 else "have"
        say(f"{len(changes):,} of {len(run.scores):,} images {have} changed since this run: indices refer to the data "
            "as they were")  # fmt: skip
    if moved:
        say(f"{moved:,} of {len(run.scores):,} samples are no longer at the row of the source where they were when "
            "this run was computed: indices refer to the data as they were")  # fmt: skip
    if relabelled:
        say(f"{relabelled_words(relabelled)}: compute again, or name the data with `apply --data`")


def _warn_of_classes(run: Run, chosen: Selection) -> None:
    count = n_without_class(run, chosen)
    if count:
        say(f"{counted(count, 'new label')} that {run.name} started from {'stays' if count == 1 else 'stay'} though no "
            "decision says it any more: the run lacks the class that the data give. Compute again")  # fmt: skip


def _warn_of_noise(run: Run, chosen: Selection) -> None:
    planted = planted_labels(run, chosen)
    if planted:
        say(f"{counted(planted, 'label')} of what is kept {'was' if planted == 1 else 'were'} corrupted on purpose for "
            "this run (--corrupt-label or --human-label-noise), and the files hold the corrupted ones")  # fmt: skip
