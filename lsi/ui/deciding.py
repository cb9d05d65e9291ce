"""The decisions about a run's samples: which are in force, and how one is made, taken back and brought back."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import streamlit as st

from lsi.data.plan import counted
from lsi.environment import read_only
from lsi.errors import LsiError
from lsi.runs import trail
from lsi.runs.decisions import REVIEWER_LENGTH, Decision, Reviews
from lsi.runs.records import as_shown, is_kept_apart
from lsi.runs.remarks import remarks
from lsi.ui.login import is_required, looks_only, signed_in
from lsi.ui.session import View, by_key, cache

COOKIE = "lsi_reviewer"
REFUSED = "Read-only: nothing can be changed here."
DONE = {
    "keep": "Kept",
    "relabel": "Relabelled",
    "exclude": "Excluded",
    "unsure": "Left unsure",
    "clear": "Cleared",
    "suggestion": "Took the suggestion",
    "apart": "Kept",
    "away": "Excluded",
}
APART = {"keep": "apart", "exclude": "away"}  # said of samples, and not of their labels


@lru_cache(maxsize=1)
def reviews() -> Reviews:
    """Return the database of decisions."""
    return Reviews.of_cache(cache(), read_only=read_only())


def prepare_for_first_view() -> None:
    """Open the database while the first run is awaited: its tables take half a second, which the run's page would."""
    with suppress(LsiError):  # the page that needs it says why
        reviews()


@lru_cache(maxsize=8)
def _decisions(key: tuple[str, int], _version: tuple[int, int]) -> pd.DataFrame:
    return reviews().current(by_key(key).run.subject)


def decisions(view: View) -> pd.DataFrame:
    """Return the decisions in force about a run's samples, in whichever run they were made, indexed by position."""
    return _decisions(view.key, reviews().version(view.run.subject))


def label_decisions(view: View) -> pd.DataFrame:
    """Return the decisions in force that say something of a label, or that the sample leaves, indexed by position."""
    decided = decisions(view)
    return decided[~is_kept_apart(decided)] if view.labelled else decided


def shown_decisions(view: View) -> pd.DataFrame:
    """Return the decisions in force as filter, tiles and map show them: a suspect is undecided until its label is."""
    decided = decisions(view)
    return as_shown(decided, view.table["is_label_issue"].to_numpy()) if view.labelled else decided


@lru_cache(maxsize=8)
def _remarks(key: tuple[str, int], _version: tuple[int, int]) -> pd.DataFrame:
    return remarks(reviews(), by_key(key).run.subject)


def remarks_on(view: View) -> pd.DataFrame:
    """Return the tags and notes on a run's samples: id, sample (a position), kind, text, reviewer, time."""
    return _remarks(view.key, reviews().version(view.run.subject))


def reviewer() -> str:
    """Return the name under which this session decides: of the login, or as it was entered here or before."""
    entered = str(st.session_state.get("reviewer") or "").strip()
    return (signed_in() if is_required() else entered or remembered()) or "me"


def remembered() -> str:
    """Return the name that was entered in this browser before, "" for none."""
    kept = st.context.cookies.get(COOKIE)
    return unquote(kept).strip()[:REVIEWER_LENGTH] if isinstance(kept, str) else ""


def note(name: str, what: str, about: str, **facts: Any) -> None:
    """Write down who is about to do what, without touching the session; in read-only mode nothing is written.

    Args:
        name: of who does it.
        what: started, cancelled, exported, renamed, deleted or another verb.
        about: which run, dataset or job.
        facts: more of it.

    Raises:
        StorageError: the database cannot be written: what was to be done must wait.
    """
    trail.note(reviews(), name, what, about, **facts)


def refused() -> bool:
    """Say whether this session may change nothing by now, and tell it so; to be asked at each act.

    A page may have been drawn for a role that was taken away since, and callbacks run before the page is drawn anew.
    """
    if not looks_only():
        return False
    st.toast(REFUSED, icon=":material/lock:")
    return True


def decide(view: View, name: str, positions: list[int], what: str, label: int | None = None) -> None:
    """Record one decision for each position, and say so: a callback of buttons.

    Whatever of Streamlit a callback touches may end it there for a newer change, so this and what follows take the
    reviewer's name and touch nothing before they have done their work.

    Args:
        view: the run.
        name: of the reviewer.
        positions: rows of its table.
        what: as `carry_out` takes it.
        label: the new class of a relabel.
    """
    if refused():
        return
    st.toast(carry_out(view, name, positions, what, label))


def decide_undecided(view: View, name: str, positions: list[int], what: str) -> None:
    """Do as `decide` for those of the positions on whose label nothing was decided yet: a callback of buttons.

    Args:
        view: the run.
        name: of the reviewer.
        positions: rows of its table, undecided when the button was drawn.
        what: as `decide` takes it.
    """
    decide_named(view, name, positions, what, lambda: undecided(view, positions))


