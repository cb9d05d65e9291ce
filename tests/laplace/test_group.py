import functools

import numpy as np
import pytest
import torch

import lsi
from lsi.errors import UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import leave_group_out
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full, Kron
from lsi.laplace.probe import Probe, fit
from tests import reference
from tests.cases import SMALL, noisy_digits

score = functools.partial(lsi.score, prior_precision=1.0)


def fitted(features: np.ndarray, labels: np.ndarray, prior_precision: float) -> Probe:
    design = DesignMatrix(with_bias(torch.from_numpy(features)))
    return fit(Objective(Softmax(int(labels.max()) + 1), design, torch.from_numpy(labels), prior_precision))


def test_a_group_is_one_dense_newton_step_without_all_of_it():
    problem, prior = SMALL["three_classes"]
    probe = fitted(problem.features, problem.labels, prior)
    group = np.array([3, 10, 44, 45])
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    theta, moved, without = reference.newton_step(phi, problem.labels, prior, group)
    truth = reference.gaussian_kl(theta, reference.precision(phi, theta, prior), moved, without)
    found = leave_group_out(probe, Full.fit(probe), torch.from_numpy(group))
    got = [float(found.mean_term), float(found.trace_term), float(found.logdet_term)]
    np.testing.assert_allclose(got, truth, rtol=1e-7)


def test_a_group_of_one_is_the_sample():
    problem, prior = SMALL["three_classes"]
    probe = fitted(problem.features, problem.labels, prior)
    alone = score(problem.features, problem.labels, prior_precision=prior).lsi
    for i in (0, 7):
        assert float(leave_group_out(probe, Full.fit(probe), torch.tensor([i])).lsi) == pytest.approx(alone[i])
    assert float(leave_group_out(probe, Kron.fit(probe), torch.tensor([0])).lsi) > 0


def test_together_copies_hold_what_the_sample_holds_alone():
    """Three equal samples hide each other one by one; leaving all of them out brings the information back."""
    problem = noisy_digits(n=300, share=0.0)
    single = score(problem.features, problem.labels)
    i = int(single.lsi.argsort()[-20])
    features = np.vstack([problem.features, problem.features[[i, i]]])
    labels = np.append(problem.labels, problem.labels[[i, i]])
    copies = torch.tensor([i, 300, 301])
    one_by_one = score(features, labels).lsi[copies.numpy()]
    probe = fitted(features, labels, 1.0)
    together = float(leave_group_out(probe, Full.fit(probe), copies).lsi)
    assert one_by_one.max() < 0.5 * single.lsi[i]
    assert together > single.lsi[i]
    assert together > 1.5 * one_by_one.sum()


def test_empty_and_huge_groups_are_errors():
    problem, prior = SMALL["three_classes"]
    probe = fitted(problem.features, problem.labels, prior)
    with pytest.raises(UsageError, match="Expected a group of 1 to 2048"):
        leave_group_out(probe, Full.fit(probe), torch.tensor([], dtype=torch.int64))


@pytest.mark.parametrize(("group", "limit"), [([5], 1e-3), ([3, 10, 44], 5e-3), ([0, 1, 2, 60, 61, 62, 90, 91], 1e-2)])
def test_a_group_of_many_classes_is_that_of_the_stacked_blocks(monkeypatch, group, limit):
    """Terms of the mean to rounding, those of the covariance to a small part of LSI; twins make S singular."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 40
    features = rng.normal(size=(300, 12)) + rng.normal(size=(40, 12))[labels]
    features[1] = features[0]
    probe = fitted(features, labels, 1.0)
    kron, chosen = Kron.fit(probe), torch.tensor(group)
    exact = leave_group_out(probe, kron, chosen)
    monkeypatch.setattr("lsi.laplace.loo.group._EXACT", 0)
    found = leave_group_out(probe, kron, chosen)
    torch.testing.assert_close(found.mean_term, exact.mean_term, rtol=1e-9, atol=0)
    assert float((found.lsi - exact.lsi).abs() / exact.lsi) < limit
    torch.testing.assert_close(found.trace_term, exact.trace_term, rtol=0.02, atol=0)
