"""The runs: what they are called, how they differ, and two of them side by side."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from lsi.data.plan import counted
from lsi.errors import LsiError
from lsi.export import spreadsheet_safe
from lsi.hashing import fingerprint
from lsi.runs.comparison import Comparison, compare
from lsi.runs.counting import decided_on
from lsi.runs.listing import delete_run, is_of_same_place
from lsi.runs.run import Run
from lsi.runs.titles import (
    LENGTH,
    check_there,
    check_title,
    decisions_without_effect,
    features_of,
    label_of,
    rename,
    unusual_settings,
    when,
)
from lsi.runs.trail import trail
from lsi.ui import downloads
from lsi.ui.bar import choose, forget
from lsi.ui.buttons import button
from lsi.ui.deciding import note, refused, reviewer, reviews
from lsi.ui.detail import picture
from lsi.ui.login import is_admin, looks_only, right_of
from lsi.ui.session import View, labels_apart, open_view
from lsi.ui.wording import plain

_LATEST = 500  # entries of the trail
_SHOWN = 12  # samples that moved, as pictures
_PERCENT = ("leave-one-out accuracy", "leave-one-out R²")


def table(runs: list[Run], chosen: str | None) -> None:
    """Show all runs, the newest first, and what can be done with the one that is selected.

    Args:
        runs: all of them, the newest first.
        chosen: the name of the run on screen.
    """
    decided = decided_on(reviews(), runs)
    key = table_key(runs)
    st.dataframe(
        pd.DataFrame([_row(run, decided, run.name == chosen) for run in runs]),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=key,
        column_config={"Samples": st.column_config.NumberColumn(format="localized")},
    )
    rows = st.session_state[key]["selection"]["rows"]
    if rows and rows[0] < len(runs):
        _actions(runs[rows[0]])
    else:
        st.caption("Select a row to open, rename or delete that run.")


def table_key(runs: list[Run]) -> str:
    """Return the key of the table of runs: a selected row is a number, and another list of runs has other rows."""
    return f"runs_table-{fingerprint(*(run.name for run in runs))}"


def _row(run: Run, decided: dict[str, int], is_open: bool) -> dict[str, object]:
    """Return what the table says of a run; decisions are those on its data, whichever run they were made on."""
    return {
        "Run": run.title or run.subject_name,
        "": "on screen" if is_open else "",
        "Data": run.subject_name,
        "Samples": run.manifest["dataset"]["n_samples"],
        "Features": features_of(run),
        "Settings": ", ".join(unusual_settings(run)) or "usual",
        "Suspected": run.manifest["summary"]["n_label_issues"],
        "Decided on its data": decided[run.name],
        "Computed": when(run),
        "Folder": run.name,
    }


def _actions(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        button("Open", key=f"open-{run.name}", icon=":material/visibility:", type="primary", on_click=choose,
                  args=(run.name,))  # fmt: skip
        if looks_only():
            return
        st.text_input("Title", run.title, key=f"title-{run.name}", max_chars=LENGTH, width=320)
        button("Rename", key=f"rename-{run.name}", icon=":material/edit:", on_click=_rename, args=(run, reviewer()))
        if not is_admin():
            return
        with st.popover("Delete", icon=":material/delete:"):
            st.write(
                f"Delete {plain(label_of(run))}? Decisions belong to the data and stay; features stay in the cache, so "
                "that it can be computed again in less time."
            )
            button("Delete this run", key=f"delete-{run.name}", on_click=_delete, args=(run, reviewer()))


def _rename(run: Run, name: str) -> None:
    """Take the title from its field: what was drawn last may not know yet what was typed."""
    if refused():
        return
    title = str(st.session_state[f"title-{run.name}"])
    check_title(run, title)
    note(name, "renamed", run.name, title=title)
    rename(run, title)


def _delete(run: Run, name: str) -> None:
    if not is_admin():
        st.toast("An admin alone deletes runs.", icon=":material/lock:")
        return
    check_there(run)
    note(name, "deleted", run.name, title=run.title, dataset=run.subject_name)
    delete_run(run)
    forget(run.name)


def what_was_done() -> None:
    """Show admins who decided, undid, started, cancelled, exported, renamed and deleted what, and give it as a file."""
    if not is_admin():
        return
    with st.expander("Who did what"):
        rows = trail(reviews(), _LATEST)
        if not len(rows):
            st.caption("Nothing was done yet.")
            return
        names = {"time": "Time (UTC)", "who": "Who", "what": "What", "about": "About", "facts": "Facts"}
        shown = rows.assign(time=rows["time"].dt.strftime("%Y-%m-%d %H:%M:%S"))
        st.dataframe(shown.iloc[::-1].rename(columns=names), hide_index=True)
        st.caption(f"The latest {counted(len(rows), 'line')}.")
        downloads.offer("All of it as CSV", partial(_trail_csv, right_of("admin")), "trail.csv", "text/csv",
                        icon=":material/download:")  # fmt: skip
        downloads.say_why_none("trail.csv")


def _trail_csv(is_allowed: Callable[[], bool]) -> str:
    """Return the trail, when it is asked for: that is in a thread that knows no session."""
    return spreadsheet_safe(trail(reviews())).to_csv(index=False) if is_allowed() else "An admin alone reads this.\n"


def side_by_side(view: View, runs: list[Run]) -> None:
    """Compare the run on screen with another one: one on the same data first, by default that which it started from.

    Args:
        view: the run on screen.
        runs: all of them, the newest first.
    """
    st.subheader("Before and after", anchor=False)
    is_alike = {run.name: run.subject_name == view.run.subject_name for run in runs}
    ordered = sorted(runs, key=lambda run: (not is_alike[run.name], not is_of_same_place(run, view.run)))
    others = {run.name: run for run in ordered if run.name != view.run.name}
    alike = [name for name in others if is_alike[name]]
    if not alike:
        st.info("Another run on the same data can be compared with this one: recompute with your decisions on Export.")
    if not others:
        return
    labels = labels_apart(list(others))
    first = view.run.parent if view.run.parent in alike else alike[0] if alike else None
    chosen = st.selectbox("Compare with", list(others), None if first is None else list(others).index(first),
                          key="compare_with", format_func=lambda n: labels[n],
                          placeholder="A run on other data that share samples")  # fmt: skip
    if chosen is None:
        return
    before, after = in_order(others[str(chosen)], view.run)
    try:
        found, view = compare(before, after), view if after is view.run else open_view(after.name) or view
    except LsiError as error:
        st.warning(plain(error))
        return
    st.markdown(f"Before: **{plain(label_of(before))}**. After: **{plain(label_of(after))}**.")
    _figures(found)
    _words(view, found)
    _classes(found)
    _moved(view, found)


def in_order(one: Run, other: Run) -> tuple[Run, Run]:
    """Return two runs, the one that the other started from first, or else the older one."""
    if one.parent == other.name:
        return other, one
    if other.parent == one.name:
        return one, other
    return (one, other) if one.manifest["created"] <= other.manifest["created"] else (other, one)


def _figures(found: Comparison) -> None:
    shown = found.figures.set_index("figure")
    columns = st.columns(4)
    names = {"samples": "Samples", "suspected labels": "Suspected labels", "suspected targets": "Suspected targets",
             "leave-one-out accuracy": "Leave-one-out accuracy", "leave-one-out R²": "Leave-one-out R²",
             "mean LSI (nats)": "Mean LSI, nats"}  # fmt: skip
    known = shown.dropna()  # a figure that one of the runs has no name for is none to compare
    for column, name in zip(columns, [n for n in names if n in known.index], strict=False):
        before, after = shown.loc[name].to_numpy(dtype=float)
        is_share = name in _PERCENT
        change = f"{after - before:+,.3g}" if name.startswith("mean") else f"{after - before:+,.0f}"
        delta = f"{100 * (after - before):+.1f} points" if is_share else change
        delta, arrow = ("no change", "off") if before == after else (delta, "auto")
        value = f"{after:.1%}" if is_share else f"{after:,.4g}" if name.startswith("mean") else f"{after:,.0f}"
        column.metric(names[name], value, delta, border=True, delta_color="off", delta_arrow=arrow)
    if "of these expected wrong, at most" in known.index:
        ranges = {end: [f"{shown.loc[f'of these expected wrong, at {side}'][end]:,.0f}" for side in ("least", "most")]
                  for end in ("before", "after")}  # fmt: skip
        before, after = (low if low == high else f"between {low} and {high}" for low, high in ranges.values())
        st.markdown(f"Of the suspected labels {before} were expected to be wrong before, and {after} after.")


def _words(view: View, found: Comparison) -> None:
    labels = found.relabelled()
    agreement = found.rank_agreement
    ranks = "" if math.isnan(agreement) else f" Rank agreement of LSI (Spearman): **{agreement:.3f}**."
    other = f", {len(labels):,} under another label" if found.has_labels else ""
    st.markdown(
        f"{counted(len(found.shared), view.one)} in both{other}; {len(found.added):,} came and "
        f"{len(found.removed):,} left.{ranks}"
    )
    if len(labels):
        with st.expander(f"{counted(len(labels), 'label')} that differ{'s' if len(labels) == 1 else ''}"):
            st.dataframe(labels[["id", "given_before", "given_after"]].rename(
                columns={"id": "Sample", "given_before": "Before", "given_after": "After"}), hide_index=True
            )  # fmt: skip
    if len(found.added):
        with st.expander(f"{counted(len(found.added), view.one)} that came", expanded=len(found.added) <= _SHOWN):
            with st.container(horizontal=True):
                for position in found.added[:_SHOWN]:
                    _tile(view, int(position), str(view.table["given"].iloc[position]))
            if len(found.added) > _SHOWN:
                st.caption(f"The first {_SHOWN} of them.")


def _classes(found: Comparison) -> None:
    if not len(found.classes):
        return
    with st.expander("Class by class"):
        names = {"class": "Class", "samples_before": "Samples before", "samples_after": "after",
                 "suspected_before": "Suspected before", "suspected_after": "after ",
                 "lsi_before": "Mean LSI before, nats", "lsi_after": "after  "}  # fmt: skip
        order = (found.classes["suspected_after"] - found.classes["suspected_before"]).abs().sort_values(
            ascending=False, kind="stable")  # fmt: skip
        st.dataframe(found.classes.loc[order.index].rename(columns=names), hide_index=True)


def _moved(view: View, found: Comparison) -> None:
    moved = found.moved(_SHOWN)
    st.markdown(f"**Ranks that moved most**: share of the {view.noun} that hold at most as much information")
    with st.container(horizontal=True):
        for row in moved.to_dict("records"):
            words = f"{plain(row['given_after'])}  \n{row['rank_before']:.0%} → {row['rank_after']:.0%}"
            _tile(view, int(row["after"]), words, is_markdown=True)


def _tile(view: View, position: int, words: str, is_markdown: bool = False) -> None:
    with st.container(width=120):
        picture(view, position, 112)
        st.markdown(words if is_markdown else plain(words))


def parent_line(view: View) -> None:
    """Say which decisions a run started from, where it did."""
    facts = view.run.manifest.get("decided")
    if not facts:
        return
    parent = open_view(facts["parent"]) if facts["parent"] else None
    name = plain(label_of(parent.run)) if parent is not None else plain(facts["parent"] or "a file")
    counts = np.array([facts["n_excluded"], facts["n_relabelled"], facts["n_confirmed"]])
    by_rule, words = facts.get("n_by_rule", 0), []
    if counts.any() or not by_rule:
        words.append(
            f"Computed from {counted(int(counts.sum()), 'decision')} on {name}: {counts[0]:,} excluded, {counts[1]:,} "
            f"relabelled, {counts[2]:,} confirmed."
        )
    words += [f"A rule left out {by_rule:,} of {name}."] if by_rule else []
    st.markdown(" ".join([*words, decisions_without_effect(facts)]))
