import numpy as np
import pytest
import torch

from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import SoftLabels, Softmax, dense_basis
from lsi.laplace.loo import leave_one_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.posterior.terms import log_excess
from lsi.laplace.probe import fit
from tests import reference
from tests.cases import SMALL


def objective(problem, prior_precision: float, dtype=torch.float64) -> Objective:
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features).to(dtype)))
    return Objective(Softmax(int(problem.labels.max()) + 1), design, torch.from_numpy(problem.labels), prior_precision)


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
    q = torch.kron(dense_basis(probe.objective.likelihood), torch.eye(phi.shape[1], dtype=torch.float64)).numpy()
    covariance = Full.fit(probe).covariance.reshape(q.shape[1], -1).numpy()
    np.testing.assert_allclose(covariance, np.linalg.inv(q.T @ dense @ q), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["two_classes", "three_classes", "strong_prior", "one_of_a_class"])
def test_kron_newton_step_is_the_dense_one(name):
    """The Kronecker form stands for the precision without i; the sample's own curvature is added to it."""
    problem, prior = SMALL[name]
    probe = fit(objective(problem, prior))
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    theta = reference.fit(phi, problem.labels, prior)
    without = reference.kron_precision(phi, theta, prior)
    batches = list(leave_one_out(probe, Kron.fit(probe)))
    terms = [
        torch.cat([getattr(b.closed.terms, n) for b in batches]) for n in ("mean_term", "trace_term", "logdet_term")
    ]
    found = torch.stack(terms, dim=1).numpy()
    means = torch.cat([b.means for b in batches]).numpy()
    for i in range(0, len(phi), 7):
        p = reference.probabilities(phi[[i]], theta)[0]
        whole = without + np.kron(np.diag(p) - np.outer(p, p), np.outer(phi[i], phi[i]))
        residual = p - np.eye(len(p))[problem.labels[i]]
        moved = theta + np.linalg.solve(without, np.outer(residual, phi[i]).ravel()).reshape(theta.shape)
        np.testing.assert_allclose(found[i], reference.gaussian_kl(theta, whole, moved, without), rtol=1e-7, atol=1e-13)
        np.testing.assert_allclose(means[i], reference.probabilities(phi[[i]], moved)[0], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("with_delta", [False, True])
def test_leverages_keep_their_digits_with_fewer_samples_than_columns_and_a_weak_prior(with_delta):
    """Soft labels, so that no sample is fitted to saturation: 1 − μ is about λ / Λ‖φ‖², and float32 loses it."""
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(16, 192)).astype(np.float32))
    targets = torch.stack([torch.linspace(0.2, 0.8, 16), 1 - torch.linspace(0.2, 0.8, 16)], dim=1).double()
    found = []
    for phi in (with_bias(features), with_bias(features.double())):
        probe = fit(Objective(SoftLabels(2), DesignMatrix(phi), targets, 1e-4))
        found.append(next(iter(leave_one_out(probe, Full.fit(probe), with_delta=with_delta))))
    for part in ("covariance_term", "trace_term"):
        torch.testing.assert_close(*(getattr(one.closed.terms, part) for one in found), rtol=1e-3, atol=0)
    torch.testing.assert_close(found[0].closed.shift, found[1].closed.shift, rtol=0, atol=0.01)  # as the fits


def test_the_inverse_is_of_the_features_precision_where_that_keeps_leverages():
    problem, prior_precision = SMALL["three_classes"]
    assert Full.fit(fit(objective(problem, prior_precision, torch.float32))).covariance.dtype == torch.float32
