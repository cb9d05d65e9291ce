"""The label-issue rules against cleanlab itself, sample by sample."""

import warnings
from typing import get_args

import numpy as np
import pytest

from lsi.audit.label_issues import class_thresholds, label_issues, self_confidence
from lsi.audit.noise_model import fit_noise, wrong_at_one_rate
from lsi.config import IssueRule
from lsi.errors import UsageError
from lsi.probabilities import Probabilities


def problem(n: int, k: int, seed: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, k, n)
    labels = np.where(rng.random(n) < 0.15, rng.integers(0, k, n), true)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), true] += sharpness
    p = np.exp(logits)
    return labels, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "case",
    [(300, 3, 0, 2.0), (1000, 10, 1, 3.0), (60, 4, 2, 1.0), (2000, 5, 3, 0.5), (500, 2, 4, 2.0), (1000, 10, 1201, 3.0)],
)
@pytest.mark.parametrize("rule", [r for r in get_args(IssueRule) if r != "expected_errors"])
def test_rules_agree_with_cleanlab(case, rule):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.filter import find_label_issues
    labels, p = problem(*case)
    np.testing.assert_array_equal(label_issues(labels, p, rule), find_label_issues(labels, p, filter_by=rule, n_jobs=1))


def test_thresholds_and_scores_agree_with_cleanlab():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.count import get_confident_thresholds
        from cleanlab.rank import get_label_quality_scores
    labels, p = problem(400, 5, 0, 2.0)
    np.testing.assert_allclose(class_thresholds(labels, p), get_confident_thresholds(labels, p))
    np.testing.assert_allclose(self_confidence(labels, p), get_label_quality_scores(labels, p))


def test_a_class_without_samples_is_no_issue():
    labels, p = problem(100, 4, 0, 2.0)
    present = labels != 3
    labels, p = labels[present], p[present]
    p[:, 3] *= 1e-3  # nobody is given the class, and the model hardly knows it
    p /= p.sum(axis=1, keepdims=True)
    without = p[:, :3] / p[:, :3].sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(label_issues(labels, p), label_issues(labels, without))


@pytest.mark.parametrize("rule", ["expected_errors", "low_self_confidence"])
def test_clean_and_certain_labels_are_not_suspected(rule):
    labels = np.arange(50) % 5
    assert not label_issues(labels, np.eye(5)[labels] * 0.9 + 0.02, rule).any()


