"""What is flagged in an image's quality, in words, and which of the flagged images is the worst."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Flag:
    """One flag of image quality.

    Attributes:
        words: what it says of an image, on a button.
        title: what it says of several, as a heading.
        means: what it is measured by, as a sentence.
        order: the column that ranks the flagged images; "" where their distance from the usual does.
        is_rising: whether a low value of that column is the worst.
    """

    words: str
    title: str
    means: str
    order: str
    is_rising: bool = True


FLAGS = {
    "is_dark": Flag("dark", "Dark", "Hardly any light in it.", "brightness"),
    "is_bright": Flag("bright", "Bright", "Nearly white: over-exposed or empty.", "brightness", is_rising=False),
    "is_blurry": Flag("blurry", "Blurry", "Soft edges: out of focus, or enlarged.", "sharpness"),
    "is_low_information": Flag("low information", "Low information", "Nearly one colour: blank, or failed.", "entropy"),
    "is_odd_size": Flag("odd size", "Odd size", "Much smaller or larger than the others.", ""),
    "is_odd_aspect": Flag("odd aspect", "Odd aspect", "Much longer or wider than the others.", ""),
    "is_exact_duplicate": Flag("exact duplicate", "Exact duplicates", "The same content as another image.", ""),
}
FIGURES = ("brightness", "contrast", "sharpness", "entropy", "width", "height", "aspect")
ORDERS = {
    "Darkest": ("brightness", True),
    "Brightest": ("brightness", False),
    "Least contrast": ("contrast", True),
    "Blurriest": ("sharpness", True),
    "Least varied pixels": ("entropy", True),
}


def worst_first(table: pd.DataFrame, flag: str, positions: np.ndarray) -> np.ndarray:
    """Return which of these samples have a flag, the worst first; copies of one image beside one another.

    Args:
        table: one row a sample, with the columns of image quality.
        flag: name of the flag's column.
        positions: rows of the table.
    """
    flagged = positions[table[flag].to_numpy(dtype=bool)[positions]]
    rows = table.iloc[flagged]
    facts = FLAGS[flag]
    if facts.order in rows.columns:
        values = rows[facts.order].to_numpy(dtype=np.float64)
        return flagged[np.argsort(values if facts.is_rising else -values, kind="stable")]
    if flag == "is_exact_duplicate":
        return flagged[np.lexsort((flagged, rows["near_duplicate_group"].to_numpy()))]
    size = table["width"] * table["height"] if flag == "is_odd_size" else table["width"] / table["height"]
    logs = np.log(size.to_numpy(dtype=np.float64))
    distance = np.abs(logs - np.nanmedian(logs))[flagged]
    return flagged[np.argsort(-distance, kind="stable")]
