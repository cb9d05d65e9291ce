"""The part of the filter that is about a column of the data: choose the column, then its values or a range."""

from collections.abc import Callable

import streamlit as st

from lsi.ui.columns import EMPTY, Column, ColumnFilter, shown
from lsi.ui.filters import Filter
from lsi.ui.session import View
from lsi.ui.wording import number

MOST_VALUES = 300
_WRITTEN = "column_filter_written"  # what the controls were given when they were drawn last
_COLUMN, _VALUES, _LOW, _HIGH, _EMPTY = "f_column", "f_column_values", "f_column_low", "f_column_high", "f_column_empty"


def draw(view: View, current_filter: Callable[[], Filter], set_filter: Callable[[Filter], None]) -> None:
    """Show a choice of columns, and what may be said of the chosen one.

    Args:
        view: the run.
        current_filter: gives the filter in force.
        set_filter: puts another one in force.
    """
    if not view.columns:
        return
    chosen = current_filter()
    active = [one.column for one in chosen.columns if one.column in view.columns]
    if st.session_state.get(_COLUMN) not in view.columns:
        st.session_state[_COLUMN] = active[-1] if active else None
    name = st.selectbox("Column", view.columns, key=_COLUMN, placeholder="Choose one to filter by",
                        format_func=lambda c: c + (" ✓" if c in active else ""),
                        help="Filters of several columns hold together; each is named above the images.")  # fmt: skip
    if name is None:
        return
    column, one = view.column(name), chosen.of_column(name)
    as_range = _is_range(column, one)

    def change() -> None:
        set_filter(current_filter().with_column(_said(name, column, as_range)))

    keys = (_LOW, _HIGH) if as_range else (_VALUES,)
    unchanged = st.session_state.get(_WRITTEN) == (name, one) and all(key in st.session_state for key in keys)
    if unchanged and _said(name, column, as_range) != one:  # a newer change ended the callback
        change()
        one = current_filter().of_column(name)
    st.session_state[_WRITTEN] = (name, one)
    if as_range:
        _range(column, one, change)
    else:
        _values(column, one, change)


def _is_range(column: Column, one: ColumnFilter) -> bool:
    """Say whether a range is shown: where the filter has one, as addresses may, or where it suits the column."""
    if one.low is not None or one.high is not None:
        return column.numbers is not None
    return column.is_range and one.values in ((), (EMPTY,))


def _values(column: Column, one: ColumnFilter, change: Callable[[], None]) -> None:
    """Offer the values, the most frequent first; a rarer one can be typed."""
    counts = column.counts
    offered = list(counts)[:MOST_VALUES]
    if EMPTY in counts and EMPTY not in offered:
        offered = [*offered[:-1], EMPTY]
    st.session_state[_VALUES] = list(one.values)
    st.multiselect("Values", [*offered, *(v for v in one.values if v not in offered)], key=_VALUES, on_change=change,
                   accept_new_options=True, label_visibility="collapsed", placeholder="Any value",
                   format_func=lambda v: f"{shown(v)} ({counts.get(v, 0):,})")  # fmt: skip
    if len(counts) > len(offered):
        st.caption(f"The {len(offered):,} most frequent of {len(counts):,} values; others can be typed in full.")


def _range(column: Column, one: ColumnFilter, change: Callable[[], None]) -> None:
    low, high = column.bounds
    st.session_state[_EMPTY] = one.values == (EMPTY,)
    st.session_state[_LOW], st.session_state[_HIGH] = one.low, one.high
    only_empty = bool(column.n_missing) and st.session_state[_EMPTY]
    left, right = st.columns(2)
    for place, label, key, end in ((left, "From", _LOW, low), (right, "To", _HIGH, high)):
        place.number_input(label, value=None, key=key, placeholder=number(end), format="%.10g", on_change=change,
                           disabled=only_empty)  # fmt: skip
    if column.n_missing:
        st.toggle(f"Only (empty): {column.n_missing:,}", key=_EMPTY, on_change=change)


def _said(name: str, column: Column, as_range: bool) -> ColumnFilter:
    """Return what the controls say of a column; limits in the wrong order change places."""
    state = st.session_state
    if not as_range:
        return ColumnFilter(name, tuple(state[_VALUES]))
    if state.get(_EMPTY) and column.n_missing:
        return ColumnFilter(name, (EMPTY,))
    low, high = (None if v is None else float(v) for v in (state[_LOW], state[_HIGH]))
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
    return ColumnFilter(name, (), low, high)
