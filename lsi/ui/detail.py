"""One sample in full: its numbers, its likely classes, its neighbours, and the most influential training samples."""

import numpy as np
import pandas as pd
import streamlit as st

from lsi.errors import LsiError
from lsi.runs.numbers import as_written, nats
from lsi.ui import said
from lsi.ui.bar import current_filter, go
from lsi.ui.buttons import in_words, pressed
from lsi.ui.columns import as_text, shown
from lsi.ui.flags import FLAGS
from lsi.ui.session import View
from lsi.ui.wording import plain

_SIDE = 240  # px of the picture
_DIGITS = 7  # of a target
_LONG = 120  # letters of a value; of a longer one the rest is a click away


@st.dialog("In detail", width="large")
def show(view: View, position: int) -> None:
    """Open a dialog on the sample at a position."""
    with in_words():
        content(view, position)


def content(view: View, position: int) -> None:
    """Show one sample: the image, what was given and is predicted, its neighbours, and the terms of its information.

    Args:
        view: the run.
        position: row of the sample.
    """
    row = view.table.iloc[position]
    with st.container(horizontal=True):
        with st.container(width=_SIDE):
            picture(view, position, _SIDE)
        with st.container():
            st.text(row["id"])
            statement(view, row)
    figures(view, row)
    if view.labelled:
        classes(view, position)
    said.on_sample(view, position)
    if pressed("Show it on the map", "show-on-map", icon=":material/scatter_plot:", type="tertiary"):
        st.session_state["focus"] = view.run.name, position
        go("map", current_filter())
    neighbours(view, position)
    everything(view, view.run.scores, position)
    if st.toggle("Advanced: the parts of its information, and what it rests on", key="advanced"):
        moved = f"moves the {'decision' if view.labelled else 'prediction'}"
        parts = {"term": [moved, "trace", "log-determinant"],
                 "nats": [row["mean_term"], row["trace_term"], row["logdet_term"]]}  # fmt: skip
        st.dataframe(pd.DataFrame(parts), hide_index=True)
        reasons(view, position)


@st.dialog("In detail", width="large")
def show_unlabelled(view: View, row: int) -> None:
    """Open a dialog on a sample without a label, by its row among them."""
    with in_words():
        _unlabelled(view, row)


def _unlabelled(view: View, row: int) -> None:
    facts = view.run.unlabelled.iloc[row]
    left, right = st.columns([2, 3])
    with left:
        if view.has_images:
            picture(view, len(view.table) + row, 320)
        elif "text" in facts:
            st.text(str(facts["text"]))
        st.text(facts["id"])
    with right:
        name = view.run.class_names[int(facts["predicted_label"])]
        st.markdown(f"Without a label; predicted **{plain(name)}**")
        st.metric("Probability of that class", f"{facts['confidence']:.3f}")
    everything(view, view.run.unlabelled, row)


def everything(view: View, table: pd.DataFrame, row: int) -> None:
    """Show what the data and the image itself say of a sample: its flags and figures, and every column of the data.

    Args:
        view: the run.
        table: the scores, or the samples without a label.
        row: of the sample in it.
    """
    facts = table.iloc[row]
    figures = [name for name in view.figures if name in facts.index]
    if figures:
        flagged = [FLAGS[flag].words for flag in view.flags if facts.get(flag, False)]
        st.markdown("**Image quality**" + (f": flagged as {', '.join(flagged)}" if flagged else ""))
        st.dataframe(pd.DataFrame([facts[figures].astype(float)]), hide_index=True,
                     column_config={n: st.column_config.NumberColumn(format="%.4g") for n in figures})  # fmt: skip
    values = {name: as_text(table[name].iloc[row]) for name in view.run.metadata if name in table.columns}
    if not values:
        return
    st.markdown("**Columns of the data**")
    cut = [shown(v) if len(v) <= _LONG else v[:_LONG] + " …" for v in values.values()]
    st.dataframe(pd.DataFrame({"column": list(values), "value": cut}), hide_index=True)
    for name, value in values.items():
        if len(value) > _LONG:
            with st.expander(f"{plain(name)} in full"):
                st.text(value)


def statement(view: View, row: pd.Series) -> None:
    """Say what was given and what is predicted."""
    if view.labelled:
        st.markdown(f"Labelled **{plain(row['given'])}**, predicted without it **{plain(row['predicted'])}**")
    elif view.run.task == "regression":
        for name in view.run.target_names:
            target, predicted = row[f"target {name}"], row[f"loo_prediction {name}"]
            residual = f"{'+' if target > predicted else ''}{as_written(target - predicted)}"
            st.markdown(f"{plain(name)} **{as_written(target, _DIGITS)}**, predicted without it "
                        f"**{as_written(predicted, _DIGITS)}**, residual {residual}")  # fmt: skip