def decide_named(
    view: View,
    name: str,
    positions: list[int],
    what: str,
    still: Callable[[], Iterable[int]],
    label: int | None = None,
) -> None:
    """Do as `decide` for those of the positions that a rule names still: a callback of buttons.

    Somebody else may have decided since the button was drawn, and no rule overrules that.

    Args:
        view: the run.
        name: of the reviewer.
        positions: rows of its table that the rule named when the button was drawn.
        what: as `decide` takes it.
        still: says which the rule names by the decisions that are in force when it is called.
        label: the new class of a relabel.
    """
    if refused():
        return
    named = {int(i) for i in still()}
    chosen = [i for i in positions if i in named]
    said = carry_out(view, name, chosen, what, label)
    stay = len(positions) - len(chosen)
    st.toast(said + (f" {counted(stay, view.one)} stayed, by what was decided meanwhile." if stay else ""))


def differing(before: pd.DataFrame, after: pd.DataFrame) -> list[int]:
    """Return the positions on which another decision is in force than before.

    Args:
        before: decisions in force, as `decisions` gives them.
        after: those in force later.
    """
    columns, every = ["action", "label"], before.index.union(after.index)
    first, then = (rows[columns].reindex(every).astype(object).fillna("") for rows in (before, after))
    return every[(first != then).any(axis=1)].tolist()


def unchanged(view: View, positions: list[int]) -> Callable[[], list[int]]:
    """Return what says, when it is called, on which of the positions the same is in force as now.

    Args:
        view: the run.
        positions: rows of its table.
    """
    before = decisions(view)

    def still() -> list[int]:
        changed = set(differing(before, decisions(view)))
        return [i for i in positions if i not in changed]

    return still


def carry_out(view: View, name: str, positions: list[int], what: str, label: int | None = None) -> str:
    """Record one decision for each position as one batch that undo takes back as one, and return what was done.

    Args:
        view: the run.
        name: of the reviewer.
        positions: rows of its table.
        what: keep, relabel, exclude, unsure, clear, suggestion for the class that is suggested for each, or apart and
            away for a keep and an exclusion that say nothing of labels.
        label: the new class of a relabel.
    """
    if not positions:
        return "Nothing to decide."
    if what == "suggestion":
        labels = [int(c) for c in view.table["suggested_label"].to_numpy()[positions]]
        record(view, name, positions, "relabel", labels)
    elif what in APART.values():
        record(view, name, positions, "keep" if what == "apart" else "exclude", is_of_label=False)
    else:
        record(view, name, positions, what, label)
    return f"{DONE[what]}: {counted(len(positions), view.one)}. Undo takes it back."


def suggested(view: View, positions: "list[int] | np.ndarray") -> list[int]:
    """Return those of the positions whose label is suspected, and that another class is suggested for."""
    if not view.labelled:
        return []
    rows = view.run.scores.iloc[positions]
    return rows.index[rows["is_label_issue"] & (rows["given_label"] != rows["suggested_label"])].tolist()


def undecided(view: View, positions: list[int]) -> list[int]:
    """Return those of the positions on whose label nothing was decided yet."""
    decided = set(label_decisions(view).index.tolist())
    return [i for i in positions if i not in decided]


def record(
    view: View,
    name: str,
    positions: list[int],
    action: str,
    label: int | list[int] | None = None,
    is_of_label: bool = True,
) -> None:
    """Record decisions under a reviewer's name, without touching the session.

    Args:
        view: the run.
        name: of the reviewer.
        positions: rows of its table.
        action: keep, relabel, exclude, unsure or clear.
        label: the new class of a relabel, or one for each position.
        is_of_label: False for a keep or an exclusion of samples that says nothing of their labels.
    """
    rows = view.table.iloc[positions]
    labels = label if isinstance(label, list) else [label] * len(positions)
    seen = zip(positions, labels, rows["given_label"], rows["suggested_label"], rows["label_score"], strict=True)
    batch = [Decision(int(i), action, c, int(g), int(p), float(s), is_of_label) for i, c, g, p, s in seen]
    reviews().record(view.run.subject, name, batch)


def undo(view: View, name: str) -> None:
    """Take back this reviewer's latest batch."""
    if refused():
        return
    count = reviews().undo(view.run.subject, name)
    st.toast(f"Undone: {counted(count, 'decision')}" if count else "Nothing to undo")


def redo(view: View, name: str) -> None:
    """Bring back this reviewer's latest undone batch."""
    if refused():
        return
    count = reviews().redo(view.run.subject, name)
    st.toast(f"Redone: {counted(count, 'decision')}" if count else "Nothing to redo")
