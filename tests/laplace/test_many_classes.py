"""Many classes: leave-one-out in the basis that all samples share, against the assembled k × k blocks."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.loo import leave_one_out
from lsi.laplace.loo.closed_form import closed_form
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Kron
from lsi.laplace.probe import Probe, fit
from lsi.laplace.scores import LeaveOneOut, evaluate


@dataclass(frozen=True)
class Case:
    """Gaussian classes: their number, samples, dimensions, distance, λ, and whether their sizes fall off."""

    k: int
    n: int
    d: int
    distance: float
    prior_precision: float
    long_tail: bool = False


CASES = {
    "two": Case(2, 100, 4, 1.0, 1.0),
    "as many as are exact": Case(32, 400, 10, 0.5, 1.0),
    "one more": Case(33, 400, 10, 0.5, 1.0),
    "overlapping": Case(60, 600, 40, 0.15, 10.0),
    "apart": Case(60, 600, 40, 0.8, 0.3),
    "hardly told apart": Case(80, 800, 16, 0.1, 30.0),
    "long tail": Case(50, 900, 30, 0.4, 3.0, long_tail=True),
    "two of a class": Case(100, 200, 32, 1.0, 1.0),
}


def probe_of(case: Case, device: str = "cpu") -> Probe:
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, case.k + 1) if case.long_tail else np.ones(case.k)
    labels = np.concatenate([np.arange(case.k), rng.choice(case.k, case.n - case.k, p=share / share.sum())])
    x = rng.normal(size=(case.n, case.d)) + (case.distance * rng.normal(size=(case.k, case.d)))[labels]
    flipped = rng.random(case.n) < 0.05
    labels[flipped] = rng.integers(0, case.k, int(flipped.sum()))
    design = DesignMatrix(with_bias(torch.from_numpy(x / x.std()).to(device)))
    return fit(Objective(Softmax(case.k), design, torch.from_numpy(labels).to(device), case.prior_precision))


@pytest.fixture(scope="module", params=CASES, ids=str)
def compared(request):
    """A case with its scores, and the same from the assembled blocks."""
    case = CASES[request.param]
    probe = probe_of(case)
    kron, likelihood = Kron.fit(probe), probe.objective.likelihood
    scores = evaluate(probe, ("kron",), LeaveOneOut(certify=0), posterior=kron)[0]
    residuals = likelihood.contract(likelihood.residuals(probe.means, probe.objective.targets))
    blocks = kron.leverages(probe.objective.design.take(slice(None)))
    truth = closed_form(blocks, likelihood.curvatures(probe.means), residuals, excludes_sample=True)
    logits = probe.objective.logits(probe.weights) + likelihood.expand(truth.shift)
    found = torch.cat([removal.means for removal in leave_one_out(probe, kron)])
    return case, scores, truth, (found, likelihood.predict(logits))


def test_scores_are_those_of_the_assembled_blocks(compared):
    case, scores, truth, (means, expected) = compared
    exact = truth.terms.lsi.numpy()
    error = np.abs(scores.lsi - exact)
    median, largest = (1e-9, 1e-7) if case.k <= 32 else (1e-3, 1e-2)
    assert np.median(error / exact) <= median
    assert (error / exact).max() <= largest
    assert spearmanr(scores.lsi, exact).statistic >= 0.9999
    np.testing.assert_allclose(scores.mean_term, truth.terms.mean_term.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(means.numpy(), expected.numpy(), atol=1e-9)
    np.testing.assert_allclose(scores.leverage, truth.leverage.numpy(), rtol=2e-2, atol=1e-9)


def test_the_reported_error_covers_the_true_one(compared):
    case, scores, truth, _ = compared
    error = np.abs(scores.lsi - truth.terms.lsi.numpy())
    assert (error <= scores.covariance_error + 1e-12).mean() >= 0.99
    assert np.median(scores.covariance_error / scores.lsi) <= (0 if case.k <= 32 else 1e-2)


def test_what_a_sample_changes_is_what_its_logits_say():
    """The shift of the closed form is S₋r, and a = r + Λ·shift."""
    probe = probe_of(CASES["overlapping"])
    kron, likelihood = Kron.fit(probe), probe.objective.likelihood
    samples = torch.tensor([3, 77])
    (removal,) = leave_one_out(probe, kron, samples, with_delta=True)
    assert removal.delta is not None
    phi = probe.objective.design.take(samples)
    torch.testing.assert_close((removal.delta @ phi[:, :, None])[:, :, 0], removal.closed.shift)
    curvature = likelihood.curvatures(removal.means_before)
    bent = removal.closed.residuals + (curvature @ removal.closed.shift[:, :, None])[:, :, 0]
    torch.testing.assert_close(removal.closed.dual_residual, bent)
    assert removal.closed.leverages_without is None


def test_shards_of_any_size_give_the_same(monkeypatch):
    case = CASES["overlapping"]
    whole = evaluate(probe_of(case), ("kron",), LeaveOneOut(certify=5))[0]
    for name in ("MOST_ROWS", "FEWEST_ROWS"):
        monkeypatch.setattr(f"lsi.laplace.design_matrix.{name}", 7)
    monkeypatch.setattr(
        "lsi.laplace.design_matrix._room", lambda device: 7 * 60 * 8 * 20
    )  # what the memo lacks is computed
    cut = evaluate(probe_of(case), ("kron",), LeaveOneOut(certify=5))[0]
    np.testing.assert_allclose(cut.lsi, whole.lsi, rtol=1e-8)
    np.testing.assert_allclose(cut.loo_probabilities, whole.loo_probabilities, atol=1e-10)


def test_the_likeliest_classes_alone_are_kept_where_all_do_not_fit(monkeypatch):
    probe = probe_of(CASES["overlapping"])
    whole = evaluate(probe, ("kron",), LeaveOneOut(certify=0))[0]
    monkeypatch.setattr("lsi.probabilities.DENSE_BYTES", 0)
    kept = evaluate(probe, ("kron",), LeaveOneOut(certify=0))[0]
    assert kept.probabilities.classes is not None
    for name in ("lsi", "loo_p_given", "loo_margin", "predicted_label"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(whole, name))
    np.testing.assert_array_equal(kept.probabilities.likeliest(5), whole.probabilities.likeliest(5))


@pytest.mark.gpu
def test_a_graphics_card_gives_the_same():
    case = CASES["overlapping"]
    here, there = (evaluate(probe_of(case, device), ("kron",), LeaveOneOut(certify=4))[0] for device in ("cpu", "cuda"))
    np.testing.assert_allclose(there.lsi, here.lsi, rtol=1e-7)
    np.testing.assert_allclose(there.loo_probabilities, here.loo_probabilities, atol=1e-9)
    np.testing.assert_allclose(there.loo_residual, here.loo_residual, rtol=1e-5)
