"""The ranked gallery and the histogram above it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from lsi.export import charts
from lsi.hashing import fingerprint
from lsi.ui.components import Tiles, gallery
from lsi.ui.filters import decision_column
from lsi.ui.session import View, decisions
from lsi.ui.sidebar import DECISIONS, current_filter, set_filter

ORDERS = {
    "Most information": ("lsi", False),
    "Least information": ("lsi", True),
    "Most suspect label": ("label_score", True),
    "Smallest margin": ("loo_margin", True),
    "Longest residual": ("standardised_residual", False),
    "Highest leverage": ("leverage", False),
    "Nearest to another": ("nearest_distance", True),
}
GALLERY = "gallery"


def histogram(view: View, positions: np.ndarray) -> None:
    """Show the histogram of LSI; dragging over it sets the filter."""
    values = view.table["lsi"].to_numpy()
    st.plotly_chart(charts.histogram(values, values[positions]), key="histogram", on_select=lambda: _brush(values),
                    selection_mode="box", config={"displayModeBar": False},
                    alt=f"Histogram of LSI, all {view.noun} and those on screen")  # fmt: skip


def _brush(values: np.ndarray) -> None:
    boxes = st.session_state["histogram"]["selection"]["box"]
    if boxes:
        low, high = sorted(float(v) for v in boxes[0]["x"])
        shares = (np.mean(values < low), np.mean(values <= high))
        set_filter(replace(current_filter(), low=round(float(shares[0]), 3), high=round(float(shares[1]), 3)))


def controls(view: View, positions: np.ndarray) -> tuple[np.ndarray, int]:
    """Show order and size; return the positions in the order chosen, and the size of a tile."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        known = [name for name, (column, _) in ORDERS.items() if _orders(view, column)]
        name = st.selectbox("Order", known, key="order", width=260)
        size = st.select_slider("Tile size", [64, 96, 128, 192, 256], 128 if view.noun == "texts" else 96, key="tile",
                                width=260)  # fmt: skip
    column, rising = ORDERS[name]
    values = view.table[column].to_numpy()[positions]
    return positions[np.argsort(values if rising else -values, kind="stable")], size


def _orders(view: View, column: str) -> bool:
    """Say whether a column orders anything: not the score of labels where there are none."""
    return column in view.table.columns and not (column == "label_score" and view.run.task == "self")


def grid(
    view: View, order: np.ndarray, size: int, height: int = 640, key: str = GALLERY
) -> tuple[list[int], int | None]:
    """Show the gallery; return what is selected and what was opened.

    Args:
        view: the run.
        order: positions of the samples to show, in that order.
        size: side of a tile in pixels.
        height: of the gallery in pixels.
        key: of the widget, which keeps one selection for each run.
    """
    rows = view.table.iloc[order]
    decided = decision_column(view.table, decisions(view.run.name)).iloc[order]
    codes = decided.map({d: i for i, d in enumerate(DECISIONS)}).fillna(0)
    given, predicted, captions = view.captions
    has_images = view.has_images
    texts = [] if has_images or "text" not in rows.columns else rows["text"].astype(str).tolist()
    tiles = Tiles(
        mark=fingerprint(order, str(size), view.run.name),
        base=f"/thumbs/{view.run.name}" if has_images else "",
        size=size,
        height=height,
        rows=pd.DataFrame(
            {
                "order": order,
                "given": given[order],
                "predicted": predicted[order],
                "value": rows["lsi"].to_numpy(),
                "issue": rows["is_label_issue"].to_numpy(),
                "decision": codes.to_numpy(),
            }
        ),
        captions=captions,
        decisions=["", *DECISIONS[1:]],
        texts=texts,
    )
    return gallery(tiles, f"{key}-{view.run.name}")
