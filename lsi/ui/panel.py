"""The panel beside the gallery: the map, how the information lies, or one sample in detail."""

import numpy as np
import streamlit as st

from lsi.ui import detail, map_view, samples
from lsi.ui.bar import KEPT
from lsi.ui.buttons import button
from lsi.ui.deciding import DONE, decide, decisions, reviewer, suggested
from lsi.ui.filtering import as_meant
from lsi.ui.login import looks_only
from lsi.ui.session import View
from lsi.ui.wording import plain

MAP, INFORMATION, DETAIL = "Map", "Information", "Detail"
_PANEL, _OPENED = "panel", "opened"
_HEIGHT = 520


def choose(view: View) -> str | None:
    """Show which panel stands beside the gallery; a sample that was just opened turns to its detail."""
    for key in (samples.gallery_key(view), map_view.key(view)):
        opened = (st.session_state.get(key) or {}).get("open")
        if opened is not None:
            _open(view, int(opened))
    chosen = st.segmented_control("Beside the gallery", (MAP, INFORMATION, DETAIL), key=_PANEL, bind="query-params",
                                  label_visibility="collapsed")  # fmt: skip
    if chosen != DETAIL and KEPT in st.query_params:
        del st.query_params[KEPT]
    return chosen


def draw(view: View, which: str | None, positions: np.ndarray, order: np.ndarray) -> None:
    """Draw the panel.

    Args:
        view: the run.
        which: the panel.
        positions: of the samples on screen.
        order: the same in the order of the gallery.
    """
    if which == MAP:
        where = map_view.positions(view)
        if where is not None:
            map_view.draw(view, where, positions, _HEIGHT)
    elif which == INFORMATION:
        samples.histogram(view, positions)
    elif which == DETAIL:
        _detail(view, order)


def _open(view: View, position: int) -> None:
    st.session_state[_OPENED] = (view.run.name, position)
    st.session_state["focus"] = (view.run.name, position)
    st.session_state[_PANEL] = DETAIL


def _position(view: View, order: np.ndarray) -> int:
    """Return the sample in detail: the one that was opened, or that an address names, or else the first."""
    if _OPENED not in st.session_state:
        named = st.query_params.get(KEPT, "")
        if named.isdecimal() and int(named) < len(view.table):
            st.session_state[_OPENED] = (view.run.name, int(named))
    run, position = st.session_state.get(_OPENED, (None, None))
    return position if run == view.run.name and position is not None else int(order[0])


def _detail(view: View, order: np.ndarray) -> None:
    position = _position(view, order)
    if st.query_params.get(KEPT) != str(position):
        st.query_params[KEPT] = str(position)
    found = np.flatnonzero(order == position)
    at = int(found[0]) if len(found) else -1  # the next one is the first
    with st.container(horizontal=True, vertical_alignment="center"):
        for text, to, shortcut, icon in (("Previous", at - 1, "Left", "back"), ("Next", at + 1, "Right", "forward")):
            button(text, key=f"step-{text}", icon=f":material/arrow_{icon}:", shortcut=shortcut, on_click=_open,
                      disabled=not 0 <= to < len(order), args=(view, int(order[to % len(order)])))  # fmt: skip
        st.caption(f"{at + 1:,} of {len(order):,}" if len(found) else "not among those on screen", width="content")
    _actions(view, position, int(order[min(at + 1, len(order) - 1)]))
    detail.content(view, position)


def _actions(view: View, position: int, after: int) -> None:
    """Offer the decisions about one sample; each steps on to the one after it."""
    decided = decisions(view)
    if position in decided.index:
        row = decided.loc[position].to_dict()
        label = f" as {plain(view.run.class_names[int(row['label'])])}" if row["action"] == "relabel" else ""
        st.markdown(f"Decided: **{DONE[str(row['action'])].lower()}{label}**")
    if looks_only():
        return
    name = reviewer()

    def act(what: str, label: int | None = None) -> None:
        decide(view, name, [position], what, label)
        _open(view, after)

    keep, exclude = as_meant("keep"), as_meant("exclude")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        button("Keep", key="detail-keep", icon=":material/check:", on_click=act, args=(keep,))
        if suggested(view, [position]):
            other = plain(view.table["predicted"].iloc[position])
            button(f"Take the suggestion: {other}", key="detail-suggestion", type="primary", on_click=act,
                      args=("suggestion",))  # fmt: skip
        button("Exclude", key="detail-exclude", icon=":material/block:", on_click=act, args=(exclude,))
        button("Unsure", key="detail-unsure", on_click=act, args=("unsure",))
        if view.labelled:
            names = view.run.class_names
            label = st.selectbox("Another class", range(len(names)), index=None, width=180, placeholder="Another class",
                                 key=f"detail-label-{view.run.name}-{position}", label_visibility="collapsed",
                                 format_func=lambda c: names[c])  # fmt: skip
            if label is not None:
                button("Relabel", key="detail-relabel", on_click=act, args=("relabel", int(label)))
