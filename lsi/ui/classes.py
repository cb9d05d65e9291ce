"""Information per class, given → suggested, and two runs side by side."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from scipy.stats import bootstrap

from lsi.audit.summary import class_summary
from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.ui.filters import Filter
from lsi.ui.session import View, open_view, plain, run_names
from lsi.ui.sidebar import go

_RESAMPLES = 500


def per_class(view: View, positions: np.ndarray) -> None:
    """Show LSI per class, with bootstrap intervals of the mean."""
    st.subheader("Information per class", anchor=False)
    rows = view.table.iloc[positions]
    st.plotly_chart(charts.lsi_boxes_by_class(rows, view.run.class_names),
                    alt="Boxes of LSI, one for each class, on a log scale")  # fmt: skip
    st.dataframe(
        _class_table(view.run.name, fingerprint(positions), view, positions),
        hide_index=True,
        column_config={
            "share of information": st.column_config.NumberColumn(format="percent"),
            "leave-one-out accuracy": st.column_config.NumberColumn(format="percent"),
        },
    )


@st.cache_data(max_entries=16)
def _class_table(run: str, mark: str, _view: View, _positions: np.ndarray) -> pd.DataFrame:
    rows, shown = [], _view.table.iloc[_positions]
    for facts in class_summary(shown, tuple(_view.run.class_names)):
        if not facts["n_samples"]:
            continue
        low, high = _interval(shown.loc[shown["given"] == facts["class"], "lsi"].to_numpy())
        rows.append(
            {
                "class": facts["class"],
                _view.noun: facts["n_samples"],
                "mean LSI": facts["lsi_mean"],
                "95 % from": low,
                "to": high,
                "share of information": facts["lsi_share"],
                "leave-one-out accuracy": facts["loo_accuracy"],
                "suspected": facts["n_label_issues"],
                "near duplicates": facts["n_near_duplicates"],
            }
        )
    return pd.DataFrame(rows)


def _interval(values: np.ndarray) -> tuple[float | None, float | None]:
    if len(values) < 3 or values.std() == 0:
        return None, None
    interval = bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(interval.low), float(interval.high)


def confusions(view: View, positions: np.ndarray) -> None:
    """Show which class is given where which is suggested; a cell leads to its samples."""
    st.subheader("Suspected labels: given against suggested", anchor=False)
    names, rows = view.run.class_names, view.table.iloc[positions]
    st.caption(f"A click on a cell opens its {view.noun}.")
    event: Any = st.plotly_chart(charts.matrix(rows, names), key=f"matrix-{view.run.name}", on_select="rerun",
                                 selection_mode="points", config={"displayModeBar": False},
                                 alt="Matrix of suspected labels, given by suggested class")  # fmt: skip
    for point in event["selection"]["points"]:
        given, suggested = names[round(point["y"])], names[round(point["x"])]  # both axes count the classes
        go("issues", Filter(classes=(given,), predicted=(suggested,), issues=True))
    suspected = rows[rows["is_label_issue"]]
    pairs = suspected.groupby(["given", "predicted"]).size().sort_values(ascending=False).head(8)
    with st.container(horizontal=True):
        for pair, count in pairs.items():
            given, predicted = pair  # type: ignore[misc]
            if st.button(f"{plain(given)} → {plain(predicted)}: {count}", key=f"cell-{given}-{predicted}"):
                go("issues", Filter(classes=(str(given),), predicted=(str(predicted),), issues=True))


def compare(view: View) -> None:
    """Compare with another run on the same samples."""
    other_names = [n for n in run_names() if n != view.run.name]
    if not other_names:
        return
    st.subheader("Against another run", anchor=False)
    name = st.selectbox("Other run", other_names, index=None, key="other")
    other = open_view(name) if name else None
    if other is None:
        return
    both = view.table.merge(other.table, on="id", suffixes=("", " there"))
    if len(both) < 3:
        st.info("These runs share no samples.")
        return
    agreement = both["lsi"].corr(both["lsi there"], method="spearman")
    st.markdown(f"{len(both):,} samples in both; rank agreement of LSI (Spearman) **{agreement:.3f}**")
    change = (both["lsi"].rank(pct=True) - both["lsi there"].rank(pct=True)).rename("change of rank")
    most = both.assign(**{"change of rank": change}).sort_values("change of rank", key=np.abs, ascending=False).head(20)
    st.dataframe(most[["id", "given", "predicted", "lsi", "lsi there", "change of rank"]], hide_index=True)
