"""Information per class, and given → suggested."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lsi.audit.summary import class_figures
from lsi.data.plan import counted
from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.runs.reading import knows_duplicates
from lsi.ui.bar import current_filter, go
from lsi.ui.buttons import pressed
from lsi.ui.session import View
from lsi.ui.wording import plain

MATRIX_CLASSES = 30  # of more the pairs alone are shown
_NARROW = 12  # names of so many classes fit a phone's width
SHOWN_PAIRS, LINKS = 5_000, 8


def per_class(view: View, positions: np.ndarray) -> None:
    """Show LSI per class, with intervals of the mean."""
    st.subheader("Information per class", anchor=False)
    rows = view.run.scores.iloc[positions]
    figure = charts.lsi_boxes_by_class(rows, view.run.class_names)
    with st.container(key=_place("boxes", len(view.run.class_names))):
        st.plotly_chart(figure, alt="Boxes of LSI, one for each class, on a log scale")
    if len(tuple(figure.data)) < rows["given_label"].nunique():
        st.caption(
            f"The {len(tuple(figure.data))} classes of highest median, 5th to 95th percentile; the table has all."
        )
    table = _class_table(view.run.name, fingerprint(positions), view, positions)
    shares, means = ("share of information", "leave-one-out accuracy"), ("mean LSI", "95 % from", "to")
    table = table.assign(**{name: 100 * table[name] for name in shares})
    formats = dict.fromkeys(shares, "%.1f%%") | dict.fromkeys(means, f"%.{_decimals(table['mean LSI'])}f")
    columns = {name: st.column_config.NumberColumn(format=how) for name, how in formats.items()}
    st.dataframe(table, hide_index=True, column_config=columns)


def _place(chart: str, n_classes: int) -> str:
    """Return the key of a chart's container: with many names it stays as wide as they need, and scrolls."""
    return f"wide-{chart}" if n_classes > _NARROW else f"its-{chart}"


def _decimals(values: pd.Series) -> int:
    """Return how many decimals give the median three digits that count."""
    median = float(values.median())
    return min(12, max(0, 2 - math.floor(math.log10(median)))) if median > 0 else 3


@st.cache_data(max_entries=16)
def _class_table(run: str, mark: str, _view: View, _positions: np.ndarray) -> pd.DataFrame:
    names = np.array(_view.run.class_names, dtype=object)
    figures = class_figures(_view.run.scores.iloc[_positions], len(names))
    figures.insert(0, "class", names)
    columns = {
        "class": "class",
        "n_samples": _view.noun,
        "lsi_mean": "mean LSI",
        "lsi_low": "95 % from",
        "lsi_high": "to",
        "lsi_share": "share of information",
        "loo_accuracy": "leave-one-out accuracy",
        "n_label_issues": "suspected",
        "n_near_duplicates": "near duplicates",
    }
    if not knows_duplicates(_view.run.manifest):
        del columns["n_near_duplicates"]
    return figures.loc[figures["n_samples"] > 0, list(columns)].rename(columns=columns)


def confusions(view: View, positions: np.ndarray) -> None:
    """Show which class is given where which is suggested; a cell or a row leads to its samples."""
    st.subheader("Suspected labels: given against suggested", anchor=False)
    names, rows = view.run.class_names, view.run.scores.iloc[positions]
    pairs = confused_pairs(rows)
    if len(names) <= MATRIX_CLASSES:
        _matrix(view, rows)
    if pairs.empty:
        st.caption("No label on screen is suspected.")
        return
    named = np.array(names, dtype=object)
    shown = pd.DataFrame(
        {
            "given": named[pairs["given_label"]],
            "suggested": named[pairs["suggested_label"]],
            view.noun: pairs["count"],
        }
    )
    total = int(pairs["count"].sum())
    listed = f" The table lists the first {SHOWN_PAIRS:,} pairs." if len(pairs) > SHOWN_PAIRS else ""
    st.caption(
        f"{counted(len(pairs), 'pair')} of classes, {counted(total, view.one)}, the largest first.{listed} A click on "
        f"a row opens its {view.noun}; the magnifying glass of the table searches it."
    )
    event: Any = st.dataframe(shown.head(SHOWN_PAIRS), hide_index=True, on_select="rerun", selection_mode="single-row",
                              key=f"pairs-{view.run.name}", height=min(420, 38 + 35 * len(shown)))  # fmt: skip
    for row in event["selection"]["rows"]:
        _open(names, *pairs.iloc[row][["given_label", "suggested_label"]])
    with st.container(horizontal=True):
        for given, suggested, count in pairs.head(LINKS).itertuples(index=False):
            key = f"cell-{view.run.name}-{given}-{suggested}"
            if pressed(f"{plain(named[given])} → {plain(named[suggested])}: {count}", key=key):
                _open(names, given, suggested)


def confused_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return given_label, suggested_label and count of the suspected labels, the largest count first."""
    suspected = rows.loc[rows["is_label_issue"], ["given_label", "suggested_label"]]
    pairs = suspected.value_counts().reset_index(name="count")
    return pairs.sort_values(["count", "given_label", "suggested_label"], ascending=[False, True, True])


def _matrix(view: View, rows: pd.DataFrame) -> None:
    names = view.run.class_names
    st.caption(f"A click on a cell opens its {view.noun}.")
    with st.container(key=_place("matrix", len(names))):
        event: Any = st.plotly_chart(charts.matrix(rows, names), key=f"matrix-{view.run.name}", on_select="rerun",
                                     selection_mode="points", config={"displayModeBar": False},
                                     alt="Matrix of suspected labels, given by suggested class")  # fmt: skip
    for point in event["selection"]["points"]:
        _open(names, round(point["y"]), round(point["x"]))  # both axes count the classes


def _open(names: list[str], given: int, suggested: int) -> None:
    chosen = replace(current_filter(), classes=(names[given],), predicted=(names[suggested],), issues=True)
    go("issues", chosen)  # what the page counted is what is opened
