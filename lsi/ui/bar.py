"""The bar at the head of every page: the run, the filter with its chips, and the decisions.

Run, filter and how the page is looked at stand in the address.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lsi.compute import jobs
from lsi.environment import base_path
from lsi.runs.decisions import REVIEWER_LENGTH
from lsi.ui.buttons import button, pressed
from lsi.ui.components import one_entry_a_page, remember
from lsi.ui.deciding import COOKIE, decisions, redo, remarks_on, remembered, reviewer, shown_decisions, undo
from lsi.ui.filtering import controls, current_filter, has_filter, set_filter
from lsi.ui.filters import DECISIONS, Filter
from lsi.ui.first_run import FIRST
from lsi.ui.login import is_required, looks_only, signs_in_here
from lsi.ui.session import View, cache, labels_apart, open_view, run_label, run_names
from lsi.ui.wording import plain

# the chosen run has a key that is no widget's: Streamlit forgets those of a widget when the page changes
LOOKS = ("order", "tile", "panel", "colour", "colour_column", "tool")  # widgets that stand in the address themselves
KEPT = "at"  # the place in the review queue, or the sample in detail; a page that has none drops it
DRAWN_WITHOUT_RUNS = "drawn_without_runs"  # whether there was no run yet when the page on screen began
_OFFERED = 200  # runs in the box at the head, the newest; the page Runs has all of them
_RUN, _RUN_BOX, _SLOT = "chosen_run", "run_box", "bar_slot"
_MISSING = "missing_run"  # that the address names
_NAMED = "name_in_browser"  # the reviewer's, once this session has written it: cookies are those of its first request


def current_view() -> View | None:
    """Return the chosen run, or None while there is none."""
    name = st.session_state.get(_RUN)
    return open_view(name) if name else None


def page_view() -> View:
    """Return the chosen run; where there is none, say what to do and end the page."""
    view = current_view()
    if view is None:
        st.info(why_none())
        st.stop()
    return view


def why_none(where: str = "on the Overview") -> str:
    """Return why there is no run to show, and what to do.

    Args:
        where: the form is that starts one.
    """
    running = [job.settings for job in jobs.list_jobs(cache()) if job.state == "running"]
    if any(settings.data == FIRST.data and settings.noise == FIRST.noise for settings in running):
        return (
            "The first run is being computed: 2,000 images of clothes, 5 % of their labels flipped on purpose. It "
            "takes seconds, and this page shows it as soon as it is done."
        )
    if running:
        return "The first run is being computed. This page shows it as soon as it is done."
    return "There is no run yet." if looks_only() else f"There is no run yet. Start one {where}."


def need_labels(view: View, what: str) -> None:
    """Where the samples have no classes, say so and where to go instead, and end the page."""
    if view.labelled:
        return
    targets = {
        "self": "no labels",
        "regression": "numbers instead of classes",
        "paired": "partners instead of classes",
    }[view.run.task]
    st.info(
        f"These {view.noun} have {targets}, so there is no {what} to see. Samples, Map and Quality and duplicates show "
        "what is typical, odd or redundant."
    )
    if pressed("Browse by information", "browse", icon=":material/grid_view:", type="tertiary"):
        go("samples", Filter())
    st.stop()


def shown_positions(view: View) -> np.ndarray:
    """Show the chips and return the positions on screen; where there are none, say what to do and end the page."""
    positions = filtered(view)
    chips(view, len(positions))
    if not len(positions):
        st.info("Nothing passes the filter. Remove a part of it above.")
        st.stop()
    return positions


def go(page: str, chosen: Filter) -> None:
    """Switch to a page with this filter in force, and stay in the chosen run."""
    set_filter(chosen)
    st.switch_page(st.session_state["pages"][page], query_params=_query())


def filtered(view: View, chosen: Filter | None = None) -> np.ndarray:
    """Return the positions that a filter leaves, by default those on screen, the highest LSI first."""
    chosen = current_filter() if chosen is None else chosen
    positions = view.projection() if chosen.lassos else None
    said = remarks_on(view) if chosen.tags or chosen.noted else None
    passes = chosen.mask(view.table, shown_decisions(view), positions, view.column, said)
    kept = np.flatnonzero(passes & view.is_new if chosen.new else passes)
    return kept[np.argsort(-view.table["lsi"].to_numpy()[kept], kind="stable")]


def draw(title: str, is_filtered: bool = True) -> None:
    """Draw the bar and bring the address up to date.

    Args:
        title: of the page; empty for one that shows its own.
        is_filtered: whether the page on screen shows what the filter leaves.
    """
    one_entry_a_page()
    _read_url()
    if not is_required():  # its box may not be reached where something fails before, and would forget it
        st.session_state.setdefault("reviewer", st.session_state.get(_NAMED) or remembered() or "me")
    names = run_names()
    st.session_state[DRAWN_WITHOUT_RUNS] = not names
    with st.container(horizontal=True, vertical_alignment="center", key="bar", gap="small"):
        if title:
            st.title(title, anchor=False, width="content")
        view = _run_box(names) if names else None
        if view is not None and is_filtered:
            with st.popover("Filter", icon=":material/filter_list:", key="filter-box"):
                controls(view)
        st.session_state[_SLOT] = st.container(horizontal=True, vertical_alignment="center", width="stretch",
                                               gap="xsmall")  # fmt: skip
        if view is not None:
            _decided(view)
        if looks_only():
            st.badge("Read-only", icon=":material/lock:", color="gray")
        _who()
    missing = st.session_state.get(_MISSING)
    if missing is not None and names:
        st.warning(
            f"The run {plain(missing)}, which was asked for, is not here. Another one is shown: "
            f"{plain(run_label(st.session_state[_RUN]))}. Choose at the head of the page.",
            icon=":material/link_off:",
        )
    _write_url()


def _who() -> None:
    """Show under which name decisions are kept: that of a login, or one that is entered."""
    if is_required():
        with st.popover(plain(reviewer()), icon=":material/person:", key="reviewer-box"):
            st.caption(f"Signed in as {plain(reviewer())}.")
            if signs_in_here():
                button("Sign out", on_click=st.logout)
    elif not looks_only():
        with st.popover(plain(reviewer()), icon=":material/person:", key="reviewer-box"):
            st.text_input("Reviewer", key="reviewer", max_chars=REVIEWER_LENGTH,
                          help="Decisions are kept under this name, and this browser remembers it.")  # fmt: skip
            if reviewer() != st.session_state.get(_NAMED, remembered() or "me"):
                st.session_state[_NAMED] = reviewer()
            if _NAMED in st.session_state:
                remember(COOKIE, st.session_state[_NAMED], base_path() or "/")


def _run_box(names: list[str]) -> View | None:
    if st.session_state.get("next_run") in names:
        choose(st.session_state.pop("next_run"))
    if st.session_state.get(_RUN) not in names:
        gone = st.session_state.get(_RUN) or st.session_state.get(_MISSING)  # deleted meanwhile, or asked for
        choose(names[0])
        if gone:
            st.session_state[_MISSING] = gone
    st.session_state[_RUN_BOX] = st.session_state[_RUN]
    offered = names[:_OFFERED]
    if st.session_state[_RUN] not in offered:
        offered = [st.session_state[_RUN], *offered]
    labels = labels_apart(offered)  # Streamlit takes what was chosen back by its label
    st.selectbox("Run", offered, key=_RUN_BOX, on_change=_chosen, width=240,
                 format_func=lambda name: labels[name], label_visibility="collapsed")  # fmt: skip
    view = current_view()
    if view is not None:
        _drop_what_the_run_lacks(view)
    return view


def _chosen() -> None:
    choose(st.session_state[_RUN_BOX])


def forget(name: str) -> None:
    """Let a run that this session deleted be the chosen one no longer; its end is no surprise."""
    if st.session_state.get(_RUN) == name:
        del st.session_state[_RUN]


def choose(name: str) -> None:
    """Choose a run, and drop what refers to positions or classes of another one: parts of the filter, and the place."""
    if (st.session_state.get(_RUN) or st.session_state.get(_MISSING) or name) != name and KEPT in st.query_params:
        del st.query_params[KEPT]
    st.session_state[_RUN] = name
    st.session_state.pop(_MISSING, None)
    view, chosen = open_view(name), current_filter()
    if view is not None:
        known = set(view.run.class_names) if view.labelled else set()
        set_filter(replace(chosen, lassos=(), group=None, classes=tuple(c for c in chosen.classes if c in known),
                           predicted=tuple(c for c in chosen.predicted if c in known)))  # fmt: skip


def _drop_what_the_run_lacks(view: View) -> None:
    """Drop what the filter says of classes, columns and flags that the run lacks, of another run or an old address."""
    chosen = current_filter()
    columns = tuple(one for one in chosen.columns if one.column in view.columns)
    splits = set(view.table["split"].unique()) if chosen.split and "split" in view.table.columns else set()
    lacking = {
        "split": tuple(s for s in chosen.split if s in splits),
        "decision": tuple(d for d in chosen.decision if d in DECISIONS and (view.labelled or d != "relabel")),
        "quality": tuple(f for f in chosen.quality if f in view.flags),
    }
    known = set(view.run.class_names) if view.labelled else set()
    for name in ("classes", "predicted"):
        lacking[name] = tuple(c for c in getattr(chosen, name) if c in known)
    has_two_labellings = bool({"true_label", "label_in_data"} & set(view.table.columns))
    issues, differs = chosen.issues and view.run.task != "self", chosen.differs and has_two_labellings
    set_filter(replace(chosen, columns=columns, issues=issues, differs=differs, **lacking))


def chips(view: View, shown: int) -> None:
    """Show what is on screen: the count, and the parts of the filter, each removable."""
    parts = current_filter().chips("labels" if view.labelled else "targets")
    with st.session_state[_SLOT]:
        total = len(view.table)
        st.markdown(
            f"**{shown:,}** of {total:,} {view.noun}" if shown < total else f"All **{total:,}** {view.noun}",
            width="content",
        )
        for name, rest in parts.items():
            button(plain(name), key=f"chip-{name}", icon=":material/close:", on_click=set_filter, args=(rest,),
                      help="Remove this part of the filter")  # fmt: skip
        if len(parts) > 1:
            button("Clear all", key="chip-all", on_click=set_filter, args=(Filter(),), type="tertiary")


def _decided(view: View) -> None:
    """Show how many decisions are in force, and the way back."""
    _counts(decisions(view))
    if not looks_only():
        button("Undo", key="undo", icon=":material/undo:", type="tertiary", on_click=undo, args=(view, reviewer()))
        button("Redo", key="redo", icon=":material/redo:", type="tertiary", on_click=redo, args=(view, reviewer()))


def _counts(decided: pd.DataFrame) -> None:
    counts = decided["action"].value_counts()
    summary = ", ".join(f"{counts[d]:,} {d}" for d in DECISIONS[1:] if d in counts)
    st.markdown(f"Decisions: {summary or 'none yet'}", width="content")


def _read_url() -> None:
    context = get_script_run_ctx()
    if has_filter() and not (context is not None and context.is_history_navigation):
        return
    query = {name: st.query_params.get_all(name) for name in st.query_params}
    set_filter(Filter.from_query(query))
    wanted = next(iter(query.get("run", ())), None)
    if wanted and open_view(wanted) is not None:
        st.session_state[_RUN] = wanted
        st.session_state.pop(_MISSING, None)
    elif wanted:
        if st.session_state.get(_RUN):
            choose(st.session_state[_RUN])
            st.query_params.pop(KEPT, None)
        st.session_state[_MISSING] = wanted


def _query() -> dict[str, str | list[str]]:
    """Return the filter and the chosen run as parameters of the address."""
    query: dict[str, str | list[str]] = dict(current_filter().to_query())
    if st.session_state.get(_RUN):
        query["run"] = st.session_state[_RUN]
    return query


def _write_url() -> None:
    """Bring filter and run of the address up to date, and leave the rest to the page: widgets are bound to it."""
    query, others = _query(), (KEPT, *LOOKS)
    gone = [name for name in st.query_params if name not in query and name not in others]
    new = {name: v for name, v in query.items() if st.query_params.get_all(name) != ([v] if isinstance(v, str) else v)}
    if new:
        st.query_params.update(new)
    for name in gone:
        del st.query_params[name]
