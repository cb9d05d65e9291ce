"""A column of the data, as text and where possible as numbers, and a filter of it.

What the data say is never changed: numbers that a table holds as text are numbers here, and text everywhere else.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

EMPTY = ""  # what a missing value is called in a filter
_VALUES, _RANGE = "is.", "in."  # what the address writes before the name of a column
_SHOWN_VALUES = 3  # of a filter, in words
_WHOLE = 2.0**63  # floats below it that are whole are numbers of 64 bits
_DOUBLE = 8  # bytes
_FEW = 20  # distinct numbers that are chosen one by one; more are chosen by a range


@dataclass(frozen=True)
class Column:
    """The values of one column.

    Attributes:
        codes: (n,) positions in `values`.
        values: the distinct values as text; EMPTY where one is missing.
        numbers: (n,) float64, NaN where missing; None where a value is no number.
    """

    codes: Int[np.ndarray, " n"]
    values: np.ndarray
    numbers: Float[np.ndarray, " n"] | None

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many samples have each value: the most frequent first, few numbers in rising order, EMPTY last."""
        counts = np.bincount(self.codes, minlength=len(self.values))
        order = np.argsort(-counts, kind="stable")
        if self.numbers is not None and not self.is_range:
            order = np.argsort(_numbers(self.values), kind="stable")
        found = {str(self.values[i]): int(counts[i]) for i in order if counts[i]}
        missing = found.pop(EMPTY, 0)
        return found | ({EMPTY: missing} if missing else {})

    @property
    def n_bytes(self) -> int:
        """How much memory its arrays and texts take, in bytes."""
        numbers = 0 if self.numbers is None else self.numbers.nbytes
        return self.codes.nbytes + self.values.nbytes + sum(map(sys.getsizeof, self.values)) + numbers

    @property
    def n_missing(self) -> int:
        """How many samples have no value."""
        return self.counts.get(EMPTY, 0)

    @property
    def is_range(self) -> bool:
        """Whether the values are so many numbers that a range says more than a list."""
        return self.numbers is not None and len(self.values) > _FEW

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest number; NaN where there are none."""
        known = np.empty(0) if self.numbers is None else self.numbers[np.isfinite(self.numbers)]
        return (float(known.min()), float(known.max())) if len(known) else (np.nan, np.nan)

    def holds(self, texts: tuple[str, ...]) -> np.ndarray:
        """Return which samples have one of these values, (n,)."""
        asked = set(texts)
        return np.array([value in asked for value in self.values], dtype=bool)[self.codes]

    def between(self, low: float | None, high: float | None) -> np.ndarray:
        """Return which samples have a number from low to high, both included; none where the values are no numbers."""
        if self.numbers is None:
            return np.zeros(len(self.codes), dtype=bool)
        known = ~np.isnan(self.numbers)
        return known & (self.numbers >= (-np.inf if low is None else low)) & (
            self.numbers <= (np.inf if high is None else high)
        )  # fmt: skip


@dataclass(frozen=True)
class ColumnFilter:
    """What one column of the data may hold.

    Attributes:
        column: its name.
        values: as text, "" for a missing one; none where a range is meant.
        low: the smallest number that passes; None: there is no such limit.
        high: the largest number that passes.
    """

    column: str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether it keeps anything out."""
        return bool(self.values) or self.low is not None or self.high is not None

    def mask(self, column: Column) -> np.ndarray:
        """Return which samples pass."""
        return column.holds(self.values) if self.values else column.between(self.low, self.high)

    def chip(self) -> str:
        """Return it in words."""
        if self.values:
            more = len(self.values) - _SHOWN_VALUES
            words = ", ".join(shown(v)[:40] for v in self.values[:_SHOWN_VALUES])
            return f"{self.column}: {words}" + (f" and {more} more" if more > 0 else "")
        if self.low is None or self.high is None:
            return f"{self.column} ≥ {self.low:.12g}" if self.low is not None else f"{self.column} ≤ {self.high:.12g}"
        return f"{self.column} {self.low:.12g} to {self.high:.12g}"

    def to_query(self) -> tuple[str, str | list[str]]:
        """Return name and value of the parameter that writes it in a URL."""
        if self.values:
            return f"{_VALUES}{self.column}", list(self.values)
        low, high = ("" if limit is None else repr(float(limit)) for limit in (self.low, self.high))
        return f"{_RANGE}{self.column}", f"{low}..{high}"

    @staticmethod
    def from_query(name: str, words: tuple[str, ...]) -> "ColumnFilter | None":
        """Return what a parameter of a URL writes, None where it is no filter of a column or makes no sense."""
        column = name[len(_VALUES) :]
        if not column or not words:
            return None
        if name.startswith(_VALUES):
            return ColumnFilter(column, tuple(dict.fromkeys(words)))
        if not name.startswith(_RANGE):
            return None
        try:
            low, high = (float(v) if v else None for v in words[0].split(".."))
        except ValueError:
            return None
        known = [v for v in (low, high) if v is not None]
        if not known or not np.isfinite(known).all() or sorted(known) != known:
            return None
        return ColumnFilter(column, (), low, high)


