"""The map of the features, its colours, and the table that says the same in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from lsi.compute import jobs, maps
from lsi.data.plan import counted
from lsi.export import charts
from lsi.runs.records import decision_codes
from lsi.ui import colouring, samples
from lsi.ui.bar import current_filter, set_filter
from lsi.ui.buttons import in_words, pressed
from lsi.ui.colouring import Colouring, LegendEntry
from lsi.ui.columns import Column
from lsi.ui.components import MapPoints, MapTools, scatter
from lsi.ui.deciding import shown_decisions
from lsi.ui.filters import DECISIONS, Lasso
from lsi.ui.login import looks_only
from lsi.ui.session import View, cache

_COLUMN = "Column"
_LISTED = 5_000  # samples in the table
COLOURS = ("LSI", "Class", "Suspected", "Decision", _COLUMN)

_HOW = (
    "Drag to select, with Shift to add and with Alt to take away. The wheel zooms, a right drag moves, a click opens; "
    "arrow keys go from point to point. A click on the legend shows that alone."
)


def positions(view: View) -> np.ndarray | None:
    """Return where the samples lie; while that is not computed, offer to."""
    projection = view.projection()
    if projection is None:
        _wait(view)
    return projection


@st.fragment(run_every=2.0)
def _wait(view: View) -> None:
    """Look again every two seconds while a job is at it; else offer to compute."""
    with in_words():
        _follow(view)


def _follow(view: View) -> None:
    if view.projection() is not None:
        st.rerun()
    if not any(_is_at(job, view) for job in jobs.list_jobs(cache())):
        st.info("The map of this run is not computed yet.")
        if not looks_only() and pressed("Compute it now", "compute-map", icon=":material/play_arrow:"):
            with st.spinner("UMAP …"):
                maps.projection_of_run(view.run, cache())
            st.rerun()
    else:
        st.info("The map is being computed: it follows the scores, and takes half a minute for small data.")


def _is_at(job: jobs.Job, view: View) -> bool:
    """Say whether a job computes this run: its map follows the scores."""
    return (job.run_name == view.run.name or job.settings == view.run.settings) and job.alive


def draw(view: View, where: np.ndarray, shown: np.ndarray, height: int = 600) -> int | None:
    """Show the map; return the sample that was clicked.

    Args:
        view: the run.
        where: positions of all samples on the map, (n, 2).
        shown: positions in the table of the samples that pass the filter; the rest is grey.
        height: of the map in pixels, at most.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hidden = {"classification": (), "self": ("Class", "Suspected")}.get(view.run.task, ("Class",))
        known = [c for c in COLOURS if c not in hidden and (c != _COLUMN or view.columns)]
        kind = st.segmented_control("Colour by", known, default="LSI", required=True, key="colour",
                                    bind="query-params")  # fmt: skip
        name = None
        if kind == _COLUMN:
            name = st.selectbox("Column", view.columns, key="colour_column", width=220, bind="query-params")
        tool = st.segmented_control("Select with", ("Lasso", "Box"), default="Lasso", required=True, key="tool",
                                    help=_HOW, bind="query-params")  # fmt: skip
    painted = _colouring(view, str(kind), name)
    colours = painted.colours
    rest = np.ones(len(where), dtype=bool)
    rest[shown] = False
    colours[rest] = (150, 150, 150, 60)
    points = MapPoints(
        mark=view.run.name,
        base=view.image_base,
        positions=where,
        colors=colours,
        captions=view.captions,
        lsi=view.table["lsi"].to_numpy(),
        legend=[(one.colour, one.text, one.lower, one.value or one.text) for one in painted.legend],
    )
    run, position = st.session_state.get("focus", (None, None))
    filters = {"Class": view.run.class_names, "Suspected": ["suspected"], "Decision": DECISIONS}.get(str(kind), ())
    tools = MapTools(
        current_filter().lassos, tool == "Box", position if run == view.run.name else None, height, filters
    )
    return scatter(points, tools, _lassoed, lambda text: _isolate(str(kind), text), key(view))


def key(view: View) -> str:
    """Return the key of the map of a run."""
    return f"map-{view.run.name}"


def _isolate(kind: str, text: str) -> None:
    """Show only what an entry of the legend stands for."""
    part: dict[str, Any] = {
        "Class": {"classes": (text,)},
        "Suspected": {"issues": True},
        "Decision": {"decision": (text,)},
    }
    set_filter(replace(current_filter(), **part[kind]))


def images(view: View, shown: np.ndarray) -> tuple[list[int], int | None]:
    """Show the samples that the filter leaves, the highest LSI first; return what is selected and what was opened."""
    if len(shown) == len(view.table) or not len(shown):
        st.caption(f"Draw around points, and their {view.noun} appear here.")
        return [], None
    ranking = samples.Ranking(shown, view.table["lsi"].to_numpy(), 96)
    return samples.grid(view, ranking, height=320, key="map_gallery")


def table(view: View, shown: np.ndarray) -> None:
    """Show the samples on screen as a table, the way without a pointer."""
    columns = ["index", "id", "lsi"]
    if view.run.task in ("classification", "regression"):
        columns = ["index", "id", "given", "predicted", "lsi", "label_score"]
    which = f"The same {counted(len(shown), view.one)}"
    if len(shown) > _LISTED:
        which = f"Of these {len(shown):,} {view.noun} the {_LISTED:,} of most information"
    with st.expander(f"{which} as a table"):
        st.dataframe(view.table.iloc[shown[:_LISTED]][columns], hide_index=True)


def _lassoed(lassos: tuple[Lasso, ...]) -> None:
    set_filter(replace(current_filter(), lassos=lassos))


def _colouring(view: View, kind: str, name: str | None) -> Colouring:
    """Return new colours, which may be changed, and what they mean.

    Args:
        view: the run.
        kind: one of COLOURS.
        name: of the column, where one is meant.
    """
    rows = view.table
    if name is not None:
        column = view.column(name)
        return colouring.by_value(column, "values") if column.numbers is None else colouring.by_number(column)
    if kind == "Class":
        classes = Column(rows["given_label"].to_numpy(), np.array(view.run.class_names, dtype=object), None)
        return colouring.by_value(classes, "classes")
    if kind == "Suspected":
        names, codes = ["not suspected", "suspected"], rows["is_label_issue"].to_numpy().astype(int)
    elif kind == "Decision":
        names, codes = list(DECISIONS), decision_codes(len(rows), shown_decisions(view)).astype(int)
    else:
        legend = [LegendEntry(*entry) for entry in charts.RANKS]
        return Colouring(charts.colours(rows["lsi"].to_numpy(), "number"), legend)
    legend = [LegendEntry(charts.PALETTE[i], text) for i, text in enumerate(names)]
    return Colouring(charts.colours(codes, "category"), legend)
