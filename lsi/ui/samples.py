"""The ranked gallery and the histogram above it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from lsi.audit.label_issues import most_suspect_first
from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.runs.records import decision_codes, new_labels
from lsi.ui import flags
from lsi.ui.bar import current_filter, set_filter
from lsi.ui.components import Tiles, gallery
from lsi.ui.deciding import APART, REFUSED, carry_out, reviewer, shown_decisions, suggested, undecided
from lsi.ui.filtering import as_meant
from lsi.ui.filters import DECISIONS
from lsi.ui.login import looks_only, right_of
from lsi.ui.session import View
from lsi.ui.wording import plain

ORDERS = {
    "Most information": ("lsi", False),
    "Least information": ("lsi", True),
    "Most suspect label": ("label_score", True),
    "Smallest margin": ("loo_margin", True),
    "Longest residual": ("standardised_residual", False),
    "Highest leverage": ("leverage", False),
    "Nearest to another": ("nearest_distance", True),
}
_MEANINGS = {
    "lsi": "information in nats",
    "label_score": "how probable its label is",
    "loo_margin": "margin of its label",
    "standardised_residual": "length of the residual over that expected",
    "leverage": "leverage",
    "nearest_distance": "distance to the nearest other",
}  # of the number below an image, by column
GALLERY, ORDER = "gallery", "order"
TILES = {64: "XS", 96: "S", 128: "M", 192: "L", 256: "XL"}  # sides in pixels


@dataclass(frozen=True)
class Ranking:
    """What a gallery shows, in its order.

    Attributes:
        order: positions of the samples.
        values: (n,) the number below each sample of the run.
        size: side of a tile in pixels.
    """

    order: np.ndarray
    values: np.ndarray
    size: int


def histogram(view: View, positions: np.ndarray) -> None:
    """Show the histogram of LSI; dragging over it sets the filter."""
    st.caption("Drag over the histogram to show that part alone.")
    values = view.table["lsi"].to_numpy()
    st.plotly_chart(charts.histogram(values, values[positions]), key="histogram", on_select=lambda: _brush(values),
                    selection_mode="box", config={"displayModeBar": False},
                    alt=f"Histogram of LSI, all {view.noun} and those on screen")  # fmt: skip


def _brush(values: np.ndarray) -> None:
    boxes = st.session_state["histogram"]["selection"]["box"]
    if boxes:
        low, high = sorted(float(v) for v in boxes[0]["x"])
        if not ((values >= low) & (values <= high)).any():
            st.toast("Nothing lies in that part.")
            return
        shares = (np.mean(values < low), np.mean(values <= high))
        set_filter(replace(current_filter(), low=round(float(shares[0]), 8), high=round(float(shares[1]), 8)))


def controls(view: View, positions: np.ndarray) -> Ranking:
    """Show order and size of the tiles in one line with what follows, and return the samples in the order chosen."""
    known = orders(view)
    if st.session_state.get(ORDER) not in known:
        st.session_state.pop(ORDER, None)
    name = st.selectbox("Order", list(known), key=ORDER, width=220, label_visibility="collapsed", bind="query-params")
    size = st.segmented_control("Tile size", list(TILES), default=128, required=True, key="tile",
                                format_func=lambda s: TILES[s], label_visibility="collapsed",
                                bind="query-params")  # fmt: skip
    column, is_rising = known[name]
    meaning = _MEANINGS.get(column, plain(column))
    meaning = meaning if view.labelled else meaning.replace("its label", "its target")
    keys = ", **X** excludes and **S** takes the suggestion" if view.labelled else " and **X** excludes"
    with st.popover("Keys", icon=":material/keyboard:"):
        st.markdown(
            f"The number on each of the {view.noun} is its {meaning}.\n\n"
            "Click selects, Shift-click selects a range, double-click or Enter opens. "
            f"**K** keeps{keys} for what is selected, or for the one in focus. Arrows move the focus."
        )
    numbers = view.column(column).numbers
    values = np.full(len(view.table), np.nan) if numbers is None else numbers
    if column == "label_score":
        said = [name for name in ("label_score", "standardised_residual") if name in view.table.columns]
        order = most_suspect_first(view.table[said].iloc[positions])
    else:
        order = np.argsort(values[positions] if is_rising else -values[positions], kind="stable")
    return Ranking(positions[order], values, int(size or 128))


def orders(view: View) -> dict[str, tuple[str, bool]]:
    """Return the orders that the run offers: column and whether low values come first, by name."""
    known = {_of_task(view, name): order for name, order in ORDERS.items() if _orders(view, order[0])}
    known |= {name: order for name, order in flags.ORDERS.items() if order[0] in view.figures}
    for column in view.numeric_columns:
        known |= {f"{column}, lowest first": (column, True), f"{column}, highest first": (column, False)}
    return known


def _of_task(view: View, name: str) -> str:
    return name if view.labelled else name.replace("label", "target")


def _orders(view: View, column: str) -> bool:
    """Say whether a column orders anything: not the score of labels where there are none."""
    return column in view.table.columns and not (column == "label_score" and view.run.task == "self")


def grid(view: View, ranking: Ranking, height: int = 640, key: str = GALLERY) -> tuple[list[int], int | None]:
    """Show the gallery; return what is selected and what was opened.

    Args:
        view: the run.
        ranking: the samples to show, in their order.
        height: of the gallery in pixels.
        key: of the widget, which keeps one selection for each run.
    """
    order, decided = ranking.order, shown_decisions(view)
    given, predicted, captions = view.captions
    has_images = view.has_images
    has_texts = not has_images and "text" in view.table.columns
    texts = view.table["text"].iloc[order].astype(str).tolist() if has_texts else []
    tiles = Tiles(
        mark=fingerprint(order, str(ranking.size), view.run.name),
        base=view.image_base,
        size=ranking.size,
        height=height,
        rows=pd.DataFrame(
            {
                "order": order,
                "given": given[order],
                "predicted": predicted[order],
                "value": ranking.values[order],
                "issue": view.table["is_label_issue"].to_numpy()[order],
                "decision": decision_codes(len(view.table), decided)[order],
                "label": new_labels(len(view.table), decided)[order],
            }
        ),
        captions=captions,
        decisions=["", *DECISIONS[1:]],
        texts=texts,
        fills=key == GALLERY,
    )
    name, may_decide = reviewer(), right_of("reviewer", "admin")
    meant = {what: as_meant(what) for what in APART}  # before a callback, which reads nothing of the session

    def act(what: str, positions: list[int]) -> str:
        return _act(view, name, meant.get(what, what), positions) if may_decide() else REFUSED

    return gallery(tiles, gallery_key(view, key), None if looks_only() else act)


def gallery_key(view: View, key: str = GALLERY) -> str:
    """Return the key of the widget, one for each run."""
    return f"{key}-{view.run.name}"


def _act(view: View, name: str, what: str, positions: list[int]) -> str:
    """Decide about tiles by a key: keep, exclude, or take the suggestion where there is one; return what was done.

    Of several tiles those whose labels are decided keep what was decided when suggestions are taken.
    """
    if what != "suggestion":
        return carry_out(view, name, positions, what)
    offered = suggested(view, positions)
    changed = undecided(view, offered) if len(positions) > 1 else offered
    stay = len(offered) - len(changed)
    said = carry_out(view, name, changed, what)
    return (
        f"{said} {stay:,} that {'was' if stay == 1 else 'were'} decided before {'stays' if stay == 1 else 'stay'}."
        if stay
        else said
    )
