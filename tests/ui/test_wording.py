import pytest

from lsi.data.plan import counted
from lsi.runs.numbers import nats
from lsi.ui.wording import lasting, pace


@pytest.mark.parametrize(("number", "words"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1_200, "1,200 files")])
def test_nouns_agree_with_their_number(number, words):
    assert counted(number, "file") == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.9999, "1.00"),
        (0.82, "0.820"),
        (12.0, "12.0"),
        (123.4, "123"),
        (0.00012, "0.000120"),
        (3.9e-6, "0.00000390"),
        (9.999e-5, "0.0001000"),
        (3.9e-7, "3.90e-07"),
        (0.0, "0.00"),
        (999.4, "999"),
        (999.7, "1,000"),
        (1234.5, "1,234"),
    ],
)
def test_information_has_three_digits_that_count(value, words):
    assert nats(value) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1234.5, "1,234 a second"),
        (1.0, "1 a second"),
        (0.5, "30 a minute"),
        (0.01, "36 an hour"),
        (0.0001, "less than 1 an hour"),
    ],
)
def test_a_pace_below_one_a_second_is_that_of_a_minute_or_an_hour(rate, words):
    assert pace(rate) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (90.0, "90 s"), (119.9, "2 min"), (3599.0, "1 h"), (7200.0, "2 h"), (9000.0, "2 h 30 min")],
)
def test_a_long_time_is_in_minutes_and_hours(seconds, words):
    assert lasting(seconds) == words
