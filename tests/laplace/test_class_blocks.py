"""The blocks of a preconditioner: exact where every sample is drawn, near it otherwise, and no other fit by them."""

import pytest
import torch

from lsi.laplace import class_blocks as module
from lsi.laplace import probe as probes
from lsi.laplace.class_blocks import class_blocks, price
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax, dense_basis
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from tests.cases import noisy_digits

K = 10


@pytest.fixture(scope="module")
def objective():
    problem = noisy_digits(n=1_500)
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features).double()))
    return Objective(Softmax(K), design, torch.from_numpy(problem.labels), 0.05)


@pytest.fixture(scope="module")
def probe(objective):
    return fit(objective)


def exact_blocks(objective, probe):
    curvature = probe.means * (1 - probe.means)
    phi = objective.design.values
    blocks = torch.einsum("ic,id,ie->cde", curvature, phi, phi)
    return blocks + objective.prior_precision * torch.eye(phi.shape[1], dtype=torch.float64)


def drawn_blocks(objective, probe):
    factors = class_blocks(objective, objective.at(probe.weights)).inverse_factors
    return torch.linalg.inv(factors.mT @ factors)


def test_blocks_of_all_samples_are_exact(objective, probe, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 10**6)
    torch.testing.assert_close(drawn_blocks(objective, probe), exact_blocks(objective, probe), rtol=1e-6, atol=1e-6)


def test_drawn_blocks_have_about_the_exact_mass(objective, probe, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 200)
    drawn, exact = drawn_blocks(objective, probe), exact_blocks(objective, probe)
    for c in range(K):
        assert float(drawn[c].trace()) == pytest.approx(float(exact[c].trace()), rel=0.15)
        assert not torch.allclose(drawn[c], exact[c], rtol=1e-6)


@pytest.mark.parametrize("samples", [50, 300])
def test_few_samples_are_drawn_and_the_largest_for_sure(objective, probe, samples, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", samples)
    curvature = probe.means * (1 - probe.means)
    (counts,) = objective.design.sum_shards(
        module._counts, objective.targets, objective.likelihood, (probe.logit_weights, -1)
    )
    assert counts.sum(dim=1).tolist() == [len(curvature)] * K
    spacing = module._spacing(counts, samples)
    ((_, (index, logits, weights)),) = objective.design.map_shards(
        module._draw, objective.targets, objective.likelihood, (probe.logit_weights, -1), spacing
    )
    for c in range(K):
        drawn, sure = set(index[logits == c].tolist()), set((curvature[:, c] > spacing[c]).nonzero()[:, 0].tolist())
        assert sure <= drawn
        assert samples / 5 < len(drawn) <= 1.2 * samples
    expected = torch.maximum(curvature[index, logits], spacing[logits])
    torch.testing.assert_close(weights, expected)


def test_solve_is_the_inverse_of_the_blocks_in_the_coordinates(objective, probe):
    blocks = class_blocks(objective, objective.at(probe.weights))
    basis, m = dense_basis(objective.likelihood), K - 1
    inverse = torch.einsum("cm,cde,cl->mdle", basis, torch.linalg.inv(drawn_blocks(objective, probe)), basis)
    vectors = torch.randn(2, m, objective.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(blocks.solve(vectors), torch.einsum("mdle,rle->rmd", inverse, vectors))


def test_blocks_that_do_not_fit_are_never_bought(objective, monkeypatch):
    assert 2 < price(objective) < 25
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert price(objective) == float("inf")


def test_a_fit_by_blocks_from_larger_priors_ends_where_another_does(objective, probe, monkeypatch):
    assert probe.blocks is None or probe.n_hessian_products > price(objective)
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    plain = fit(objective)
    assert plain.blocks is None
    monkeypatch.undo()
    monkeypatch.setattr(probes, "LARGE", 0)
    large = fit(objective, tolerance=1e-8)
    assert large.blocks is not None
    assert large.newton_decrement <= 1e-8
    assert large.n_hessian_products < plain.n_hessian_products
    for other in (plain, large):
        torch.testing.assert_close(other.weights, probe.weights, rtol=0, atol=1e-6)


def test_a_refit_goes_on_with_the_blocks(objective, monkeypatch):
    monkeypatch.setattr(probes, "LARGE", 0)
    first = fit(objective, tolerance=1e-8)
    keep = torch.ones(len(objective.design), dtype=torch.bool)
    keep[::50] = False
    again, anew = fit(objective.rows(keep), first, tolerance=1e-8), fit(objective.rows(keep), tolerance=1e-8)
    torch.testing.assert_close(again.weights, anew.weights, rtol=0, atol=1e-6)
    assert again.n_hessian_products < anew.n_hessian_products


def test_blocks_that_help_nothing_are_dropped(objective, probe, monkeypatch):
    """One sample a class makes a block that is worse than the form: it is tried once at most."""
    built = []

    def counted(*arguments):
        built.append(class_blocks(*arguments))
        return built[-1]

    monkeypatch.setattr(probes, "class_blocks", counted)
    monkeypatch.setattr(probes, "price", lambda _: 0)
    monkeypatch.setattr(module, "SAMPLES", 1)
    found = fit(objective, tolerance=1e-8)
    assert len(built) == 1
    assert found.blocks is None
    torch.testing.assert_close(found.weights, probe.weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("large", [0, 1e30])
def test_solves_that_reach_the_most_products_end_no_fit(objective, probe, monkeypatch, large):
    monkeypatch.setattr(probes, "LARGE", large)
    monkeypatch.setattr(probes, "HARD", 2)
    monkeypatch.setattr(probes, "MAX_CG_STEPS", 40)
    from_start = fit(objective, torch.zeros(objective.shape, dtype=torch.float64), tolerance=1e-8)
    for found in (fit(objective, tolerance=1e-8), from_start):
        torch.testing.assert_close(found.weights, probe.weights, rtol=0, atol=1e-6)
