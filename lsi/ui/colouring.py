"""Colours of the points on the map by the values of a column, and the legend that says what they mean."""

from dataclasses import dataclass

import numpy as np
from plotly.colors import hex_to_rgb, sample_colorscale

from lsi.export import charts
from lsi.ui.columns import EMPTY, Column, shown
from lsi.ui.wording import number

MOST_NAMED = 12
OTHER, MISSING = "#8A929A", "#D5D9DD"
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#882255", "#332288", "#999933",
    "#8C564B", "#17BECF",
)  # fmt: skip
_ALPHA = 220
_SKEWED = 0.2  # of positive numbers whose median lies below this share of their range, colours follow the logarithm
_END = 10  # letters that are left of the end of a long value: many begin alike
_STEPS = 8  # of the scale in a legend


@dataclass(frozen=True)
class LegendEntry:
    """What a colour means.

    Attributes:
        colour: as CSS writes it; a gradient for a scale.
        text: what it stands for; of a scale the upper end.
        lower: the lower end of a scale, "" for a single colour.
        value: what it stands for in full, where the text is cut; else "".
    """

    colour: str
    text: str
    lower: str = ""
    value: str = ""


@dataclass(frozen=True)
class Colouring:
    """Colours and their legend.

    Attributes:
        colours: (n, 4) uint8, red, green, blue, opacity.
        legend: what they mean.
    """

    colours: np.ndarray
    legend: list[LegendEntry]


def by_value(column: Column, noun: str) -> Colouring:
    """Return a colour for each of the most frequent values, one for all others, and one for missing ones.

    Args:
        column: the values.
        noun: what the others are called, such as "classes" or "values".
    """
    counts = {value: count for value, count in column.counts.items() if value != EMPTY}
    named = sorted(counts, key=lambda value: -counts[value])[:MOST_NAMED]
    places = {value: PALETTE[i] for i, value in enumerate(named)} | {EMPTY: MISSING}
    table = np.array([hex_to_rgb(places.get(str(value), OTHER)) for value in column.values], np.uint8).reshape(-1, 3)
    legend = [LegendEntry(places[value], _short(value), value=value) for value in named]
    if len(counts) > len(named):
        legend.append(LegendEntry(OTHER, f"{len(counts) - len(named):,} other {noun}"))
    if column.n_missing:
        legend.append(LegendEntry(MISSING, shown(EMPTY)))
    return Colouring(_opaque(table[column.codes]), legend)


def by_number(column: Column) -> Colouring:
    """Return colours on a continuous scale between the 1st and the 99th percentile; missing values are grey."""
    numbers = np.full(len(column.codes), np.nan) if column.numbers is None else column.numbers
    known = np.isfinite(numbers)
    if not known.any():
        return by_value(column, "values")
    low, high = (float(v) for v in np.percentile(numbers[known], [1, 99]))
    smallest, largest = column.bounds
    is_log = low > 0 and float(np.median(numbers[known])) - low < _SKEWED * (high - low)
    values, ends = (np.log(np.where(known, numbers.clip(1e-300), 1)), np.log([low, high])) if is_log else (
        np.where(known, numbers, low), np.array([low, high]))  # fmt: skip
    share = (values - ends[0]) / max(float(ends[1] - ends[0]), 1e-300)
    colours = charts.shades(share.clip(0, 1))
    colours[~known, :3] = hex_to_rgb(MISSING)
    scale = ", ".join(map(str, sample_colorscale("Viridis", np.linspace(0, 1, _STEPS).tolist())))
    lower = f"{'≤ ' if smallest < low else ''}{number(low)}"
    upper = f"{'≥ ' if largest > high else ''}{number(high)}{' (log scale)' if is_log else ''}"
    legend = [LegendEntry(f"linear-gradient(90deg, {scale})", upper, lower)]
    return Colouring(colours, [*legend, *([LegendEntry(MISSING, shown(EMPTY))] if column.n_missing else [])])


def _opaque(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, np.full((len(rgb), 1), _ALPHA, np.uint8)], axis=1)


def _short(value: str, most: int = 32) -> str:
    return value if len(value) <= most else f"{value[: most - _END - 1]}…{value[-_END:]}"
