"""Near-duplicate groups side by side, and what a budget of images keeps."""

import numpy as np
import pandas as pd
import streamlit as st

from lsi.data.plan import counted
from lsi.errors import LsiError
from lsi.export import charts, duplicates_to_drop, has_splits, leaks, leaks_to_drop, spread, why_no_duplicates
from lsi.runs.numbers import nats, side_by_side
from lsi.ui import bulk
from lsi.ui.buttons import button, pressed
from lsi.ui.deciding import decide_named, decisions, reviewer
from lsi.ui.detail import picture
from lsi.ui.login import looks_only
from lsi.ui.session import View
from lsi.ui.wording import plain

PER_PAGE = 8
EVEN, HIGHEST = "Even over the information", "Highest information first"
_RULES = {  # the figures are those of benchmarks/results/evidence_condensation.json, which a test compares
    EVEN: "{first} thinned out evenly over the information{of_each}, so that "
    "what stays resembles the whole. Measured on three datasets with classes, with a linear probe that learns from "
    "30 %: +0.6 points against a random part where labels are clean, +3.2 where about a fifth of them is wrong.",
    HIGHEST: "The {noun} of least information leave first. Measured likewise: −4.1 points where labels are clean, "
    "−52.2 where about a fifth of them is wrong, for it keeps those. Where half of clean data stays, +1.1.",
}
_MOST_IN_A_ROW = 8
_EXACT = 17  # digits that tell any two numbers apart
_DECIDED = {"keep": "**kept**", "relabel": "**relabelled**", "exclude": "**excluded**", "unsure": "**unsure**"}