def drawn(n: int, k: int, share: float, sharpness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return given labels, right ones, and probabilities that the right ones are drawn from."""
    rng = np.random.default_rng([k, round(1_000 * share)])
    logits = sharpness * rng.normal(size=(n, k))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    right = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    wrong = rng.random(n) < share
    return np.where(wrong, (right + rng.integers(1, k, n)) % k, right), right, p


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.4])
@pytest.mark.parametrize("k", [2, 10, 100])
def test_as_many_labels_are_flagged_as_are_wrong(k, share):
    """Where the probabilities are right; confident learning flags up to ten times as many where few are wrong."""
    labels, right, p = drawn(5_000, k, share, 6.0)
    flagged, wrong = label_issues(labels, p, "expected_errors"), labels != right
    factor = flagged.sum() / wrong.sum()
    assert abs(np.log(factor)) <= abs(np.log(label_issues(labels, p).sum() / wrong.sum())) + 0.1
    if share > 0.01 and k < 100:
        assert 1 / 1.5 <= factor <= 1.5
    assert (p.argmax(axis=1) != labels)[flagged].all()
    score = self_confidence(labels, p)
    rest = score[~flagged & (p.argmax(axis=1) != labels)]
    assert score[flagged].max() <= rest.min()


@pytest.mark.parametrize("limit", ["MOST_VALUES", "MOST_PRODUCTS"])
def test_where_a_rate_for_each_class_takes_too_long_all_classes_have_one(monkeypatch, limit):
    labels, right, p = drawn(4_000, 5, 0.1, 6.0)
    monkeypatch.setattr(f"lsi.audit.label_issues.{limit}", 1_000)
    flagged = label_issues(labels, p, "expected_errors")
    assert 1 / 1.3 < flagged.sum() / (labels != right).sum() < 1.3
    wrong = wrong_at_one_rate(Probabilities.of(p), labels)
    assert abs(wrong.sum() / fit_noise(p, labels).p_wrong.sum() - 1) < 0.01, "classes err alike here"
    confirmed = labels == right
    assert not label_issues(labels, p, "expected_errors", confirmed)[confirmed].any()


def test_at_one_rate_the_errors_of_many_classes_with_few_samples_are_not_overcounted():
    """Confident learning takes a class above a low threshold for certain, and counts several times the errors."""
    labels, right, p = drawn(3_000, 600, 0.1, 2.5)
    wrong = int((labels != right).sum())
    assert label_issues(labels, p).sum() > 7 * wrong
    assert wrong_at_one_rate(Probabilities.of(p), labels).sum() < 1.5 * wrong


def test_one_rate_is_the_sum_over_the_right_classes():
    """Against the loop over right classes z, and a rate that is found by search."""
    labels, _, p = drawn(300, 4, 0.2, 3.0)
    doubt = p**0.25
    other = np.array([
        sum(q[z] * d[y] / (d.sum() - d[z]) for z in range(4) if z != y)
        for q, d, y in zip(p, doubt, labels, strict=True)
    ])  # fmt: skip
    right = p[np.arange(300), labels]
    rates = np.linspace(0.01, 0.6, 5_901)[:, None]
    best = rates[np.log(rates * other + (1 - rates) * right).sum(axis=1).argmax(), 0]
    wrong = wrong_at_one_rate(Probabilities.of(p), labels)
    assert abs(wrong.mean() - best) < 2e-3
    np.testing.assert_allclose(wrong, best * other / (best * other + (1 - best) * right), atol=2e-2)


@pytest.mark.parametrize("rule", get_args(IssueRule))
def test_confirmed_labels_take_no_place_of_a_suspect(rule):
    """The suspects that are right are confirmed, even where they are the likeliest to be wrong: the others stay."""
    labels, right, p = drawn(4_000, 5, 0.1, 6.0)
    before = np.flatnonzero(label_issues(labels, p, rule))
    confirmed = np.zeros(len(labels), bool)
    confirmed[before[labels[before] == right[before]]] = True
    certain = np.flatnonzero(confirmed)
    p[certain] = 0.002
    p[certain, (labels[certain] + 1) % 5] = 0.992
    after = label_issues(labels, p, rule, confirmed)
    assert not after[confirmed].any()
    assert after.sum() >= 0.8 * (len(before) - confirmed.sum())
    assert not label_issues(labels, p, rule, np.ones(len(labels), bool)).any()


@pytest.mark.parametrize("rule", [r for r in get_args(IssueRule) if r != "expected_errors"])
def test_small_classes_are_judged_as_by_cleanlab(rule):
    """Classes of three samples and more, some with no sample that is confidently of them, and ties in the counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cleanlab.filter import find_label_issues
    for seed in range(60):
        rng = np.random.default_rng(seed)
        k = int(rng.integers(2, 15))
        n = k * int(rng.integers(3, 12))
        right = np.arange(n) % k
        labels = np.where(rng.random(n) < 0.15, rng.integers(0, k, n), right)
        labels[:k] = np.arange(k)
        logits = rng.normal(size=(n, k)) * rng.uniform(0.5, 2)
        logits[np.arange(n), right] += rng.uniform(0, 4)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes with one sample
            expected = find_label_issues(labels, p, filter_by=rule, n_jobs=1)
        np.testing.assert_array_equal(label_issues(labels, p, rule), expected, err_msg=f"seed {seed}")


@pytest.mark.parametrize("rule", ["prune_by_class", "prune_by_noise_rate", "both"])
def test_confirmed_labels_that_are_confident_of_no_class_take_no_place_either(rule):
    """Of class 0 ten labels are confidently of class 1, and ten confirmed ones less probable than these."""
    suspects = [[0.35 - 0.01 * i, 0.65 + 0.01 * i, 0.0] for i in range(10)]
    p = np.array([*[[0.8, 0.1, 0.1]] * 60, *suspects, *[[0.0, 0.55, 0.45]] * 10,
                  *[[0.2, 0.6, 0.2]] * 80, *[[0.2, 0.2, 0.6]] * 80])  # fmt: skip
    labels, rows = np.repeat([0, 1, 2], 80), np.arange(240)
    found = label_issues(labels, p, rule, (rows >= 70) & (rows < 80))
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(60, 70))


def test_a_label_of_probability_zero_is_no_label_that_is_right_for_certain():
    labels, _, p = drawn(500, 3, 0.1, 6.0)
    labels[:2] = 0
    p[0], p[1] = [0.0, 1.0, 0.0], [1e-14, 1 - 2e-14, 1e-14]
    wrong = fit_noise(p, labels).p_wrong
    assert wrong[1] > 0.99
    assert wrong[0] > 0.99


def test_a_confirmed_label_is_right_to_the_noise_model_and_raises_no_rate():
    labels, _, p = drawn(2_000, 5, 0.2, 6.0)
    free = fit_noise(p, labels)
    confirmed = free.p_wrong > 0.5
    held = fit_noise(p, labels, confirmed=confirmed)
    assert (held.p_wrong[confirmed] == 0).all()
    assert held.p_wrong.mean() < 0.3 * free.p_wrong.mean()


def test_unknown_rule_is_an_error():
    labels, p = problem(20, 2, 0, 1.0)
    with pytest.raises(UsageError, match="a filter among expected_errors"):
        label_issues(labels, p, "worst")
