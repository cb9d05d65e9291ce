import sys

import numpy as np
import pytest
import torch

from lsi.errors import ConvergenceError
from lsi.laplace import probe as probe_module
from lsi.laplace.conjugate_gradients import Outcome, Solution
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from tests import reference
from tests.cases import SMALL, noisy_digits
from tests.laplace.gaussian import Gaussian


def objective(problem, prior_precision: float, dtype=torch.float64) -> Objective:
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features).to(dtype)))
    return Objective(Softmax(int(problem.labels.max()) + 1), design, torch.from_numpy(problem.labels), prior_precision)


@pytest.mark.parametrize("name", SMALL)
def test_fit_is_the_minimum(name):
    problem, prior_precision = SMALL[name]
    probe = fit(objective(problem, prior_precision))
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    np.testing.assert_allclose(probe.logit_weights, reference.fit(phi, problem.labels, prior_precision), atol=1e-7)
    assert probe.newton_decrement <= 1e-7


def test_float32_features_are_fitted_to_float64_accuracy():
    problem = noisy_digits(n=400)
    single = fit(objective(problem, 1.0, torch.float32))
    double = fit(objective(problem, 1.0))
    np.testing.assert_allclose(single.weights, double.weights, atol=1e-6)


def test_gradient_and_hessian_agree_with_numeric_differences():
    problem, _ = SMALL["three_classes"]
    o = objective(problem, 0.7)
    rng = torch.Generator().manual_seed(0)
    v, u = (torch.randn(o.shape, dtype=torch.float64, generator=rng) for _ in range(2))
    h = 1e-5
    ahead, behind = o.evaluate(v + h * u), o.evaluate(v - h * u)
    assert float((o.evaluate(v).gradient * u).sum()) == pytest.approx((ahead.loss - behind.loss) / (2 * h), rel=1e-7)
    numeric = (ahead.gradient - behind.gradient) / (2 * h)
    torch.testing.assert_close(o.hessian_product(o.evaluate(v).point, u[None])[0], numeric, rtol=1e-6, atol=1e-6)


def test_a_fit_that_cannot_converge_is_an_error(monkeypatch):
    monkeypatch.setattr("lsi.laplace.probe.MAX_NEWTON_STEPS", 1)
    with pytest.raises(ConvergenceError, match=r"did not converge in 1 Newton steps.*Raise the prior precision"):
        fit(objective(noisy_digits(n=100), 1.0))


def test_a_refit_that_cannot_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(sys.modules["lsi.laplace.loo.refit"], "MAX_STEPS", 1)
    with pytest.raises(ConvergenceError, match="did not converge in 1 steps"):
        evaluate(fit(objective(noisy_digits(n=100), 1.0)), ("full",), LeaveOneOut(refit_top=3))


def test_gaussian_newton_step_is_exact():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(40, 5)), rng.normal(size=(5, 2))
    t = x @ w + 0.3 * rng.normal(size=(40, 2))
    t[3] += 4
    phi = with_bias(torch.from_numpy(x))
    probe = fit(Objective(Gaussian(2, 0.25), DesignMatrix(phi), torch.from_numpy(t), 0.7))
    found = torch.cat(
        [
            torch.stack([getattr(r.closed.terms, n) for n in ("mean_term", "trace_term", "logdet_term")], dim=1)
            for r in leave_one_out(probe, Full.fit(probe))
        ]
    )
    for i in range(40):
        expected = reference.ridge_leave_one_out(x, t, 0.7, 0.25, i)
        np.testing.assert_allclose(found[i].numpy(), expected, rtol=1e-8)


def test_an_inner_solve_that_did_not_converge_is_no_proof(monkeypatch):
    """Its decrement is a lower bound: here it is zero, far from the minimum."""

    def unconverged(operator, preconditioner, right, **_):
        return Solution(torch.zeros_like(right), Outcome.MAX_ITERATIONS, 400)

    monkeypatch.setattr(probe_module, "conjugate_gradients", unconverged)
    with pytest.raises(ConvergenceError, match="did not converge"):
        fit(objective(noisy_digits(n=100), 1.0))


def test_a_small_decrement_with_a_large_gradient_is_no_proof(monkeypatch):
    def idle(operator, preconditioner, right, **_):
        return Solution(torch.zeros_like(right), Outcome.CONVERGED, 1)

    monkeypatch.setattr(probe_module, "conjugate_gradients", idle)
    monkeypatch.setattr(probe_module, "_floor", lambda *_: 0.0)
    with pytest.raises(ConvergenceError, match="did not converge"):
        fit(objective(noisy_digits(n=100), 1.0))


@pytest.mark.parametrize("outcome", [Outcome.NOT_POSITIVE_DEFINITE, Outcome.NON_FINITE])
def test_a_breakdown_of_the_inner_solve_names_its_cause(monkeypatch, outcome):
    monkeypatch.setattr(
        probe_module, "conjugate_gradients", lambda *a, **_: Solution(torch.zeros_like(a[2]), outcome, 1)
    )
    with pytest.raises(ConvergenceError, match=outcome.value):
        fit(objective(noisy_digits(n=100), 1.0))


def test_nan_never_counts_as_converged():
    problem = objective(noisy_digits(n=100), 1.0)
    with pytest.raises(ConvergenceError, match="NaN or infinity"):
        fit(problem, torch.full(problem.shape, torch.nan, dtype=torch.float64))


def test_a_fit_that_rounding_keeps_from_its_tolerance_says_so():
    o = objective(noisy_digits(n=100), 1.0)
    assert not fit(o).stalled
    assert fit(o, tolerance=1e-20).stalled


def test_a_refit_that_meets_nan_is_an_error(monkeypatch):
    probe = fit(objective(noisy_digits(n=100), 1.0))
    module = sys.modules["lsi.laplace.loo.refit"]
    original = module.newton_step_and_decrement

    def poisoned(*arguments):
        step, decrement = original(*arguments)
        return step, decrement * torch.nan

    monkeypatch.setattr(module, "newton_step_and_decrement", poisoned)
    with pytest.raises(ConvergenceError, match="met NaN or infinity"):
        evaluate(probe, ("full",), LeaveOneOut(refit_top=3, certify=0))
