"""Numbers as people write them."""

import numpy as np
import pytest

from lsi.runs.numbers import as_written, told_apart


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-3.0, "-3"), (0.1, "0.1"), (12.3456, "12.35"), (0.00012, "0.00012"), (1.5e-7, "1.5e-07"),
        (1234.5678, "1,235"), (123456.75, "123,456.8"), (249900.0, "249,900"), (2.5e13, "2.5e+13"),
        (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_a_number_has_four_digits_and_all_before_its_point(value, text):
    assert as_written(value) == text


def test_different_numbers_get_as_many_digits_as_tell_them_apart():
    assert told_apart([12.3456, 12.3461, 5.0]) == ["12.3456", "12.3461", "5"]
    assert told_apart([12.3456, 14.0]) == ["12.35", "14"]
    assert told_apart([12.345678, 12.345679]) == ["12.34568", "12.34568"]
    assert told_apart([12.345678, 12.345679], 17) == ["12.345678", "12.345679"]
    assert told_apart(np.array([7.5, np.nan, 7.5])) == ["7.5", "nan", "7.5"]


def test_very_many_numbers_have_four_digits_so_that_few_texts_stand_for_them():
    assert len(set(told_apart(100 + np.linspace(0, 1, 10_001)))) == 11
