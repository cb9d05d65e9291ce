"""Image quality: flags for images that are dark, bright, blurry, empty, of an odd shape, or exact copies.

Each rule compares an image with the dataset that it is in, so that a set of scans on black, of X-rays or of 32-px
images is not flagged as a whole; most ask for an absolute limit as well. The absolute limits are close to those that
CleanVision publishes (github.com/cleanlab/cleanvision, default parameters of its issue managers, version 0.3). Medians
and quartiles are those of the dataset's images.

    is_dark             brightness + 2·contrast < 0.32 (what a 99th percentile of luma is for a normal distribution;
                        CleanVision: that percentile < 0.32), and brightness < ½ of the median
    is_bright           1 − brightness < 0.3 of the median of 1 − brightness (for a median of one half, brightness
                        > 0.85; CleanVision: 5th percentile of luma > 0.95, which over-exposed images with clipped
                        lights seldom reach)
    is_blurry           sharpness < 0, that of edges blurred by a Gaussian of one pixel at a size of at most 256 px, and
                        sharpness < median − 1, that of edges 1.6 times as broad as usual (CleanVision has an absolute
                        limit on the size of edges, which falls with contrast); never where contrast < 0.01
    is_low_information  contrast < 0.01 (2.5 of 255 levels), or entropy < 3 bits (CleanVision: 3 bits; its defaults in
                        Datalab: 1.5) and < ½ of the median
    is_odd_size         √(width·height) differs from the median by a factor of 1.25, and lies outside the quartiles by
                        more than three times their distance, on a log scale (CleanVision: the same on a linear scale,
                        without the factor)
    is_odd_aspect       the same of long side / short side, with a factor of 2 (CleanVision: short side / long side
                        < 0.35)
    is_exact_duplicate  another image has the same content, byte for byte: the first one and all its copies
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lsi.features.measures import MEASURES

FLAGS = (
    "is_dark", "is_bright", "is_blurry", "is_low_information", "is_odd_size", "is_odd_aspect", "is_exact_duplicate",
)  # fmt: skip
COLUMNS = (*MEASURES, "aspect", *FLAGS)
_HIGHLIGHTS, _DARK, _BRIGHT = 0.32, 0.5, 0.3
_BLURRED, _SOFTER = 0.0, 1.0
_CONTRAST, _BITS, _INFORMATION = 0.01, 3.0, 0.5
_SIZE_FACTOR, _ASPECT_FACTOR, _QUARTILES = 1.25, 2.0, 3.0

Thresholds = dict[str, dict[str, float]]


def quality_table(measures: Float[np.ndarray, "n 6"], checksums: Sequence[str]) -> pd.DataFrame:
    """Return the columns of image quality, one row an image: the measures, `aspect` (width / height), and the flags.

    Args:
        measures: (n, 6) as `lsi.features.measure` gives them; rows of NaN where an image could not be read.
        checksums: n hashes of the images' content, "" where there is none.
    """
    table = pd.DataFrame(measures, columns=list(MEASURES))
    table["aspect"] = table["width"] / table["height"]
    if np.isfinite(measures).all():
        table = table.astype({"width": np.int64, "height": np.int64})
    limits = quality_thresholds(measures)
    dark, low = limits["is_dark"], limits["is_low_information"]
    highlights = table["brightness"] + 2 * table["contrast"]
    table["is_dark"] = (highlights < dark["highlights_below"]) & (table["brightness"] < dark["brightness_below"])
    table["is_bright"] = table["brightness"] > limits["is_bright"]["brightness_above"]
    table["is_blurry"] = (table["sharpness"] < limits["is_blurry"]["sharpness_below"]) & (
        table["contrast"] >= low["contrast_below"]
    )
    table["is_low_information"] = (table["contrast"] < low["contrast_below"]) | (
        table["entropy"] < low["entropy_below"]
    )
    for name, values in (("is_odd_size", _side(measures)), ("is_odd_aspect", _elongation(measures))):
        table[name] = (values < limits[name]["below"]) | (values > limits[name]["above"])
    content = pd.Series(list(checksums), dtype=object)
    table["is_exact_duplicate"] = content.duplicated(keep=False) & (content != "")
    return table


def quality_thresholds(measures: Float[np.ndarray, "n 6"]) -> Thresholds:
    """Return the limits that the flags follow in a dataset, by flag.

    They are limits of the columns; `highlights` is brightness + 2·contrast, and `below` and `above` are of
    √(width·height) in pixels for `is_odd_size` and of long side / short side for `is_odd_aspect`. NaN, which nothing
    exceeds, where no image could be read.

    Args:
        measures: (n, 6), rows of NaN where an image could not be read.
    """
    known = measures[np.isfinite(measures).all(axis=1)]
    known = known if len(known) else np.full((1, len(MEASURES)), np.nan)
    brightness, _, sharpness, entropy = known.T[:4]
    light, sharp = float(np.median(brightness)), float(np.median(sharpness))
    return {
        "is_dark": {"highlights_below": _HIGHLIGHTS, "brightness_below": _DARK * light},
        "is_bright": {"brightness_above": 1 - _BRIGHT * (1 - light)},
        "is_blurry": {"sharpness_below": float(np.minimum(_BLURRED, sharp - _SOFTER))},
        "is_low_information": {
            "contrast_below": _CONTRAST,
            "entropy_below": float(np.minimum(_BITS, _INFORMATION * np.median(entropy))),
        },
        "is_odd_size": _outside(_side(known), _SIZE_FACTOR),
        "is_odd_aspect": _outside(_elongation(known), _ASPECT_FACTOR),
    }


def quality_summary(measures: Float[np.ndarray, "n 6"], table: pd.DataFrame) -> dict[str, Any]:
    """Return what the manifest says of image quality.

    That is `thresholds` and `counts` by flag, and `n_unmeasured`, how many images could not be read.

    Args:
        measures: (n, 6) as `quality_table` took them.
        table: as it gave them.
    """
    limits = quality_thresholds(measures)
    return {
        "thresholds": {flag: {k: v if np.isfinite(v) else None for k, v in of.items()} for flag, of in limits.items()},
        "counts": {flag: int(table[flag].sum()) for flag in FLAGS},
        "n_unmeasured": int((~np.isfinite(measures)).any(axis=1).sum()),
    }


def _side(measures: np.ndarray) -> np.ndarray:
    """Return the geometric mean of width and height in pixels, (n,)."""
    return np.sqrt(measures[:, 4] * measures[:, 5])


def _elongation(measures: np.ndarray) -> np.ndarray:
    """Return long side / short side, (n,): a portrait photograph is as usual as a landscape."""
    sides = measures[:, 4:6]
    return sides.max(axis=1) / sides.min(axis=1)


def _outside(values: np.ndarray, factor: float) -> dict[str, float]:
    """Return the limits beyond which a value is odd: outside the quartiles, and by a factor from the median."""
    low, middle, high = np.quantile(np.log(values), [0.25, 0.5, 0.75])
    reach, least = _QUARTILES * (high - low), np.log(factor)
    # limits that a value reaches exactly do not exclude it: 40 px beside 32 px differ by a factor of 1.25
    below, above = np.minimum(low - reach, middle - least), np.maximum(high + reach, middle + least)
    return {"below": float(np.exp(below) * (1 + 1e-9)), "above": float(np.exp(above) * (1 - 1e-9))}
