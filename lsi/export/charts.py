"""Plotly figures: histogram, boxes, matrix, budget curve, map. Colours are safe for colour-blind eyes."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#9AA3AB"
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F", "#8C564B", "#17BECF",
)  # fmt: skip
# what the ends and the middle of viridis mean over the ranks of LSI
RANKS = (("#440154", "least information"), ("#21918c", "middle rank"), ("#fde725", "most information"))
_LOG_AXIS = {"type": "log", "dtick": 1, "exponentformat": "none"}  # decades, as 0.001
_LEVEL = 12  # labels of classes that stand beside each other without turning
_MARGIN = {"l": 10, "r": 10, "t": 10, "b": 10}


def histogram(all_values: np.ndarray, shown: np.ndarray) -> go.Figure:
    """LSI of all samples and of those on screen, on a log scale."""
    logs = np.log10(np.maximum(all_values, 1e-12))
    edges = np.linspace(logs.min(), max(logs.max(), logs.min() + 1e-9), 61)
    centres = 10 ** ((edges[1:] + edges[:-1]) / 2)
    figure = go.Figure()
    for values, name, colour in ((all_values, "all", GREY), (shown, "on screen", BLUE)):
        counts, _ = np.histogram(np.log10(np.maximum(values, 1e-12)), edges)
        figure.add_bar(x=centres, y=counts, name=name, marker_color=colour, width=np.diff(10**edges))
    figure.update_layout(
        barmode="overlay", height=130, margin=_MARGIN, bargap=0, legend={"orientation": "h", "y": 1.15},
        dragmode="select", selectdirection="h",
    )  # fmt: skip
    figure.update_xaxes(_LOG_AXIS, title="LSI in nats")
    figure.update_yaxes(title="samples")
    return figure


def lsi_boxes_by_class(table: pd.DataFrame, class_names: list[str], most: int = 40) -> go.Figure:
    """LSI per class as boxes with the number of samples; a class is known by its index, not by its name.

    A box is drawn from five quantiles, so that no sample is sent to the browser.

    Args:
        table: scores, one row a sample.
        class_names: names of the k classes.
        most: how many classes are drawn; of more, those with the highest median.
    """
    grouped = table.groupby("given_label")["lsi"]
    quantiles = grouped.quantile(np.array([0.05, 0.25, 0.5, 0.75, 0.95])).unstack()  # noqa: PD010
    drawn = np.sort(quantiles[0.5].nlargest(most).index.to_numpy()) if len(quantiles) > most else quantiles.index
    counts, figure = grouped.size(), go.Figure()
    ticks = [f"{_short(class_names[int(c)])} ({counts[c]:,})" for c in drawn]
    for place, (c, name) in enumerate(zip(drawn, ticks, strict=True)):
        low, q1, median, q3, high = ([float(v)] for v in quantiles.loc[c])
        figure.add_box(x=[place], lowerfence=low, q1=q1, median=median, q3=q3, upperfence=high, name=name,
                       marker_color=PALETTE[int(c) % len(PALETTE)])  # fmt: skip
    figure.update_layout(height=360, margin=_MARGIN, showlegend=False)
    figure.update_xaxes(_class_axis(ticks), tickangle=_slant(ticks))
    figure.update_yaxes(_LOG_AXIS, title="LSI in nats")
    return figure


def matrix(table: pd.DataFrame, class_names: list[str], most: int = 40) -> go.Figure:
    """How many suspected labels go from each given to each suggested class.

    A heatmap's cells cannot be selected by a click, so a see-through mark lies over each cell that holds something;
    its place is the index of the suggested class (x) and of the given one (y).

    Args:
        table: scores, one row a sample.
        class_names: names of the k classes.
        most: how many classes are shown; of more, those with most suspected labels, given or suggested.
    """
    suspected = table.loc[table["is_label_issue"], ["given_label", "suggested_label"]].to_numpy()
    shown = np.arange(len(class_names))
    if len(shown) > most:
        shown = np.sort(np.argsort(-np.bincount(suspected.ravel(), minlength=len(shown)), kind="stable")[:most])
    place = np.full(len(class_names), -1)
    place[shown] = np.arange(len(shown))
    cells = place[suspected]
    k, class_names = len(shown), [class_names[c] for c in shown]
    counts = np.zeros((k, k), dtype=int)
    np.add.at(counts, tuple(cells[(cells >= 0).all(axis=1)].T), 1)
    names, side = [_short(n) for n in class_names], min(900, max(420, 24 * k))
    figure = go.Figure(
        go.Heatmap(z=counts, colorscale="Blues", text=counts if k <= 20 else None, showscale=False, hoverinfo="skip",
                   texttemplate="%{text}" if k <= 20 else None)
    )  # fmt: skip
    given, suggested = np.nonzero(counts)
    words = [f"{names[g]} → {names[s]}: {counts[g, s]}" for g, s in zip(given, suggested, strict=True)]
    figure.add_scatter(x=suggested, y=given, mode="markers", showlegend=False, text=words,
                       marker={"symbol": "square", "size": max(4, 0.75 * side / k), "opacity": 0},
                       hovertemplate="%{text}<extra></extra>")  # fmt: skip
    figure.update_layout(height=side, margin=_MARGIN, clickmode="event+select", hovermode="closest")
    figure.update_xaxes(_class_axis(names), title="suggested", constrain="domain", tickangle=_slant(names))
    figure.update_yaxes(_class_axis(names), title="given", range=[k - 0.5, -0.5], scaleanchor="x", constrain="domain")
    return figure


def _class_axis(ticks: list[str]) -> dict[str, Any]:
    """Return an axis with one whole number for each class, labelled by its name."""
    return {"tickmode": "array", "tickvals": list(range(len(ticks))), "ticktext": ticks, "automargin": True,
            "range": [-0.5, len(ticks) - 0.5], "showgrid": False, "zeroline": False,
            "ticklabeloverflow": "allow"}  # fmt: skip


def _slant(ticks: list[str]) -> int | None:
    """Return the angle of many labels, which then end at their tick: beginning there, the last would not fit."""
    return -45 if len(ticks) > _LEVEL else None


def budget(lsi: np.ndarray, share: float) -> go.Figure:
    """Share of the summed information that a share of the samples keeps, the highest first."""
    kept = np.cumsum(np.sort(lsi)[::-1]) / max(lsi.sum(), 1e-300)
    x = np.arange(1, len(lsi) + 1) / len(lsi)
    step = max(1, len(x) // 500)
    figure = go.Figure(go.Scatter(x=x[::step], y=kept[::step], mode="lines", line_color=BLUE, name="information kept"))
    figure.add_vline(x=share, line_color=ORANGE)
    figure.update_layout(height=260, margin=_MARGIN, showlegend=False)
    figure.update_xaxes(title="share of the samples, highest LSI first", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="share of the information", tickformat=".0%", range=[0, 1.02])
    return figure


def precision_recall_curve(curve: pd.DataFrame, taken: int) -> go.Figure:
    """Predicted precision and recall over the number of labels taken."""
    figure = go.Figure()
    for name, colour in (("precision", BLUE), ("recall", ORANGE)):
        figure.add_scatter(x=curve["n"], y=curve[name], mode="lines", name=name, line_color=colour)
    figure.add_vline(x=taken, line_color=GREY)
    figure.update_layout(height=260, margin=_MARGIN | {"t": 40}, legend={"orientation": "h", "y": 1.25})
    figure.update_xaxes(title="labels taken, the least probable first")
    figure.update_yaxes(tickformat=".0%", range=[0, 1.02])
    return figure


def scatter(positions: np.ndarray, lsi: np.ndarray, most: int) -> go.Figure:
    """The map as a still figure, coloured by rank of LSI; beyond `most` points an even sample of them.

    Args:
        positions: (n, 2).
        lsi: (n,) LSI in nats.
        most: how many points to draw at most.
    """
    chosen = np.linspace(0, len(lsi) - 1, min(most, len(lsi))).round().astype(int)
    rank = lsi.argsort(kind="stable").argsort(kind="stable")[chosen] / max(len(lsi) - 1, 1)
    size = 6 if len(chosen) < 5_000 else 3
    marker = {"size": size, "color": rank, "colorscale": "Viridis", "showscale": False}
    x, y = positions[chosen].astype(np.float32).T
    figure = go.Figure(go.Scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip"))
    figure.update_layout(height=520, margin=_MARGIN, plot_bgcolor="white")
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def colours(values: np.ndarray, kind: str) -> np.ndarray:
    """Return (n, 4) uint8 colours: viridis over the ranks of numbers, or the palette for categories."""
    from plotly.colors import hex_to_rgb

    if kind == "number":
        return shades(values.argsort(kind="stable").argsort(kind="stable") / max(len(values) - 1, 1))
    rgb = np.array([hex_to_rgb(c) for c in PALETTE], np.uint8)[values % len(PALETTE)]
    return np.concatenate([rgb, np.full((len(rgb), 1), 220, np.uint8)], axis=1)


def shades(share: np.ndarray) -> np.ndarray:
    """Return (n, 4) uint8 colours of viridis for numbers from 0 to 1."""
    from plotly.colors import sample_colorscale

    steps = np.array([_rgb(c) for c in sample_colorscale("Viridis", np.linspace(0, 1, 256).tolist())], np.uint8)
    rgb = steps[(share * 255).astype(int)]
    return np.concatenate([rgb, np.full((len(rgb), 1), 220, np.uint8)], axis=1)


def _rgb(text: Any) -> list[int]:
    return [round(float(v)) for v in text[text.index("(") + 1 : -1].split(",")[:3]]


def _short(name: str, most: int = 24) -> str:
    """Return a class name as plain text for Plotly, which reads a few HTML tags."""
    name = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return name if len(name) <= most else name[: most - 1] + "…"
