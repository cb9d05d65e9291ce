import sys

import numpy as np
import pytest
import torch

from lsi.data.sampling import stratified
from lsi.errors import ConvergenceError
from lsi.laplace.conjugate_gradients import conjugate_gradients
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.kronecker import Kronecker
from lsi.laplace.likelihood import Softmax, contrasts
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.posterior.terms import log_excess
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from tests import reference
from tests.cases import SMALL, blobs, noisy_digits
from tests.laplace.gaussian import Gaussian


def objective(problem, prior_precision: float, dtype=torch.float64) -> Objective:
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features).to(dtype)))
    return Objective(Softmax(int(problem.labels.max()) + 1), design, torch.from_numpy(problem.labels), prior_precision)


def test_contrasts_are_orthonormal_and_blind_to_a_common_shift():
    for k in (2, 3, 10):
        q = contrasts(k)
        torch.testing.assert_close(q.T @ q, torch.eye(k - 1, dtype=q.dtype))
        torch.testing.assert_close(q.sum(dim=0), torch.zeros(k - 1, dtype=q.dtype))


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
    torch.testing.assert_close(o.hessian_product(o.evaluate(v).means, u[None])[0], numeric, rtol=1e-6, atol=1e-6)


def test_a_fit_that_cannot_converge_is_an_error(monkeypatch):
    monkeypatch.setattr("lsi.laplace.probe.MAX_NEWTON_STEPS", 1)
    with pytest.raises(ConvergenceError, match=r"did not converge in 1 Newton steps.*Raise the prior precision"):
        fit(objective(noisy_digits(n=100), 1.0))


def test_a_refit_that_cannot_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(sys.modules["lsi.laplace.loo.refit"], "MAX_STEPS", 1)
    with pytest.raises(ConvergenceError, match="did not converge in 1 steps"):
        evaluate(fit(objective(noisy_digits(n=100), 1.0)), ("full",), LeaveOneOut(refit_top=3))


def test_conjugate_gradients_solve_several_sides_at_once():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    matrix = torch.from_numpy(root @ root.T + np.eye(12))
    right = torch.from_numpy(rng.normal(size=(3, 3, 4)))
    right[1] *= 1e6
    found = conjugate_gradients(
        lambda x: (x.reshape(-1, 12) @ matrix).reshape(x.shape),
        lambda x: x,
        right,
        tolerance=1e-12,
        max_iterations=60,
    )
    assert found.converged
    expected = torch.linalg.solve(matrix, right.reshape(3, 12).T).T.reshape(right.shape)
    torch.testing.assert_close(found.value, expected, rtol=1e-9, atol=1e-9)


def test_conjugate_gradients_say_when_they_stop_early():
    right = torch.ones(1, 1, 30, dtype=torch.float64)
    scale = torch.logspace(0, 6, 30, dtype=torch.float64)
    found = conjugate_gradients(lambda x: scale * x, lambda x: x, right, tolerance=1e-10, max_iterations=2)
    assert not found.converged
    assert found.n_iterations == 2


def test_kronecker_solve_is_the_dense_one():
    rng = np.random.default_rng(0)
    b, a = (torch.from_numpy(r @ r.T) for r in (rng.normal(size=(3, 3)), rng.normal(size=(4, 4))))
    form = Kronecker.factor(b, a, 7, 0.3)
    dense = torch.kron(b, a) / 7 + 0.3 * torch.eye(12)
    x = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    expected = torch.linalg.solve(dense, x.reshape(2, 12).T).T.reshape(2, 3, 4)
    torch.testing.assert_close(form.solve(x), expected)


def test_log_excess_keeps_its_digits():
    x = torch.tensor([-0.5, -1e-2, -1e-5, -1e-9, 0.0, 1e-12, 1e-3, 0.3], dtype=torch.float64)
    import mpmath

    mpmath.mp.dps = 60
    exact = torch.tensor(
        [float(mpmath.mpf(float(v)) - mpmath.log1p(mpmath.mpf(float(v)))) for v in x], dtype=torch.float64
    )
    torch.testing.assert_close(log_excess(x), exact, rtol=1e-13, atol=0)


def test_precision_matches_the_dense_sum():
    problem, prior_precision = SMALL["three_classes"]
    probe = fit(objective(problem, prior_precision))
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    dense = reference.precision(phi, probe.logit_weights.numpy(), prior_precision)
    q = torch.kron(probe.objective.basis, torch.eye(phi.shape[1], dtype=torch.float64)).numpy()
    covariance = Full.fit(probe).covariance.reshape(q.shape[1], -1).numpy()
    np.testing.assert_allclose(covariance, np.linalg.inv(q.T @ dense @ q), rtol=1e-8, atol=1e-10)


def test_kron_and_full_agree_where_the_curvature_is_a_product():
    """With θ̂ = 0 (a huge prior) every Λ is the same, and P is B ⊗ A / n + λI exactly."""
    probe = fit(objective(blobs(40, 3, 3), 1e9))
    phi = probe.objective.design.values
    torch.testing.assert_close(Kron.fit(probe).leverages(phi), Full.fit(probe).leverages(phi), rtol=1e-6, atol=1e-18)


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


def test_stratified_keeps_proportions_and_every_class():
    labels = np.repeat([0, 1, 2], [600, 390, 10])
    chosen = stratified(labels, 100, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [60, 39, 1])
    assert (np.diff(chosen) > 0).all()
    rare = np.r_[np.zeros(999, dtype=int), 1]
    assert 1 in rare[stratified(rare, 10, seed=0)]


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
