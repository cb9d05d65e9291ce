"""The review queue: the suspected labels, the worst first, and why."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lsi.audit.label_issues import most_suspect_first
from lsi.audit.summary import precision_recall_at
from lsi.data.plan import counted, some
from lsi.errors import StorageError
from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.ui import bulk, detail, estimate, said, samples
from lsi.ui.bar import KEPT, current_filter, filtered, go
from lsi.ui.buttons import button, pressed
from lsi.ui.components import ReviewItems, queue
from lsi.ui.deciding import (
    REFUSED,
    decide_undecided,
    differing,
    label_decisions,
    record,
    remarks_on,
    reviewer,
    reviews,
)
from lsi.ui.filters import Filter
from lsi.ui.login import looks_only, right_of
from lsi.ui.session import View, by_key

QUEUE = "queue"
SHOWN_CLASSES = 5
MOST = 2_000
_ONE_SCREEN = 12
_EVIDENCE = 5  # images beside a suspect, of each kind
_MOST_NEAR = 200_000  # samples of a run whose neighbours are read
_SAID = {"keep": "confirmed", "relabel": "relabelled", "exclude": "excluded", "unsure": "left unsure"}


def suspects(view: View, positions: np.ndarray) -> np.ndarray:
    """Return the suspected labels among these positions, the least probable label first."""
    suspected = positions[view.table["is_label_issue"].to_numpy()[positions]]
    return suspected[most_suspect_first(view.run.scores.iloc[suspected])]


def first_of(suspected: np.ndarray, decided: pd.Index) -> np.ndarray:
    """Return as many suspects as a list holds, in their order: of more than that the undecided ones before the others.

    Args:
        suspected: positions of the suspects, the least probable label first.
        decided: positions of the samples whose labels are decided.
    """
    is_decided = np.isin(suspected, decided)
    rows = np.concatenate([np.flatnonzero(~is_decided), np.flatnonzero(is_decided)])[:MOST]
    return suspected[np.sort(rows)]


def worklist(view: View) -> np.ndarray:
    """Return the suspects to review, the least probable label first, 2,000 at the most.

    They are those of when the list was made.

    It is made anew for another run or filter, or when that is asked for, and not because something was decided.
    """
    mark = (view.key, current_filter())
    kept = st.session_state.get("worklist")
    if kept is None or kept[0] != mark:
        kept = (mark, first_of(suspects(view, filtered(view)), label_decisions(view).index))
        st.session_state["worklist"] = kept
    return kept[1]


def renew(view: View, positions: np.ndarray, passing: np.ndarray) -> None:
    """Where more are suspected than the list holds, say so; where decisions have changed what passes, offer it anew.

    Args:
        view: the run.
        positions: the suspects on the list.
        passing: all suspects that pass the filter now.
    """
    what, n = "label" if view.labelled else "target", len(positions)
    if n < len(passing):
        order = "the least probable" if view.labelled else "those with the longest residuals"
        st.markdown(
            f"This list holds **{n:,} of {len(passing):,}** suspected {what}s: {order} among the undecided ones come "
            "first. The next ones follow once these are decided."
        )
    if not np.isin(positions, passing).all() or n < min(MOST, len(passing)):
        button("Apply the filter again", icon=":material/refresh:", type="tertiary", on_click=_forget_list,
                  help="The list stays as it was while you decide.")  # fmt: skip


def _forget_list() -> None:
    st.session_state.pop("worklist", None)


def progress(view: View) -> None:
    """Say how many suspects are undecided, and how many of them to expect to be wrong."""
    found = estimate.counts(view)
    whole = " of the whole run" if replace(current_filter(), issues=False).chips() else ""
    text = f"{counted(found.undecided, 'suspected label')}{whole} {'is' if found.undecided == 1 else 'are'} undecided."
    if found.undecided and estimate.is_weak(view):
        st.markdown(text)
        st.warning(estimate.weak_words(view), icon=":material/visibility_off:")
        return
    if found.undecided:
        words = estimate.range_words(view)
        expected = estimate.of_undecided(view).expected
        basis = "alone; each decision narrows the range"
        if found.decided:
            basis = f"and {counted(found.decided, 'decision')} so far"
        several = (
            f" **{words[0].upper()}{words[1:]}**, about {expected:.0f} of them by the probabilities of their labels"
        )
        one = f" It is wrong with a probability of **{expected:.0%}**, by that of its label"
        text += f"{one if found.undecided == 1 else several} {basis}."
    st.markdown(text)


def precision(view: View) -> None:
    """Show how precise a cut of the label scores is, where the run was calibrated."""
    calibration = view.run.manifest.get("calibration")
    if calibration is None:
        return
    table, expected = view.table, calibration["expected_wrong"]
    with st.expander(f"How precise is a cut? About {expected:,.0f} of all {len(table):,} labels are wrong"):
        most = int(min(len(table), max(20, 4 * expected, 2 * table["is_label_issue"].sum())))
        taken = st.slider("Labels taken, the least probable first", 1, most, max(1, min(most, round(expected))))
        at = precision_recall_at(table["label_score"].to_numpy(), table["p_wrong"].to_numpy(), (taken,))[0]
        st.markdown(
            f"Of the **{taken:,}** least probable labels about **{at['precision']:.0%}** are wrong; they hold about "
            f"**{at['recall']:.0%}** of all wrong ones. Their label scores go up to {at['label_score']:.3g}."
        )
        counts = tuple(np.unique(np.linspace(1, most, 60).round().astype(int)).tolist())
        curve = precision_recall_at(table["label_score"].to_numpy(), table["p_wrong"].to_numpy(), counts)
        st.plotly_chart(
            charts.precision_recall_curve(pd.DataFrame(curve), taken), config={"displayModeBar": False}, key="cuts"
        )
        st.caption(
            f"Predicted from {calibration['n_planted']:,} labels that were flipped on purpose and looked at again. "
            "Where annotators err at random, or hardly at all, it expects too many."
        )


def residuals(view: View, positions: np.ndarray) -> int | None:
    """Show suspected targets, the longest residual first, with decisions about them; return what was opened."""
    st.write(
        "Their targets lie further from what a model that has not seen them predicts than residuals usually do: more "
        "than 3.5 robust deviations above the median. Double-click opens one."
    )
    ranking = samples.Ranking(positions, view.table["lsi"].to_numpy(), 128)
    selected, opened = samples.grid(view, ranking, 320 if len(positions) <= _ONE_SCREEN else 640, "residuals")
    chosen = selected or [int(i) for i in positions]
    bulk.actions(view, chosen, "selected" if selected else "suspected", "residuals-actions")
    with st.expander("The same as a table"):
        shown = [c for c in view.table.columns if c.startswith(("target ", "loo_prediction "))]
        columns = ["index", "id", *shown, "standardised_residual", "lsi"]
        st.dataframe(view.table.iloc[positions[:5_000]][columns], hide_index=True)
    return opened


def review(view: View, positions: np.ndarray) -> int | None:
    """Show the queue and return the position on screen."""
    decided = label_decisions(view)
    items = queue_items(view, positions, decided)
    name, may_decide = reviewer(), right_of("reviewer", "admin")

    def apply(position: int, action: str, label: int | None) -> str:
        if not may_decide():
            return REFUSED
        if action == "undo":
            return take_back(view, name, position)
        record(view, name, [position], action, label)
        return ""

    shown = ReviewItems(
        mark=fingerprint(np.asarray(positions), view.run.name),
        base=view.image_base,
        items=items,
        classes=view.run.class_names,
        typical=typical(view),
        at=opening_place(positions, decided.index),
        revision=sum(reviews().version(view.run.subject)),
        read_only=looks_only(),
    )
    return queue(shown, apply, f"{QUEUE}-{view.run.name}")


def take_back(view: View, name: str, expected: int) -> str:
    """Take back this reviewer's latest batch, and return what is to be said unless just the expected sample changed.

    Args:
        view: the run.
        name: of the reviewer.
        expected: position of the sample that the queue has seen decided last; −1 for none.
    """
    before = reviews().current(view.run.subject)
    count = reviews().undo(view.run.subject, name)
    if not count:
        return "Nothing to undo"
    undone = f"Undone: {counted(count, 'decision')}"
    try:
        after = reviews().current(view.run.subject)
    except StorageError:  # raised, it would be undone once more
        return undone
    changed = differing(before, after)
    if changed == [expected]:
        return ""
    if not changed:
        return f"{undone}. It changes nothing that is in force."
    ids = view.table["id"].iloc[changed].astype(str).tolist()
    return f"Undone: {counted(len(changed), 'decision')}, on {some(ids, 3)}"


def opening_place(positions: np.ndarray, decided: pd.Index) -> int:
    """Return the number of the item to open at: the one that the address names, else the first that is undecided."""
    named = st.query_params.get(KEPT, "")
    if named.isdecimal() and int(named) in positions:
        return int(np.flatnonzero(positions == int(named))[0])
    undecided = np.flatnonzero(~np.isin(positions, decided))
    return int(undecided[0]) if len(undecided) else 0


@lru_cache(maxsize=16)
def _typical(key: tuple[str, int]) -> dict[int, list[int]]:
    table = by_key(key).run.scores
    good = table[~table["is_label_issue"] & (table["given_label"] == table["suggested_label"])]
    first = good.sort_values("lsi", kind="stable").groupby("given_label").head(_EVIDENCE)
    found: dict[int, list[int]] = {}
    for position, label in zip(first.index.tolist(), first["given_label"].tolist(), strict=True):
        found.setdefault(label, []).append(position)
    return found


def typical(view: View) -> dict[int, list[int]]:
    """Return positions of typical samples by class: those of least information whose labels are not suspected."""
    return _typical(view.key) if view.has_images else {}


def alike(view: View, positions: np.ndarray) -> dict[int, list[tuple[int, int]]]:
    """Return position and class of the most similar samples whose labels are not suspected, for each position."""
    if not view.has_images or len(view.table) > _MOST_NEAR:
        return {}
    table, near = view.run.scores, view.run.neighbours[0]
    given, suspected = table["given_label"].to_numpy(), table["is_label_issue"].to_numpy()
    return {
        int(i): [(int(j), int(given[j])) for j in near[i] if j >= 0 and not suspected[j]][:_EVIDENCE] for i in positions
    }


def ending(view: View, positions: np.ndarray, passing: np.ndarray) -> None:
    """Where all of the list is decided, say what was decided and where to go on.

    Args:
        view: the run.
        positions: the suspects on the list.
        passing: all suspects that pass the filter now.
    """
    place = st.container()  # drawn also where it stays empty, so that what follows keeps its place
    decided = label_decisions(view)["action"]
    if decided.reindex(positions).isna().any():
        return
    left = passing[~np.isin(passing, decided.index)]
    done = positions if len(left) else np.union1d(positions, passing)  # the lists before this one count as well
    counts, kinds = decided.reindex(done).value_counts(), _SAID if view.labelled else _SAID | {"keep": "kept"}
    words = ", ".join(f"{int(counts[name]):,} {said}" for name, said in kinds.items() if name in counts)
    of_list = " of this list" if len(left) else ""
    place.success(
        f"{'The only one' if len(done) == 1 else f'All {len(done):,}'}{of_list} {'is' if len(done) == 1 else 'are'} "
        f"decided: {words}.{f' {len(left):,} more are suspected and undecided.' if len(left) else ''}",
        icon=":material/check:",
    )
    with place.container(horizontal=True):
        if len(left):
            button(f"Review the next {min(MOST, len(left)):,}", _forget_list, key="after-next", type="primary",
                   icon=":material/arrow_forward:")  # fmt: skip
        for page, text in (("redundancy", "Look at duplicates and quality"), ("export", "Check, export, recompute")):
            if pressed(text, f"after-{page}", type="tertiary", icon=":material/arrow_forward:"):
                go(page, Filter())


def several(view: View, positions: np.ndarray) -> None:
    """Offer one decision for the least probable labels of the list that are undecided, as one batch."""
    if looks_only():
        return
    undecided = positions[~np.isin(positions, label_decisions(view).index)]
    if len(undecided) < 2:
        return
    with st.expander("Decide several at once"):
        count = st.slider(
            "The undecided ones with the least probable labels", 1, len(undecided), min(10, len(undecided))
        )
        chosen = [int(i) for i in undecided[:count]]
        suggested = view.run.scores["suggested_label"].to_numpy()[chosen]
        given = view.run.scores["given_label"].to_numpy()[chosen]
        changed = [i for i, s, g in zip(chosen, suggested, given, strict=True) if s != g]
        with st.container(horizontal=True):
            button(f"Take the suggestion for {len(changed):,}", key="several-suggestion", on_click=decide_undecided,
                      args=(view, reviewer(), changed, "suggestion"), disabled=not changed)  # fmt: skip
            button(f"Keep the labels of {count:,}", key="several-keep", on_click=decide_undecided,
                      args=(view, reviewer(), chosen, "keep"))  # fmt: skip
            button(f"Exclude {count:,}", key="several-exclude", on_click=decide_undecided,
                      args=(view, reviewer(), chosen, "exclude"))  # fmt: skip
        st.caption("It is one batch: Undo, or Z in the queue, takes all of it back.")


def remark(view: View, position: int) -> None:
    """Show the tags and notes of the sample on screen."""
    count = int((remarks_on(view)["sample"] == position).sum())
    with st.expander(f"Tags and notes ({count:,})" if count else "Tags and notes", key="remarks"):
        said.on_sample(view, position)


def reason(view: View, position: int) -> None:
    """Offer the most influential training samples, for the sample on screen; they are computed when asked for."""
    words = (
        "How much each one adds to the log-odds of the given class against the suggested one, or the likeliest other "
        "one where the given class is suggested."
    )
    if st.toggle(f"Advanced: the {view.noun} whose labels influence this one most", key="influence", help=words):
        detail.reasons(view, position)


def queue_items(view: View, positions: np.ndarray, decided: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what the queue shows of each sample.

    Args:
        view: the run.
        positions: of the samples, rows of the run's table, (s,).
        decided: decisions in force, indexed by position, with columns action and label.
    """
    rows = decided[["action", "label"]].reindex(positions)
    said = [
        {"decision": None if pd.isna(action) else str(action), "label": None if pd.isna(label) else int(label)}
        for action, label in zip(rows["action"], rows["label"], strict=True)
    ]
    return [item | own for item, own in zip(_items(view.key, tuple(positions.tolist())), said, strict=True)]


