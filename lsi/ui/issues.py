"""The review queue: the suspected labels, the worst first, and why."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lsi.audit.summary import precision_recall_at
from lsi.data.plan import counted
from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.ui import bulk, detail, estimate, samples
from lsi.ui.components import ReviewItems, queue
from lsi.ui.session import View, decisions, read_only, record, reviewer, reviews

QUEUE = "queue"
SHOWN_CLASSES = 5
MOST = 2_000
_ONE_SCREEN = 12


def suspects(view: View, positions: np.ndarray) -> np.ndarray:
    """Return the suspected labels among these positions, the least probable label first, 2,000 at the most."""
    suspected = positions[view.table["is_label_issue"].to_numpy()[positions]]
    return suspected[np.argsort(view.table["label_score"].to_numpy()[suspected], kind="stable")][:MOST]


def progress(view: View) -> None:
    """Say how many suspects are undecided, and how many of them to expect to be wrong."""
    found = estimate.counts(view)
    text = f"{counted(found.undecided, 'suspected label')} {'is' if found.undecided == 1 else 'are'} undecided."
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
        text += (
            f" **{words[0].upper()}{words[1:]}**, about {expected:.0f} of them by the probabilities of their labels "
            f"{basis}."
        )
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
    decided = decisions(view)
    items = [queue_item(view, int(i), decided) for i in positions]

    name, forbidden = reviewer(), read_only()

    def apply(log: list[tuple[int, str, int | None]]) -> None:
        for position, action, label in log if not forbidden else ():
            record(view, name, [position], action, label)

    shown = ReviewItems(
        mark=fingerprint(np.asarray(positions), view.run.name),
        base=f"/thumbs/{view.run.name}" if view.has_images else "",
        items=items,
        classes=view.run.class_names,
        revision=sum(reviews().version(view.run.subject)),
        read_only=forbidden,
    )
    return queue(shown, apply, f"{QUEUE}-{view.run.name}")


def reason(view: View, position: int) -> None:
    """Show the most influential training samples, for the sample on screen."""
    with st.expander(
        f"The most influential training {view.noun}: which support the label and which contradict it", expanded=True
    ):
        detail.reasons(view, position)


def queue_item(view: View, position: int, decided: pd.DataFrame) -> dict[str, Any]:
    """Return what the queue shows of one sample.

    Args:
        view: the run.
        position: of the sample, a row of the run's table.
        decided: decisions in force, indexed by position, with columns action and label.
    """
    row = view.run.scores.iloc[position]
    p = view.run.probabilities.rows([position])[0]
    top = view.run.probabilities.likeliest(SHOWN_CLASSES, [position])[0].tolist()
    given = int(row["given_label"])
    top = top if given in top else [*top[:-1], given]
    decision = decided.loc[position].to_dict() if position in decided.index else None
    return {
        "i": position,
        "id": str(row["id"]),
        "text": str(row["text"]) if "text" in row else "",
        "given": given,
        "top": [[int(c), float(p[c])] for c in top],
        "decision": None if decision is None else str(decision["action"]),
        "label": None if decision is None or pd.isna(decision["label"]) else int(decision["label"]),
    }