def read_column(values: pd.Series) -> Column:
    """Return a column's values as text, and as numbers where every one that is there is one."""
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    width = getattr(values.dtype, "itemsize", _DOUBLE)
    is_narrow = is_number and values.dtype.kind == "f" and width < _DOUBLE
    try:
        codes, distinct = _factorized(values, width) if is_narrow else pd.factorize(values, use_na_sentinel=False)
    except TypeError:  # lists and dictionaries have no hash
        codes, distinct = pd.factorize(values.map(as_text), use_na_sentinel=False)
    texts = np.array([as_text(v) for v in distinct], dtype=object)
    codes, texts = _merged(codes, texts)
    numbers = _numbers(texts)
    if is_number:
        rows = numbers[codes] if is_narrow else values.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(codes, texts, np.where(np.isinf(rows), np.nan, rows))
    all_numbers = np.isfinite(numbers[texts != EMPTY]).all() and (texts != EMPTY).any()
    return Column(codes, texts, numbers[codes] if all_numbers else None)


def is_numeric(values: pd.Series) -> bool:
    """Say whether every value that is there is a number; a look at the first ones spares most texts a whole reading."""
    if pd.api.types.is_bool_dtype(values):
        return False
    if pd.api.types.is_numeric_dtype(values):
        return True
    there = values[values.notna()]
    for part in (there[:100], there):
        texts = part.map(as_text).to_numpy(dtype=object)
        texts = texts[texts != EMPTY]
        if not np.isfinite(_numbers(texts)).all() or (part is there and not len(texts)):
            return False
    return True


def as_text(value: Any) -> str:
    """Return a value as text, EMPTY where it is missing; whole numbers that came as floats lose their point."""
    if value is None or value is pd.NA or value is pd.NaT:
        return EMPTY
    if isinstance(value, float | np.floating):
        exact = float(str(value))  # of a narrow float the shortest number that it stands for
        if np.isnan(exact):
            return EMPTY
        return str(int(exact)) if exact.is_integer() and abs(exact) < _WHOLE else repr(exact)
    return str(value)


def shown(value: str) -> str:
    """Return a value as a filter shows it."""
    return "(empty)" if value == EMPTY else value


def _factorized(values: pd.Series, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and distinct values of narrow floats, as narrow as they are: pandas would widen them."""
    narrow = values.to_numpy(dtype=f"f{width}", na_value=np.nan)
    distinct, codes = np.unique(narrow, return_inverse=True)
    return codes, distinct


def _merged(codes: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and texts with equal texts, such as those of None and NaN, counted as one."""
    places, distinct = pd.factorize(pd.Series(texts, dtype=object))
    return places[codes].astype(np.int64), np.array(distinct, dtype=object)


def _numbers(texts: np.ndarray) -> np.ndarray:
    """Return texts as numbers, NaN where one is none."""
    return pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