@lru_cache(maxsize=8)
def _items(key: tuple[str, int], positions: tuple[int, ...]) -> list[dict[str, Any]]:
    """Return what the queue shows of each sample that no decision changes; nobody may change what is returned."""
    view, chosen = by_key(key), np.array(positions, dtype=np.int64)
    rows, near = view.run.scores.iloc[chosen], alike(view, chosen)
    given = rows["given_label"].to_numpy()
    judged, suggested = view.run.judged, rows["suggested_label"].to_numpy()
    top = judged.likeliest(SHOWN_CLASSES, chosen).astype(np.int64)
    missing = ~(top == given[:, None]).any(axis=1)
    top[missing, -1] = given[missing]
    p = np.take_along_axis(judged.rows(chosen), top, axis=1)
    texts = rows["text"].astype(str).tolist() if "text" in rows.columns else [""] * len(rows)
    return [
        {
            "i": position,
            "id": name,
            "text": text,
            "given": label,
            "suggested": other if other != label else None,
            "top": list(map(list, zip(classes, probabilities, strict=True))),
            "near": near.get(position, []),
        }
        for position, name, text, label, other, classes, probabilities in zip(
            positions,
            rows["id"].astype(str),
            texts,
            given.tolist(),
            suggested.tolist(),
            top.tolist(),
            p.tolist(),
            strict=True,
        )
    ]