def figures(view: View, row: pd.Series) -> None:
    """Show information, rank, and how probable the label or long the residual is."""
    place = st.container(horizontal=True)
    place.metric("LSI", f"{nats(row['lsi'])} nats", width="content",
                 help=f"How much the posterior depends on this {view.one}.")  # fmt: skip
    place.metric("Rank", f"{row['lsi_rank']:,} of {len(view.table):,}", width="content")
    if view.labelled:
        place.metric("Its label", f"{row['label_score']:.3f}", width="content",
                     help="Probability of its label for a probe that has not seen it.")  # fmt: skip
    else:
        place.metric("Residual", f"{row['standardised_residual']:.2f}", width="content",
                     help="Length of the leave-one-out residual over that expected: near 1 is usual.")  # fmt: skip


def neighbours(view: View, position: int, count: int = 6) -> None:
    """Show the nearest other samples in feature space.

    Args:
        view: the run.
        position: row of the sample.
        count: how many to show.
    """
    index, distance = view.run.neighbours
    st.markdown(f"**Nearest {view.noun}**")
    with st.container(horizontal=True):
        for j, d in zip(index[position][:count], distance[position][:count], strict=True):
            small(view, int(j), f"distance {d:.2g}")


def picture(view: View, position: int, width: int) -> None:
    """Show the image, or the text that stands for it.

    Args:
        view: the run.
        position: row of the sample.
        width: in pixels.
    """
    try:
        data = view.thumbnail(position, 128 if width <= 128 else 512, enlarge=True)
    except LsiError as error:
        st.text(str(error))
        return
    if data is not None:
        st.image(data, width=width, alt=f"image {position}")
    else:
        st.text(str(view.table["text"].iloc[position]) if "text" in view.table.columns else "no image")


def classes(view: View, position: int) -> None:
    """Show the likeliest classes and the given one, with the probabilities that labels are judged by."""
    p = view.run.judged.rows([position])[0]
    given = int(view.run.scores["given_label"].iloc[position])
    top = np.argsort(-p)[:3]
    top = top if given in top else [*top[:2], given]
    names = [view.run.class_names[c] for c in top]
    st.dataframe(
        pd.DataFrame({"class": names, "probability": p[top]}),
        hide_index=True,
        column_config={"probability": st.column_config.ProgressColumn(format="%.3f", min_value=0, max_value=1)},
    )


def reasons(view: View, position: int, count: int = 5) -> None:
    """Show the most influential training samples on either side, and what each label would cost.

    Args:
        view: the run.
        position: row of the sample.
        count: how many samples to show on either side.
    """
    if not view.labelled:
        _pulls(view, position, count)
        return
    explanation = view.explain(position)
    names = view.run.class_names
    proponents, opponents = explanation.proponents_and_opponents(count)
    given, other = plain(names[explanation.given_label]), plain(names[explanation.other_label])
    for title, rows in ((f"Support {given}", proponents), (f"Support {other}", opponents)):
        st.markdown(f"**{title}**")
        with st.container(horizontal=True):
            for j in rows:
                small(view, int(j), f"{explanation.support[j]:+.2f}")
    order = np.argsort(explanation.label_lsi)[:3]
    costs = ", ".join(f"{plain(names[c])} {nats(float(explanation.label_lsi[c]))}" for c in order)
    st.markdown(f"Information it would hold under each label, least first, in nats: {costs}")


def _pulls(view: View, position: int, count: int) -> None:
    """Show which samples pull the prediction to what was given, and which away from it."""
    from lsi.compute.queries import RegressionFit, influence_on_target  # brings torch

    if not isinstance(view.fit, RegressionFit):
        return
    influence = influence_on_target(view.fit.head, position, count)
    for title, rows in (
        ("Pull the prediction to what was given", influence.proponents),
        ("Pull it away", influence.opponents),
    ):
        st.markdown(f"**{title}**")
        with st.container(horizontal=True):
            for j in rows:
                small(view, int(j), f"{influence.support[j]:+.2g}")


def small(view: View, position: int, note: str) -> None:
    """Show a sample with its label, marked where that is suspected, and a note.

    Args:
        view: the run.
        position: row of the sample.
        note: shown below the label.
    """
    row = view.table.iloc[position]
    with st.container(width=110):
        picture(view, position, 96)
        mark = " ⚠" if row["is_label_issue"] else ""
        st.markdown(f"{plain(row['given'])}{mark}  \n{plain(note)}")
