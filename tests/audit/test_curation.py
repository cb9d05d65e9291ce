import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit

from lsi.audit.curation import check_curation, resampled_difference
from lsi.audit.remaining import estimate_remaining_errors
from lsi.errors import ConvergenceError, UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from tests.cases import noisy_digits

PRIOR_MEAN, PRIOR_PRECISION = np.array([-3.0, 1.2]), np.array([1 / 1.6**2, 1 / 0.5**2])


def check(problem, kept, new=None, seeds=5):
    design = DesignMatrix(with_bias(torch.from_numpy(problem.features)))
    objective = Objective(Softmax(10), design, torch.from_numpy(problem.labels), 1.0)
    return check_curation(objective, problem.labels if new is None else new, kept, seeds)


def test_removing_wrong_labels_beats_removing_at_random_and_random_does_not():
    problem = noisy_digits(share=0.3)
    helped = check(problem, ~problem.flipped)
    assert helped.verdict == "curation helps"
    assert helped.low <= helped.difference <= helped.high
    at_random = np.random.default_rng(0).random(len(problem.labels)) > 0.1
    assert check(problem, at_random).verdict == "no measurable gain"


def test_relabelling_counts_too():
    problem, truth = noisy_digits(share=0.3), noisy_digits(share=0.0).labels
    assert check(problem, np.ones(len(truth), bool), truth).verdict == "curation helps"


def test_the_check_reports_the_corrected_interval_of_its_own_splits():
    problem = noisy_digits(share=0.3, n=300)
    checked = check(problem, ~problem.flipped)
    expected = resampled_difference(checked.curated - checked.random, 90, 210)
    assert (checked.difference, checked.low, checked.high) == (expected.mean, expected.low, expected.high)
    assert checked.n_held_out == 90
    assert checked.n_removed == problem.flipped.sum()


@pytest.mark.parametrize(
    ("kept", "new", "seeds", "message"),
    [
        (slice(None), None, 5, "nothing to check"),
        (slice(0, 0), None, 5, "fewer than two classes"),
        (slice(10, None), None, 1, "at least two splits"),
    ],
)
def test_what_cannot_be_checked_is_an_error(kept, new, seeds, message):
    problem, mask = noisy_digits(n=100), np.zeros(100, bool)
    mask[kept] = True
    with pytest.raises(UsageError, match=message):
        check(problem, mask, new, seeds)


def test_the_half_width_is_that_of_the_corrected_resampled_t_test():
    differences = np.array([0.01, 0.03, 0.02, -0.01, 0.05])
    t = 2.7764451051977987  # Student's t, 0.975, four degrees of freedom
    half = t * np.sqrt((1 / 5 + 30 / 70) * differences.var(ddof=1))
    interval = resampled_difference(differences, 30, 70)
    assert interval.mean == pytest.approx(0.02)
    assert interval.high - interval.mean == pytest.approx(half, rel=1e-12)
    assert interval.mean - interval.low == pytest.approx(half, rel=1e-12)


def difference_of_equal_learners(seed: int, splits: int = 5, n: int = 100) -> np.ndarray:
    """Accuracies of two nearest-mean classifiers on exchangeable halves of the features, subtracted."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 8)) + 0.4 * (2 * y[:, None] - 1)
    differences = []
    for _ in range(splits):
        order = rng.permutation(n)
        held_out, train = order[:30], order[30:]
        accuracies = []
        for half in (x[:, :4], x[:, 4:]):
            means = half[train][y[train] == 0].mean(axis=0), half[train][y[train] == 1].mean(axis=0)
            scores = (half[held_out] - (means[0] + means[1]) / 2) @ (means[1] - means[0])
            accuracies.append(((scores > 0) == y[held_out]).mean())
        differences.append(accuracies[0] - accuracies[1])
    return np.array(differences)


def test_equal_learners_are_rarely_told_apart():
    differences = [difference_of_equal_learners(seed) for seed in range(600)]
    better = np.mean([resampled_difference(d, 30, 70).low > 0 for d in differences])
    assert better <= 0.05
    independent = np.mean([resampled_difference(d, 0, 70).low > 0 for d in differences])
    assert independent > 0.05  # as if the splits did not overlap


def reviewed(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities of 81 suspects, a third of them wrong whatever their probability; the 40 least probable decided."""
    rng = np.random.default_rng(seed)
    p = np.sort(rng.uniform(1e-3, 0.45, 81))
    return p[40:], p[:40], rng.random(40) < 0.35


def negative_log_posterior(c: np.ndarray, decided_p: np.ndarray, wrong: np.ndarray) -> float:
    scores = c[0] + c[1] * logit(1 - decided_p)
    return (np.logaddexp(0, scores) - wrong * scores).sum() + 0.5 * (PRIOR_PRECISION * (c - PRIOR_MEAN) ** 2).sum()


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 6])
def test_keeps_among_relabels_give_the_optimum(seed):
    """Undamped Newton steps from (0, 1) swing between two far points here, and said that all of the rest are wrong."""
    undecided, decided, wrong = reviewed(seed)
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 10_000}
    optimum = minimize(negative_log_posterior, PRIOR_MEAN, (decided, wrong), method="Nelder-Mead", options=options)
    estimate = estimate_remaining_errors(undecided, decided, wrong)
    np.testing.assert_allclose([estimate.intercept, estimate.slope], optimum.x, atol=1e-6)
    assert estimate.gradient_norm < 1e-6
    plug_in = expit(estimate.intercept + estimate.slope * logit(1 - undecided)).sum()
    assert estimate.expected == pytest.approx(plug_in, abs=5)
    assert estimate.low < estimate.expected < estimate.high
    assert estimate.expected < 30


@pytest.mark.parametrize("wrong_share", [0.0, 1.0])
@pytest.mark.parametrize("p", [0.0, 1e-9, 0.5, 1.0])
def test_decisions_without_contrast_converge_too(wrong_share, p):
    estimate = estimate_remaining_errors(np.full(50, 0.3), np.full(500, p), np.full(500, wrong_share == 1.0))
    assert 0 <= estimate.low <= estimate.expected <= estimate.high <= 50


def test_probabilities_that_are_no_numbers_are_an_error():
    with pytest.raises(ConvergenceError, match="Check the label probabilities for NaN"):
        estimate_remaining_errors(np.full(5, 0.3), np.array([np.nan]), np.array([True]))


def test_expected_wrong_labels_start_from_the_probabilities_and_follow_the_decisions():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.5, 200)
    none = np.zeros(0)
    before = estimate_remaining_errors(p, none, none.astype(bool))
    assert before.low < (1 - p).sum() < before.high
    for share in (0.1, 0.9):
        wrong = rng.random(100) < share
        after = estimate_remaining_errors(p, rng.uniform(0.01, 0.5, 100), wrong)
        assert after.low < 200 * share < after.high
        assert after.high - after.low < before.high - before.low
        assert 0 <= after.low <= after.expected <= after.high <= 200


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        p = rng.uniform(0.02, 0.6, 300)
        truth = rng.random(300) < expit(-1.0 + 0.8 * np.log((1 - p) / p))
        estimate = estimate_remaining_errors(p[60:], p[:60], truth[:60])
        covered += estimate.low <= truth[60:].sum() <= estimate.high
    assert covered >= 35