def groups(view: View, positions: np.ndarray, leaking_groups: set[int]) -> None:
    """Show the groups of which a sample is on screen: leaks first, then those with several labels or splits.

    Args:
        view: the run.
        positions: rows of its table, those on screen.
        leaking_groups: numbers of the groups that leak.
    """
    st.subheader("Near duplicates", anchor=False)
    if why := why_no_duplicates(view.run):
        st.info(why)
        return
    shown = set(view.table["near_duplicate_group"].iloc[positions].tolist()) - {-1}  # those of no group
    table = view.table[view.table["near_duplicate_group"].isin(shown)]
    ordered = _ordered(table, leaking_groups, _judged(view))
    if not ordered:
        st.info(f"None of these {view.noun} is a near duplicate of another.")
        return
    drop = redundant(table, decisions(view)["action"])
    st.markdown(
        f"{counted(len(ordered), 'group')}. Of each group one {view.one} stays: {_stays(view)}, or what somebody "
        f"decided to keep; {counted(len(drop), view.one)} can go."
    )
    hidden = len(table) - int(np.isin(table.index.to_numpy(), positions).sum())
    if hidden:
        also = int((~np.isin(drop, positions)).sum())
        st.markdown(
            f"Groups are shown and counted whole: {counted(hidden, view.one)} of them "
            f"{'does' if hidden == 1 else 'do'} not pass the filter, of which {also:,} can go."
        )
    if not looks_only() and len(drop):
        button(f"Exclude redundant {view.noun}: {len(drop):,}", on_click=decide_named,
                  args=(view, reviewer(), [int(i) for i in drop], "away",
                        lambda: redundant(table, decisions(view)["action"])),
                  icon=":material/block:")  # fmt: skip
    pages = -(-len(ordered) // PER_PAGE)
    page = st.pagination(pages, key=f"group_page-{view.run.name}") if pages > 1 else 1
    for group in ordered[(page - 1) * PER_PAGE : page * PER_PAGE]:
        _row(view, group, set(drop.tolist()))


def leaking(view: View, is_filtered: bool) -> set[int]:
    """Say which images of one split look like images of another, and let those leave that are learned from.

    Return the numbers of their groups.

    The filter does not count: it would hide the other half of a pair. What is excluded already leaks no longer.

    Args:
        view: the run.
        is_filtered: whether a filter hides some of its samples elsewhere on the page.
    """
    if not has_splits(view.table) or why_no_duplicates(view.run):
        return set()
    found = leaks(_not_excluded(view))
    st.subheader("Leaks between splits", anchor=False)
    if is_filtered:
        st.markdown(f"The filter does not count here: these are all leaks of the {len(view.table):,} {view.noun}.")
    if found.empty:
        st.info(f"No {view.one} is a near duplicate of one in another split.")
        return set()
    counts = found.groupby(found["split"].astype(str)).size()
    said = ", ".join(f"{n:,} in {plain(str(name))}" for name, n in counts.items())
    n = found["near_duplicate_group"].nunique()
    st.markdown(
        f"{counted(n, 'group')} {'lies' if n == 1 else 'lie'} in several splits: {said}. What is learned from then "
        "holds what is tested on."
    )
    drop = _leaking_from_training(view)
    if not looks_only() and len(drop):
        button(f"Exclude from training what looks like what is held out: {len(drop):,}", key="drop-leaks",
               on_click=decide_named, args=(view, reviewer(), [int(i) for i in drop], "away",
                                            lambda: _leaking_from_training(view)),
               icon=":material/water_drop:")  # fmt: skip
    where = "Those of these groups that the filter shows" if is_filtered else "These groups"
    st.caption(f"{where} come first below. An export lists them in leaks.csv.")
    return set(found["near_duplicate_group"].tolist())


def _not_excluded(view: View) -> pd.DataFrame:
    actions = decisions(view)["action"]
    return view.table.drop(index=actions.index[actions == "exclude"])


def _leaking_from_training(view: View) -> np.ndarray:
    """Return the positions that are learned from, look like what is held out, and that nobody decided about."""
    drop = leaks_to_drop(_not_excluded(view))
    return drop[~np.isin(drop, decisions(view).index.to_numpy())]


def redundant(table: pd.DataFrame, actions: pd.Series) -> np.ndarray:
    """Return the positions that can go: all but one of each group, and nothing that somebody decided about.

    Args:
        table: the samples of the groups.
        actions: decisions in force by position.
    """
    decided = actions.reindex(table.index)
    is_kept = decided.isin(["keep", "relabel"])
    left = table[decided != "exclude"]  # what is excluded already leaves one of the others as the last
    left = left.assign(label_score=left["label_score"] + 2 * is_kept.loc[left.index])  # the one to stay, before others
    drop = duplicates_to_drop(left)
    return drop[decided.loc[drop].isna().to_numpy()]


def _stays(view: View) -> str:
    likeliest = f"the one with the likeliest {'label' if view.labelled else 'target'}"
    likeliest = "the one that is predicted best" if view.run.task == "self" else likeliest
    return f"what is held out before the rest, and of several {likeliest}" if has_splits(view.table) else likeliest


def budget(view: View, positions: np.ndarray) -> None:
    """Offer to keep a share of the samples, by a rule, and say how much of the information that share holds.

    Args:
        view: the run.
        positions: rows of its table, the highest LSI first.
    """
    st.subheader("Keep a part", anchor=False)
    rule = st.segmented_control("What stays", list(_RULES), default=EVEN, required=True, key="rule")
    what, of_each = ("label", " of each class") if view.labelled else ("target", "")
    first = "All is" if view.run.task == "self" else f"Suspected {what}s leave first. The rest is"
    st.write(_RULES[str(rule)].format(noun=view.noun, first=first, of_each=of_each))
    share = st.slider(f"Share of the {view.noun} to keep", 1, 100, 80, format="%d %%", key="budget") / 100
    others = len(view.table) - len(positions)
    if others:
        st.markdown(
            f"The filter counts here: this is a part of the {counted(len(positions), view.one)} that it leaves. "
            f"Nothing is decided of the other {others:,}."
        )
    actions = decisions(view)["action"]
    has_left = np.isin(positions, actions.index[(actions == "exclude").to_numpy()].to_numpy())
    positions, n_left = positions[~has_left], int(has_left.sum())
    if n_left:
        st.markdown(f"{counted(n_left, view.one)} {'was' if n_left == 1 else 'were'} excluded already: the share is of "
                    f"the other {len(positions):,}.")  # fmt: skip
    if not len(positions):
        return
    count = max(1, round(share * len(positions)))
    confirmed = np.isin(positions, actions.index[actions.isin(["keep", "relabel"])].to_numpy())
    kept = positions[:count] if rule == HIGHEST else spread(view.run, positions, count)
    kept = positions[np.isin(positions, kept) | confirmed]
    more = max(0, len(kept) - count)
    stay = f"**{len(kept):,}** {view.noun if len(kept) != 1 else view.one} stay{'s' if len(kept) == 1 else ''}"
    if rule == HIGHEST:
        lsi, held = view.table["lsi"].to_numpy()[positions], view.table["lsi"].to_numpy()[kept].sum()
        st.markdown(f"{stay} and {'hold' if len(kept) != 1 else 'holds'} {held / max(lsi.sum(), 1e-300):.1%} of the "
                    "information.")  # fmt: skip
        st.plotly_chart(charts.budget(lsi, share), alt="Share of the information kept over the share of samples")
    else:
        suspects = int(view.table["is_label_issue"].to_numpy()[np.setdiff1d(positions, kept)].sum())
        going = len(positions) - len(kept)
        parts = [counted(suspects, f"suspected {what}")] if suspects else []
        parts += [counted(going - suspects, "other")] if going > suspects else []
        st.markdown(f"{stay}; {' and '.join(parts) or 'none'} {'leave' if going > 1 else 'leaves'}.")
    beyond = f" ({more:,} more than the share)" if more else ""
    st.caption(f"What was decided to be kept stays{beyond}. Check on the Export page what leaving the rest out does.")
    superfluous = positions[~np.isin(positions, kept)]
    bulk.actions(view, superfluous, "superfluous", "budget", of_label=False)


def _judged(view: View) -> list[str]:
    """Return the columns of what was given: the label, or the numbers to predict."""
    return ["given_label"] if view.labelled else [f"target {name}" for name in view.run.target_names]


def _ordered(table: pd.DataFrame, leaking_groups: set[int], judged: list[str]) -> list[int]:
    """Return the groups in the order shown: leaks, then those of several labels or splits, and the nearest first.

    Args:
        table: the samples of the groups.
        leaking_groups: numbers of the groups that leak.
        judged: the columns of what was given.
    """
    grouped = table[table["near_duplicate_group"] >= 0].groupby("near_duplicate_group")
    distance = grouped["nearest_distance"].min()
    mixed = pd.Series(data=False, index=distance.index)
    for column in (*judged, *_split(table)):
        mixed |= grouped[column].nunique() > 1  # noqa: PD101 - of each group, not of the column
    apart = ~distance.index.isin(list(leaking_groups))
    facts = pd.DataFrame({"apart": apart, "same": ~mixed, "distance": distance})
    facts = facts.sort_values(["apart", "same", "distance"])
    return [int(g) for g in facts.index]


def _row(view: View, group: int, drop: set[int]) -> None:
    rows = view.table[view.table["near_duplicate_group"] == group]
    judged, words = _judged(view), "labels" if view.labelled else "targets"
    labels = len(rows[judged].drop_duplicates()) if judged else 0
    title = f"Group {group}: {len(rows)} {view.noun}, distance {rows['nearest_distance'].min():.2g}"
    st.markdown(f"**{title}**" + (f", **{labels} different {words}**" if labels > 1 else ""))
    if pressed("Information they hold together", f"together-{group}", type="tertiary",
               icon=":material/join_inner:", help="LSI of leaving the whole group out. Each copy alone holds "
                 "little, since the others still say the same."):  # fmt: skip
        try:
            together = view.group_lsi(tuple(int(i) for i in rows.index))
            st.markdown(f"Together **{nats(together[0])} nats**; one by one {nats(together[1])} nats in all.")
        except LsiError as error:
            st.info(plain(error))
    actions = decisions(view)["action"]
    given = dict(zip(rows.index, _given(view, rows), strict=True))
    with st.container(horizontal=True):
        for position in _telling_first(rows, [*judged, *_split(rows)], drop, actions)[:_MOST_IN_A_ROW]:
            with st.container(width=130):
                picture(view, position, 112)
                words = _DECIDED.get(str(actions.get(position, "")), "can go" if position in drop else "stays")
                st.markdown(f"{plain(given[position])}  \n{words}")
        if len(rows) > _MOST_IN_A_ROW:
            st.markdown(f"and {len(rows) - _MOST_IN_A_ROW:,} more")
    if looks_only():
        return
    going = [int(i) for i in rows.index if int(i) in drop]

    def still() -> np.ndarray:
        return redundant(rows, decisions(view)["action"])

    def untouched() -> list[int]:
        decided = decisions(view).index
        return [int(i) for i in rows.index if i not in decided]

    with st.container(horizontal=True):
        if going:
            button(f"Exclude {counted(len(going), view.one)}", key=f"group-exclude-{group}", on_click=decide_named,
                      args=(view, reviewer(), going, "away", still), icon=":material/block:")  # fmt: skip
            button("No duplicates: keep them", key=f"group-keep-{group}", on_click=decide_named,
                   args=(view, reviewer(), untouched(), "apart", untouched))  # fmt: skip


def _split(table: pd.DataFrame) -> list[str]:
    return ["split"] if "split" in table.columns else []


def _given(view: View, rows: pd.DataFrame) -> list[str]:
    """Return what was given for each of a group: its label, or two targets, those that differ first, told apart."""
    if view.labelled or not _judged(view):
        return rows["given"].astype(str).tolist()
    shown = sorted(_judged(view), key=lambda column: len(rows[column].unique()) == 1)[:2]
    return side_by_side(rows[shown], _EXACT)


def _telling_first(rows: pd.DataFrame, kinds: list[str], drop: set[int], actions: pd.Series) -> list[int]:
    """Return the positions of a group: the one that stays, then one of each label and split, then the others.

    Args:
        rows: the group.
        kinds: the columns of label and split.
        drop: positions that can go.
        actions: decisions in force by position.
    """
    goes = rows.index.isin(drop) | (actions.reindex(rows.index) == "exclude").to_numpy()
    ordered = rows.iloc[[int(goes.argmin()), *np.delete(np.arange(len(rows)), goes.argmin())]]
    again = ordered.duplicated(kinds).to_numpy() if kinds else np.arange(len(rows)) > 0
    return [int(i) for i in ordered.index[np.argsort(again, kind="stable")]]
