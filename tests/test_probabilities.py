"""Class probabilities in either layout: all classes, or the likeliest of each sample."""

import numpy as np
import pytest

from lsi import probabilities as module
from lsi.probabilities import Probabilities, likeliest_of


def table(n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(k, 0.2), n), rng.integers(0, k, n)


@pytest.fixture(params=["dense", "likeliest"])
def pair(request, monkeypatch, tmp_path):
    """Probabilities as given, the given classes, and the same as they are kept."""
    p, given = table(300, 60)
    if request.param == "likeliest":
        monkeypatch.setattr(module, "DENSE_BYTES", 0)
        monkeypatch.setattr(module, "KEPT_CLASSES", 20)
    kept = Probabilities.allocate(*p.shape, folder=tmp_path)
    kept.put(slice(0, 100), p[:100], given[:100])
    kept.put(np.arange(100, 300), p[100:], given[100:])
    assert (kept.classes is None) == (request.param == "dense")
    return p, given, kept


def test_what_is_asked_for_is_what_was_put_in(pair):
    p, given, kept = pair
    assert kept.shape == p.shape
    np.testing.assert_allclose(kept.of_classes(given), p[np.arange(300), given], rtol=1e-6)
    np.testing.assert_array_equal(kept.likeliest(5), np.argsort(-p, axis=1)[:, :5])
    np.testing.assert_array_equal(kept.likeliest(3, np.array([7, 2])), np.argsort(-p, axis=1)[[7, 2], :3])
    np.testing.assert_allclose(kept.rows(slice(None)).sum(axis=1), 1, rtol=1e-5)
    top = np.argsort(-p, axis=1)[:, :5]
    np.testing.assert_allclose(
        np.take_along_axis(kept.rows([5, 3]), top[[5, 3]], axis=1),
        np.take_along_axis(p[[5, 3]], top[[5, 3]], axis=1),
        rtol=1e-6,
    )
    np.testing.assert_array_equal(kept.dense(), kept.rows(slice(None)))


def test_blocks_are_the_rows_in_order(pair, monkeypatch):
    _, _, kept = pair
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * 60 * 128)
    parts = list(kept.blocks())
    assert [(r.start, r.stop) for r, _ in parts] == [(0, 128), (128, 256), (256, 300)]
    np.testing.assert_array_equal(np.concatenate([b for _, b in parts]), kept.dense())


def test_what_is_not_kept_has_an_even_part_of_the_rest(monkeypatch):
    p, given = table(10, 60)
    monkeypatch.setattr(module, "DENSE_BYTES", 0)
    kept = Probabilities.allocate(*p.shape)
    kept.put(slice(None), p, given)
    row = kept.rows(slice(None))[0]
    others = np.setdiff1d(np.arange(60), kept.classes[0])
    assert len(others) == 60 - module.KEPT_CLASSES
    np.testing.assert_allclose(row[others], p[0, others].mean(), rtol=1e-4)


def test_written_and_read_back(pair, tmp_path):
    _, _, kept = pair
    names = kept.save(tmp_path / "run", "loo_probabilities")
    again = Probabilities.read(tmp_path / "run", "loo_probabilities", 60)
    assert len(names) == (1 if kept.classes is None else 2)
    np.testing.assert_allclose(again.dense(), kept.dense(), rtol=1e-6)
    assert not again.values.flags.writeable


def test_the_likeliest_of_few_classes_are_all():
    np.testing.assert_array_equal(likeliest_of(np.array([[0.2, 0.5, 0.3]]), 10), [[1, 2, 0]])
