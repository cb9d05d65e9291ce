"""Numbers of the data as text: as many digits as they need, and no power of ten where people write none."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

_MANY = 10_000  # different numbers, which more digits would give as many texts


def as_written(value: float, digits: int = 4) -> str:
    """Return a number as people write it: so many digits that count, and all of those before the point.

    Args:
        value: the number.
        digits: how many count.
    """
    size = abs(value)
    if not math.isfinite(size) or size >= 1e12 or 0 < size < 1e-4:
        return f"{value:.{digits}g}"
    places = digits - 1 - math.floor(math.log10(size)) if size else 0
    text = f"{value:,.{max(places, 1 if size >= 1e4 else 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def told_apart(values: Sequence[float] | np.ndarray, most: int = 7) -> list[str]:
    """Return numbers as text, with as many digits as tell different ones apart, four at least.

    Args:
        values: the numbers.
        most: how many digits may count; of more than ten thousand different numbers it is four.
    """
    distinct, place = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True)
    digits = 4
    texts = [as_written(v, digits) for v in distinct.tolist()]
    while digits < most and len(set(texts)) < len(texts) <= _MANY:
        digits += 1
        texts = [as_written(v, digits) for v in distinct.tolist()]
    return [texts[i] for i in place]


def side_by_side(table: pd.DataFrame, most: int) -> list[str]:
    """Return the numbers of each row of a table as one text, told apart by column.

    Args:
        table: columns of numbers.
        most: how many digits may count.
    """
    columns = [told_apart(table[name].to_numpy(), most) for name in table]
    return ["; ".join(row) for row in zip(*columns, strict=True)] if columns else [""] * len(table)


def nats(value: float) -> str:
    """Return an amount of information as people read it: three digits that count, zeros at the end included.

    From a thousand on in full. Without a power of ten down to a millionth, as on the tiles of the gallery.
    """
    size = abs(value)
    if size >= 999.5:
        return f"{value:,.0f}"
    if 1e-6 <= size < 1e-4:
        return f"{value:.{2 - math.floor(math.log10(size))}f}"
    return f"{value:#.3g}".rstrip(".")
