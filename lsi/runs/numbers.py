"""Numbers of the data as text: as many digits as they need, and no power of ten where people write none."""

import math
from collections.abc import Sequence

import numpy as np

_MANY = 10_000  # different numbers, which a few digits do not tell apart


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
        most: how many digits may count; also of very many numbers, which fewer never tell apart.
    """
    numbers = np.asarray(values, dtype=np.float64)
    distinct = np.unique(numbers)
    digits = most if len(distinct) > _MANY else 4
    while digits < most and len({as_written(float(v), digits) for v in distinct}) < len(distinct):
        digits += 1
    return [as_written(float(v), digits) for v in numbers]
