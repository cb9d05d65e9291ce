"""The filter in force, and the controls that change it."""

from dataclasses import replace
from typing import Any

import streamlit as st

from lsi.ui import column_filter
from lsi.ui.deciding import APART, decisions, remarks_on
from lsi.ui.filters import DECISIONS, Filter
from lsi.ui.flags import FLAGS
from lsi.ui.session import View

_FILTER = "filter"  # no key of a widget: Streamlit forgets those when the page changes
_WRITTEN = "filter_written"  # what the controls were given when they were drawn last


def has_filter() -> bool:
    """Say whether a filter was put in force since the session began."""
    return _FILTER in st.session_state


def current_filter() -> Filter:
    """Return the filter in force."""
    return st.session_state.get(_FILTER, Filter())


def as_meant(what: str) -> str:
    """Return a decision as the filter in force makes it: where it shows copies or poor images, it is of no label."""
    return what if current_filter().is_of_label else APART.get(what, what)


def set_filter(new: Filter) -> None:
    """Put another filter in force."""
    st.session_state[_FILTER] = new


def controls(view: View) -> None:
    """Show the controls of the filter, and put in force what they say."""
    _take_up_what_was_lost()
    chosen, table = current_filter(), view.table
    values = _values(chosen)
    st.session_state[_WRITTEN] = values
    for key, value in values.items():
        st.session_state[key] = value
    if view.labelled:
        st.multiselect("Class", view.run.class_names, key="f_class", on_change=_changed)
    st.slider("LSI, from lowest to highest", 0, 100, key="f_range", on_change=_changed, format="%d %%",
              help=f"Share of the {view.noun} in rising order of their information.")  # fmt: skip
    if view.run.task != "self":
        st.toggle(f"Suspected {'labels' if view.labelled else 'targets'} only", key="f_issues", on_change=_changed)
    st.toggle("Near duplicates only", key="f_duplicates", on_change=_changed)
    if view.flags:
        counts = {flag: int(table[flag].sum()) for flag in view.flags}
        offered = [flag for flag in view.flags if counts[flag] or flag in chosen.quality]
        if offered:
            st.pills("Image quality", offered, key="f_quality", selection_mode="multi", on_change=_changed,
                     format_func=lambda flag: f"{FLAGS[flag].words} {counts[flag]:,}",
                     help=f"The {view.noun} that have one of these flags at least.")  # fmt: skip
    decided = decisions(view)
    if chosen.disputed or decided["disputed"].to_numpy(dtype=bool).any():
        st.toggle("Reviewers disagree", key="f_disputed", on_change=_changed)
    if chosen.differs or {"true_label", "label_in_data"} & set(table.columns):
        st.toggle("Labellings differ", key="f_differs", on_change=_changed,
                  help="The label is another one than the data's own: by a second labelling, on purpose, or by "
                  "decisions that this run started from.")  # fmt: skip
    possible = [d for d in DECISIONS if view.labelled or d != "relabel"]
    st.pills("Decision", possible, key="f_decision", selection_mode="multi", on_change=_changed)
    _said(view, chosen)
    if chosen.new or view.is_new.any():
        st.toggle("New since the run before", key="f_new", on_change=_changed,
                  help=f"The {view.noun} that the run before this one on the same data did not have.")  # fmt: skip
    if "split" in table.columns:
        st.multiselect("Split", sorted(map(str, table["split"].unique())), key="f_split", on_change=_changed)
    column_filter.draw(view, current_filter, set_filter)
    searched = {"texts": "Text", "images": "Path"}.get(view.noun, "Name")
    st.text_input(f"{searched} contains", key="f_text", on_change=_changed)


def _said(view: View, chosen: Filter) -> None:
    """Offer the tags that are on samples, and notes where there are any."""
    said = remarks_on(view)
    counts = said.loc[said["kind"] == "tag", "text"].value_counts()
    offered = list(dict.fromkeys([*counts.index, *chosen.tags]))
    if offered:
        st.multiselect("Tags", offered, key="f_tags", on_change=_changed,
                       format_func=lambda tag: f"{tag} ({counts.get(tag, 0):,})",
                       help=f"The {view.noun} that have one of these tags at least.")  # fmt: skip
    if chosen.noted or (said["kind"] == "note").any():
        st.toggle("With a note", key="f_noted", on_change=_changed)


def _values(chosen: Filter) -> dict[str, Any]:
    """Return what each control shows of a filter, by its key."""
    return {"f_class": list(chosen.classes), "f_range": _percent(chosen), "f_issues": chosen.issues,
            "f_decision": list(chosen.decision), "f_duplicates": chosen.duplicates, "f_disputed": chosen.disputed,
            "f_differs": chosen.differs, "f_text": chosen.text, "f_split": list(chosen.split),
            "f_quality": list(chosen.quality), "f_tags": list(chosen.tags), "f_noted": chosen.noted,
            "f_new": chosen.new}  # fmt: skip


def _percent(chosen: Filter) -> tuple[int, int]:
    return round(100 * chosen.low), round(100 * chosen.high)


def _take_up_what_was_lost() -> None:
    """Put in force what a control says whose callback was ended before it had done so.

    Streamlit ends a callback at any touch of the session where a newer change has come. The control then says
    something else than it was given, while the filter is still what it was.
    """
    written, state = st.session_state.get(_WRITTEN), st.session_state
    if written is None or written != _values(current_filter()):
        return
    if any(state.get(key, value) != value for key, value in written.items()):
        _put_in_force()


def _changed() -> None:
    _put_in_force()


def _put_in_force() -> None:
    """Set the filter to what the controls say; a share that is finer than the slider stays until that is moved."""
    state, old = st.session_state, current_filter()
    said = tuple(state["f_range"])
    low, high = (old.low, old.high) if said == _percent(old) else (said[0] / 100, said[1] / 100)
    set_filter(
        replace(
            old, classes=tuple(state.get("f_class") or ()), low=low, high=high, issues=state.get("f_issues", False),
            decision=tuple(state["f_decision"]), duplicates=state["f_duplicates"],
            disputed=state.get("f_disputed", False), differs=state.get("f_differs", False), text=state["f_text"],
            split=tuple(state.get("f_split") or ()), quality=tuple(state.get("f_quality") or ()),
            tags=tuple(state.get("f_tags") or ()), noted=state.get("f_noted", False),
            new=state.get("f_new", False),
        )
    )  # fmt: skip
