import numpy as np
import torch

from lsi.laplace.design_matrix import DesignMatrix, GramFactor, shards, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate


def design(n: int = 50, dtype: torch.dtype = torch.float64) -> DesignMatrix:
    return DesignMatrix(with_bias(torch.from_numpy(np.random.default_rng(0).normal(size=(n, 4))).to(dtype)))


def test_the_gram_factor_is_the_eigendecomposition_of_the_gram_matrix():
    for dtype in (torch.float64, torch.float32):
        phi = design(dtype=dtype)
        factor = phi.gram_factor
        rebuilt = (factor.vectors * factor.values) @ factor.vectors.T
        assert factor.values.dtype == torch.float64
        torch.testing.assert_close(rebuilt, phi.values.double().T @ phi.values.double(), rtol=1e-12, atol=1e-12)


def test_objectives_on_one_design_share_its_factor(monkeypatch):
    phi, labels = design(), torch.arange(50) % 3
    calls = []
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda a: calls.append(a.shape) or eigh(a))
    first = Objective(Softmax(3), phi, labels, 1.0)
    others = (first, first.with_prior_precision(2.0), first.with_targets(labels.flip(0)))
    for objective in (*others, Objective(Softmax(3), phi, labels, 7.0)):
        objective.kronecker(objective.at(torch.zeros(2, 5, dtype=torch.float64)))
    assert calls.count((5, 5)) == 1
    assert all(o.design is phi for o in others)


def test_a_given_gram_factor_is_used_as_it_is():
    phi = design()
    factor = GramFactor(torch.ones(5, dtype=torch.float64), torch.eye(5, dtype=torch.float64))
    assert DesignMatrix(phi.values, factor).gram_factor is factor


def test_rows_are_chosen_by_mask_or_by_index():
    phi = design()
    mask = torch.arange(50) % 2 == 0
    torch.testing.assert_close(phi.rows(mask).values, phi.values[::2])
    torch.testing.assert_close(phi.rows(torch.tensor([3, 1])).values, phi.values[[3, 1]])
    assert len(phi.rows(mask)) == 25
    assert phi.rows(mask).shape == (25, 5)


def test_the_bias_is_the_last_column_and_shards_cover_all_rows():
    assert (design().values[:, -1] == 1).all()
    assert [(s.start, s.stop) for s in shards(10, 4)] == [(0, 4), (4, 8), (8, 10)]


def test_a_memory_mapped_design_is_read_as_any_other(tmp_path):
    phi = design()
    np.save(tmp_path / "phi.npy", phi.values.numpy())
    mapped = DesignMatrix(torch.from_numpy(np.load(tmp_path / "phi.npy", mmap_mode="c")))
    torch.testing.assert_close(mapped.gram_factor.values, phi.gram_factor.values)


def test_features_far_from_zero_keep_their_digits_in_kron():
    """Offset by 300 deviations: products in float32 lose what tells the features apart."""
    rng = np.random.default_rng(0)
    y = torch.arange(1_000) % 4
    features = torch.from_numpy(rng.normal(size=(1_000, 20)) + 300).float()
    features += torch.from_numpy(rng.normal(size=(4, 20))).float()[y]
    found, exact = (
        evaluate(
            fit(Objective(Softmax(4), DesignMatrix(with_bias(values)), y, 10.0)), ("kron",), LeaveOneOut(certify=0)
        )[0]
        for values in (features, features.double())
    )
    np.testing.assert_allclose(found.lsi, exact.lsi, rtol=1e-3)
