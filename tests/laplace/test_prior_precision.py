import numpy as np
import pytest
import torch

from lsi.errors import ConvergenceError, NumericalError
from lsi.laplace import prior_precision
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.prior_precision import choose
from tests.cases import noisy_digits


def test_with_more_weights_than_the_exact_choice_can_afford_folds_choose_alike(monkeypatch):
    """About as many weights as samples, where an approximate leave-one-out would prefer no prior at all."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 4
    features = rng.normal(size=(300, 90)) + 0.5 * rng.normal(size=(4, 90))[labels]
    phi, y = DesignMatrix(with_bias(torch.from_numpy(features))), torch.from_numpy(labels)
    exact = choose(Softmax(4), phi, y)
    monkeypatch.setattr("lsi.laplace.prior_precision.FULL_LIMIT", 100)
    by_folds = choose(Softmax(4), phi, y)
    assert (exact.folds, by_folds.folds) == (0, 5)
    assert 0.3 < by_folds.prior_precision / exact.prior_precision < 3.5
    assert by_folds.n_failed == 0


@pytest.mark.parametrize("n", [2, 4])
def test_fewer_samples_than_folds_have_a_fold_each(n):
    features = np.random.default_rng(0).normal(size=(n, 3_000))
    choice = choose(Softmax(2), DesignMatrix(with_bias(torch.from_numpy(features))), torch.arange(n) % 2)
    assert choice.folds == n


def digits() -> tuple[DesignMatrix, torch.Tensor]:
    problem = noisy_digits(n=200, share=0.2)
    return DesignMatrix(with_bias(torch.from_numpy(problem.features))), torch.from_numpy(problem.labels)


@pytest.mark.parametrize("error", [ConvergenceError, NumericalError])
def test_points_that_fail_are_passed_over(monkeypatch, error):
    design, y = digits()
    best = choose(Softmax(10), design, y)
    fit = prior_precision.fit

    def fit_or_fail(objective, *rest):
        if objective.prior_precision < 0.9 * best.prior_precision:
            raise error("no")
        return fit(objective, *rest)

    monkeypatch.setattr(prior_precision, "fit", fit_or_fail)
    found = choose(Softmax(10), design, y)
    assert found.prior_precision == pytest.approx(best.prior_precision)
    assert found.n_failed == 2
    assert found.at_edge
    assert np.isfinite(found.log_likelihood).all()


def test_the_first_points_may_fail(monkeypatch):
    design, y = digits()
    fit, threshold = prior_precision.fit, 1e3

    def fit_or_fail(objective, *rest):
        if objective.prior_precision < threshold:
            raise ConvergenceError("no")
        return fit(objective, *rest)

    monkeypatch.setattr(prior_precision, "fit", fit_or_fail)
    assert choose(Softmax(10), design, y).prior_precision >= threshold


def test_a_choice_where_every_point_fails_is_an_error_that_does_not_ask_for_another_prior(monkeypatch):
    def fail(*_):
        raise ConvergenceError("Raise the prior precision.")

    monkeypatch.setattr(prior_precision, "fit", fail)
    with pytest.raises(ConvergenceError, match="at none of 23 values") as caught:
        choose(Softmax(10), *digits())
    assert "aise the prior precision" not in str(caught.value)


def test_a_choice_at_the_edge_is_logged(caplog, monkeypatch):
    assert not choose(Softmax(10), *digits()).at_edge
    assert "lies at the edge" not in caplog.text
    monkeypatch.setattr(prior_precision, "LOWEST", 4)
    monkeypatch.setattr(prior_precision, "_climb", lambda gain, start: max((4, 5), key=gain))
    edge = choose(Softmax(10), *digits())
    assert edge.at_edge == (edge.prior_precision == edge.grid[0])
    assert edge.at_edge == ("lies at the edge" in caplog.text)
    assert edge.at_edge


def test_folds_hold_every_class_in_proportion_and_follow_the_seed():
    labels = torch.from_numpy(np.repeat([0, 1, 2], [50, 25, 5]))
    design = DesignMatrix(torch.arange(80, dtype=torch.float64)[:, None])
    whole = Objective(Softmax(3), design, labels, 1.0)
    first, second = (prior_precision._folds(whole, seed) for seed in (0, 1))
    for _, fold in first:
        assert torch.bincount(fold.targets, minlength=3).tolist() == [10, 5, 1]
    assert not torch.equal(first[0][1].design.values, second[0][1].design.values)
