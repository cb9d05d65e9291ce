import pytest

from lsi.data.plan import counted


@pytest.mark.parametrize(("number", "words"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1_200, "1,200 files")])
def test_nouns_agree_with_their_number(number, words):
    assert counted(number, "file") == words
