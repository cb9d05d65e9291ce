"""Columns of the data as text and as numbers; what is stored stays as it is."""

import decimal
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from lsi.ui.columns import EMPTY, ColumnFilter, read_column

NAN = np.nan


@pytest.mark.parametrize(
    ("values", "counts", "numbers"),
    [
        (["b", None, "b", ""], {"b": 2, EMPTY: 2}, None),
        (["10", "9", "10", None], {"9": 1, "10": 2, EMPTY: 1}, [10, 9, 10, NAN]),
        (["001", "1", "x"], {"001": 1, "1": 1, "x": 1}, None),
        (["001", "1", "2"], {"001": 1, "1": 1, "2": 1}, [1, 1, 2]),
        (["1", "nan"], {"1": 1, "nan": 1}, None),
        (["1", "inf"], {"1": 1, "inf": 1}, None),
        (["1_000", "2"], {"1_000": 1, "2": 1}, None),
        ([3, None, 1], {"1": 1, "3": 1, EMPTY: 1}, [3, NAN, 1]),
        ([0.5, np.inf], {"0.5": 1, "inf": 1}, [0.5, NAN]),
        ([float(2**53), None], {"9007199254740992": 1, EMPTY: 1}, [2**53, NAN]),
        (
            pd.array([2**53, 2**53 + 1, None], dtype="Int64"),
            {"9007199254740992": 1, "9007199254740993": 1, EMPTY: 1},
            [2**53, 2**53, NAN],
        ),
        (np.array([0.1, 2.0, NAN], dtype=np.float32), {"0.1": 1, "2": 1, EMPTY: 1}, [0.1, 2, NAN]),
        (np.array([0.1, np.inf], dtype=np.float16), {"0.1": 1, "inf": 1}, [0.1, NAN]),
        (pd.array([0.1, None], dtype="Float32"), {"0.1": 1, EMPTY: 1}, [0.1, NAN]),
        ([True, False, True], {"True": 2, "False": 1}, None),
        (["True", None], {"True": 1, EMPTY: 1}, None),
        ([None, None], {EMPTY: 2}, None),
        ([[1], [2], [1]], {"[1]": 2, "[2]": 1}, None),
        ([decimal.Decimal("1.50"), None], {"1.50": 1, EMPTY: 1}, [1.5, NAN]),
        (pd.array([7, None], dtype="Int64"), {"7": 1, EMPTY: 1}, [7, NAN]),
        (pd.Categorical(["a", None]), {"a": 1, EMPTY: 1}, None),
        (pd.to_datetime(["2024-05-01", None]), {"2024-05-01 00:00:00": 1, EMPTY: 1}, None),
        ([], {}, None),
    ],
)
def test_a_column_is_text_and_numbers_where_every_value_is_one(values, counts, numbers):
    stored = pd.Series(values)
    before = stored.copy()
    column = read_column(stored)
    assert column.counts == counts
    assert list(column.counts) == list(counts)
    assert (column.numbers is None) == (numbers is None)
    if numbers is not None:
        np.testing.assert_array_equal(column.numbers, np.array(numbers, dtype=np.float64))
    pd.testing.assert_series_equal(stored, before)


def test_many_numbers_are_a_range_and_few_are_a_list():
    assert read_column(pd.Series(range(100)).astype(str)).is_range
    assert not read_column(pd.Series([1, 2, 3] * 30)).is_range
    assert not read_column(pd.Series([f"name {i}" for i in range(100)])).is_range


@pytest.mark.parametrize(
    ("chosen", "rows", "words"),
    [
        (ColumnFilter("c", ("2", "")), [1, 2], "c: 2, (empty)"),
        (ColumnFilter("c", ("2.0",)), [], "c: 2.0"),
        (ColumnFilter("c", (), 2.0, None), [1, 3], "c ≥ 2"),
        (ColumnFilter("c", (), None, 2.0), [0, 1], "c ≤ 2"),
        (ColumnFilter("c", (), 1.5, 1234567.25), [1, 3], "c 1.5 to 1234567.25"),
        (ColumnFilter("c", ("1", "2", "3", "4")), [0, 1, 3], "c: 1, 2, 3 and 1 more"),
    ],
)
def test_a_filter_of_a_column_and_its_words(chosen, rows, words):
    column = read_column(pd.Series(["1", "2", None, "3"]))
    np.testing.assert_array_equal(np.flatnonzero(chosen.mask(column)), rows)
    assert chosen.chip() == words


def test_a_range_that_ends_at_a_number_lets_it_pass_however_it_is_stored():
    column = read_column(pd.Series(np.array([0.1, 0.2, 0.3], dtype=np.float32)))
    assert ColumnFilter("c", (), 0.1, 0.1).mask(column).tolist() == [True, False, False]


def test_a_range_of_text_lets_nothing_pass():
    assert not ColumnFilter("c", (), 0.0, 1.0).mask(read_column(pd.Series(["a", "0.5"]))).any()


def test_one_long_value_makes_not_every_other_one_as_long():
    column = read_column(pd.Series([*map(str, range(1_000)), "x" * 100_000]))
    tracemalloc.start()
    assert column.holds(("7", "x" * 100_000)).sum() == 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6
