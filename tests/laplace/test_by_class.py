"""Predictions without a sample beside kron: as the formula says, and nearer to what folds find than kron's own step."""

import numpy as np
import pytest
import torch

from lsi.audit.without_suspects import leave_one_out_probabilities
from lsi.compute.engines import needed_bytes
from lsi.laplace.design_matrix import DesignMatrix, Memo, Shard, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import ByClass, leave_one_out_means, means_by_class
from lsi.laplace.loo import by_class as module
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Kron
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores import LeaveOneOut, evaluate

N, D, K = 2_400, 80, 40
LABELS = np.arange(N) % K
FLIPPED = np.flatnonzero(np.random.default_rng(2).random(N) < 0.08)


@pytest.fixture(scope="module")
def probe() -> Probe:
    """Forty classes of sixty samples each in eighty features, a twelfth of the labels wrong."""
    rng = np.random.default_rng(0)
    features = (0.45 * rng.normal(size=(K, D)))[LABELS] + rng.normal(size=(N, D))
    given = LABELS.copy()
    given[FLIPPED] = (LABELS[FLIPPED] + rng.integers(1, K, len(FLIPPED))) % K
    design = DesignMatrix(with_bias(torch.from_numpy(features)))
    return fit(Objective(Softmax(K), design, torch.from_numpy(given), 2.0))


@pytest.fixture(scope="module")
def by_folds(probe) -> np.ndarray:
    """What probes that have not seen a tenth of the samples predict for them."""
    objective, folds, found = probe.objective, np.random.default_rng(1).permutation(N) % 10, np.empty((N, K))
    for fold in range(10):
        out = torch.from_numpy(folds == fold)
        seen = fit(objective.rows(~out), probe)
        logits = objective.design.values[out] @ seen.logit_weights.T
        found[folds == fold] = torch.softmax(logits, dim=1).numpy()
    return found


def log_likelihood(probabilities: np.ndarray, probe: Probe) -> float:
    return float(np.log(probabilities[np.arange(N), probe.objective.targets.numpy()]).mean())


def accuracy(probabilities: np.ndarray, probe: Probe) -> float:
    return float((probabilities.argmax(axis=1) == probe.objective.targets.numpy()).mean())


def of_kron(probe: Probe) -> np.ndarray:
    shard = Shard(probe.objective.design.values, probe.objective.targets, 0, Memo())
    return leave_one_out_means(shard, Softmax(K), probe.logit_weights, Kron.fit(probe)).numpy()


def test_scores_with_kron_predict_as_folds_do(probe, by_folds):
    found = evaluate(probe, ("kron",), LeaveOneOut(certify=0))[0].probabilities.dense()
    expected, kron = log_likelihood(by_folds, probe), log_likelihood(of_kron(probe), probe)
    assert abs(log_likelihood(found, probe) - expected) < 0.4 * abs(kron - expected)
    expected, kron = accuracy(by_folds, probe), accuracy(of_kron(probe), probe)
    assert kron - expected > 0.05, "else the problem tells nothing"
    assert abs(accuracy(found, probe) - expected) < 0.4 * (kron - expected)
    np.testing.assert_array_equal(found, leave_one_out_probabilities(probe, "kron").dense())


def test_a_wrong_label_that_was_learnt_by_heart_is_improbable_without_it(probe, by_folds):
    own = FLIPPED, probe.objective.targets.numpy()[FLIPPED]
    found = leave_one_out_probabilities(probe, "kron").dense()
    medians = [float(np.median(p[own])) for p in (found, by_folds, of_kron(probe))]
    assert medians[0] < 3 * medians[1]
    assert medians[2] > 10 * medians[1]


def test_each_logit_moves_as_its_own_block_says(probe, monkeypatch):
    monkeypatch.setattr(module, "SAMPLES_A_COLUMN", 10**6)
    monkeypatch.setattr(module, "CLASSES", K)
    phi, targets, weights = probe.objective.design.values, probe.objective.targets, probe.logit_weights
    logits = phi @ weights.T
    means = torch.softmax(logits, dim=1)
    residuals = means - torch.nn.functional.one_hot(targets, K)
    for c in range(K):
        bent = means[:, c] * (1 - means[:, c])
        block = (phi * bent[:, None]).T @ phi + probe.objective.prior_precision * torch.eye(D + 1, dtype=phi.dtype)
        without = torch.stack([phi[i] @ torch.linalg.solve(block - bent[i] * torch.outer(phi[i], phi[i]), phi[i])
                               for i in range(20)])  # fmt: skip
        logits[:20, c] += without * residuals[:20, c]
    blocks = ByClass.fit(probe)
    assert blocks is not None
    found = means_by_class(Shard(phi[:20], targets[:20], 0, Memo()), Softmax(K), weights, blocks)
    torch.testing.assert_close(found, torch.softmax(logits[:20], dim=1), rtol=1e-6, atol=1e-9)


def test_blocks_that_are_too_large_leave_it_to_kron(probe, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert ByClass.fit(probe) is None
    found = evaluate(probe, ("kron",), LeaveOneOut(certify=0))[0].probabilities.dense()
    np.testing.assert_allclose(found, of_kron(probe), rtol=1e-9)


def test_a_thousand_classes_of_768_features_have_their_own_blocks():
    assert module.bytes_by_class(1000, 769) == 1000 * 769**2 * 4
    assert module.bytes_by_class(1000, 1025) == 0


def test_the_memory_that_a_run_needs_counts_the_blocks(monkeypatch):
    needed = needed_bytes(100_000, 385, 1000)
    monkeypatch.setattr(module, "MOST_BYTES", 1)
    assert 1000 * 385**2 * 4 < needed - needed_bytes(100_000, 385, 1000) < 3 * 1000 * 385**2 * 4


def test_workers_share_the_blocks_that_lie_in_read_only_memory(probe, recwarn):
    blocks = ByClass.fit(probe)
    assert blocks is not None
    restore, (array, prior_precision) = blocks.__reduce__()
    array.flags.writeable = False  # as in Ray's store
    again = restore(array, prior_precision)
    assert again.inverse_factors.data_ptr() == blocks.inverse_factors.data_ptr()
    assert again.prior_precision == blocks.prior_precision
    assert not recwarn.list
