import pytest

from lsi.features.extract import Embedding


@pytest.fixture
def embedded(monkeypatch) -> list[int]:
    """How many images each batch held that was embedded since the test began, or since it cleared this."""
    seen: list[int] = []
    whole = Embedding.rows

    def rows(self, start, batch):
        seen.append(len(batch))
        return whole(self, start, batch)

    monkeypatch.setattr(Embedding, "rows", rows)
    return seen
