import pytest

from lsi.data.plan import counted
from lsi.ui.wording import nats


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
    ],
)
def test_information_has_three_digits_that_count(value, words):
    assert nats(value) == words
