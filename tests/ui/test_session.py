"""What pages share is held within bytes, whatever is looked at."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cachetools import LRUCache

from lsi.compute import queries
from lsi.laplace.explanation import Explanation
from lsi.ui import session
from lsi.ui.columns import read_column

KEY = ("a run", 1)


@pytest.fixture
def empty():
    """The shared caches, empty before and after."""
    shared = (session._thumbnail, session._column, session._group_lsi, session._explain)
    for one in shared:
        one.cache_clear()
    yield shared
    for one in shared:
        one.cache_clear()


def test_thumbnails_are_held_up_to_their_bytes_and_not_their_number(empty, monkeypatch):
    class Views:
        def __init__(self):
            self.run = self.images = self

        def read(self, _position):
            return None

    monkeypatch.setattr(session, "by_key", lambda _: Views())
    monkeypatch.setattr(session, "thumbnail", lambda *_, enlarge: bytes(2**20))
    for position in range(100):
        session._thumbnail(KEY, position, 1_024, False)
    assert session._thumbnail.cache.currsize == session._thumbnail.cache.maxsize == 64 * 2**20


def test_a_column_counts_its_texts_too():
    words = [f"word {i}" for i in range(1_000)]
    column = read_column(pd.Series(words))
    assert column.n_bytes > sum(map(len, words)) + column.codes.nbytes
    cache = LRUCache(column.n_bytes * 2.5, getsizeof=lambda c: c.n_bytes)
    for i in range(5):
        cache[i] = column
    assert len(cache) == 2


def test_a_large_group_is_remembered_by_a_short_name(empty, monkeypatch):
    asked = []

    class Fits:
        def __init__(self):
            self.fit = self

        def group_information(self, positions):
            asked.append(len(positions))
            return float(positions.sum())

        def information_apart(self, positions):
            return 0.0

    monkeypatch.setattr(session, "by_key", lambda _: Fits())
    large = tuple(range(100_000))
    assert session._group_lsi(KEY, large) == session._group_lsi(KEY, large) == (np.sum(large), 0)
    assert session._group_lsi(KEY, large[1:]) == session._group_lsi(("a run", 2), large)
    assert asked == [100_000, 99_999, 100_000]
    assert all(len(name) == 3 and len(name[2]) == 64 for name in session._group_lsi.cache)


def test_explanations_are_held_up_to_their_bytes_and_not_their_number(empty, monkeypatch):
    """Each has a number for every sample of its run: ten million bytes at 1.28 million samples."""
    n, computed = 2**20, []

    def explain(run, position: int) -> Explanation:
        computed.append(position)
        return Explanation(position, 0, 1, np.zeros(n), np.zeros(2), np.arange(2))

    monkeypatch.setattr(queries, "explain_sample", explain)
    monkeypatch.setattr(session, "by_key", lambda _: SimpleNamespace(run=None))
    for position in range(20):
        session._explain(("a run", 0), position)
    session._explain(("a run", 0), 19)
    assert computed == list(range(20))
    session._explain(("a run", 0), 0)
    assert computed[-1] == 0
