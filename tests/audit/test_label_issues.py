"""The label-issue rules against cleanlab itself, sample by sample."""

import warnings
from typing import get_args

import numpy as np
import pytest

from lsi.audit.label_issues import class_thresholds, label_issues, self_confidence
from lsi.config import IssueRule
from lsi.errors import UsageError


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
@pytest.mark.parametrize("rule", get_args(IssueRule))
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


def test_clean_and_certain_labels_are_not_suspected():
    labels = np.arange(50) % 5
    assert not label_issues(labels, np.eye(5)[labels] * 0.9 + 0.02).any()


def test_unknown_rule_is_an_error():
    labels, p = problem(20, 2, 0, 1.0)
    with pytest.raises(UsageError, match="a filter among low_self_confidence"):
        label_issues(labels, p, "worst")
