"""Φ on workers of Ray: what is computed there equals what is computed here, also where workers die."""

import os
import signal

import numpy as np
import pytest
import torch

from lsi.audit.through_noise import judge_labels
from lsi.errors import LsiError, NumericalError, UsageError
from lsi.laplace.design_matrix import DesignMatrix, Shard, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.prior_precision import choose
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from tests.cases import noisy_digits

ray = pytest.importorskip("ray", reason="the package ray is not installed")
pytestmark = pytest.mark.xdist_group("ray")
K = 10


@pytest.fixture(scope="module")
def cluster():
    from lsi.engine.cluster import joined

    with joined(None) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def pair(cluster, tmp_path_factory):
    """Digits with wrong labels here, and the same on workers: design matrices and labels."""
    from lsi.engine.ray_design import RayDesign

    problem = noisy_digits(n=450)
    phi = with_bias(torch.from_numpy(problem.features).double())
    path = tmp_path_factory.mktemp("ray") / "design.npy"
    np.save(path, phi.numpy())
    return DesignMatrix(phi), RayDesign.start(path, cluster), torch.from_numpy(problem.labels)


def both(pair):
    here, there, labels = pair
    return [Objective(Softmax(K), design, labels, 1.0) for design in (here, there)]


def pid(design) -> int:
    """Return the process of the worker that holds the first samples."""
    return ray.get(design.workers[0].actor.__ray_call__.remote(lambda _: os.getpid()))


def test_the_design_is_that_of_one_machine(pair):
    here, there, _ = pair
    assert there.shape == here.shape == (450, 65)
    assert there.dtype == here.dtype
    index = torch.tensor([449, 0, 350, 351])
    torch.testing.assert_close(there.take(index), here.take(index), rtol=0, atol=0)
    torch.testing.assert_close(there.gram_factor.values, here.gram_factor.values, rtol=1e-9, atol=1e-9)
    kept = torch.arange(450) % 3 != 0
    some, expected = there.rows(kept), here.rows(kept)
    assert len(some) == len(expected)
    torch.testing.assert_close(some.take(slice(None)), expected.take(slice(None)), rtol=0, atol=0)
    again = some.rows(torch.tensor([1, 5, 290]))
    torch.testing.assert_close(again.take(slice(None)), expected.values[[1, 5, 290]], rtol=0, atol=0)


@pytest.mark.parametrize("structure", ["kron", "full", "diag"])
def test_scores_are_those_of_one_machine(pair, structure):
    here, there = (evaluate(fit(o), (structure,), LeaveOneOut(refit_top=2, certify=3))[0] for o in both(pair))
    for name in ("lsi", "mean_term", "trace_term", "logdet_term", "leverage", "loo_probabilities", "loo_p_given"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-9, atol=1e-11, err_msg=name)
    assert (there.predicted_label == here.predicted_label).all()


def test_what_labels_are_judged_by_and_the_prior_are_those_of_one_machine(pair):
    labels, found = pair[2].numpy(), []
    for o in both(pair):
        probe = fit(o)
        scores = evaluate(probe, ("kron",), LeaveOneOut(certify=0))[0]
        found.append(judge_labels(probe, labels, scores.probabilities).dense())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-11)
    here, there = (choose(Softmax(K), o.design, o.targets, max_samples=200) for o in both(pair))
    assert there.prior_precision == pytest.approx(here.prior_precision, rel=1e-12)
    np.testing.assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-7)


def wait_and_sum(shard: Shard, where: str) -> tuple[torch.Tensor, ...]:
    """Die once: the first process to come here ends itself."""
    try:
        os.close(os.open(where, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return (shard.features.sum(dim=0),)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("how", ["sum", "map"])
def test_a_worker_that_dies_within_a_call_is_replaced(pair, tmp_path, how):
    here, there, labels = pair
    where, expected = str(tmp_path / "died"), here.values.sum(dim=0)
    if how == "sum":
        (total,) = there.sum_shards(wait_and_sum, labels, where, rows=100)
    else:
        total = torch.stack([part[0] for _, part in there.map_shards(wait_and_sum, labels, where, rows=100)]).sum(dim=0)
    torch.testing.assert_close(total, expected)


def test_workers_that_die_between_calls_change_no_score(pair):
    here, there = both(pair)
    expected = evaluate(fit(here), ("kron",), LeaveOneOut(certify=0))[0]
    killed = []
    original = there.design.sum_shards

    def killing(*arguments, **options):
        if len(killed) < 3:
            killed.append(pid(there.design))
            os.kill(killed[-1], signal.SIGKILL)
        return original(*arguments, **options)

    there.design.sum_shards = killing
    try:
        found = evaluate(fit(there), ("kron",), LeaveOneOut(certify=0))[0]
    finally:
        del there.design.sum_shards
    assert len(set(killed)) == 3
    np.testing.assert_allclose(found.lsi, expected.lsi, rtol=1e-9, atol=1e-12)


def refuse(shard: Shard) -> tuple[torch.Tensor, ...]:
    raise NumericalError("a leverage is clearly above 1")


def test_errors_of_the_maths_come_as_they_are(pair):
    _, there, labels = pair
    with pytest.raises(LsiError, match="clearly above 1"):
        there.sum_shards(refuse, labels)


def test_without_a_cluster_at_the_address_it_says_so(cluster, monkeypatch):
    from lsi.engine.cluster import joined

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("nobody answers")))
    with pytest.raises(UsageError, match=r"no Ray cluster at 10\.0\.0\.1:6379"), joined("10.0.0.1:6379"):
        pass


def test_full_posteriors_are_assembled_from_the_workers(pair):
    here, there = (Full.fit(fit(o)) for o in both(pair))
    torch.testing.assert_close(there.covariance, here.covariance, rtol=1e-9, atol=1e-12)
