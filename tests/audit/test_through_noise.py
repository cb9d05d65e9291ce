import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from lsi.audit import through_noise
from lsi.audit.noise_model import fit_noise
from lsi.audit.through_noise import ROUNDS, judge_labels, probabilities_through_noise
from lsi.audit.without_suspects import leave_one_out_probabilities, probabilities_without_suspects
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import Probe, fit
from lsi.probabilities import Probabilities
from tests import reference
from tests.cases import SMALL, noisy_digits


def probe_on(features: np.ndarray, labels: np.ndarray, prior: float) -> Probe:
    design = DesignMatrix(with_bias(torch.from_numpy(features)))
    return fit(Objective(Softmax(int(labels.max()) + 1), design, torch.from_numpy(labels), prior))


def test_it_is_what_refits_by_loops_come_to():
    problem, prior = SMALL["three_classes"]
    labels = problem.labels.copy()
    labels[:6] = (labels[:6] + 1) % 3
    probe = probe_on(problem.features, labels, prior)
    first = leave_one_out_probabilities(probe)
    phi = np.hstack([problem.features, np.ones((len(labels), 1))])
    counted = through_noise.label_issues(labels, first).mean()
    share = max(counted, fit_noise(first.dense(), labels).p_wrong.mean())
    noise = fit_noise(first.dense(), labels, share).noise
    expected = reference.through_noise(phi, labels, prior, first.dense(), noise, share, ROUNDS)
    found = probabilities_through_noise(probe, labels, first).dense()
    np.testing.assert_allclose(found, expected, atol=0.02)  # one Newton step for each sample that is left out
    assert np.abs(found - first.dense()).max() > 0.1  # and it says something else than it began with


@pytest.mark.parametrize("share", [0.2, 0.35])
def test_labels_that_whole_classes_get_wrong_alike_are_found(share):
    for seed in range(3):
        clean = noisy_digits(share=0, seed=seed, n=800)
        rng = np.random.default_rng(seed)
        wrong = rng.random(len(clean.labels)) < share
        given = np.where(wrong, (clean.labels + 1) % 10, clean.labels)
        probe = probe_on(clean.features, given, 1.0)
        seen = leave_one_out_probabilities(probe)
        judged = judge_labels(probe, given, seen)
        by_judge, by_sight = (
            roc_auc_score(wrong, -one.dense()[np.arange(len(given)), given]) for one in (judged, seen)
        )
        assert by_judge > 0.96
        assert by_judge > by_sight + 0.02


def test_errors_of_no_pattern_are_found_as_well_as_without_suspects():
    for seed in range(3):
        problem = noisy_digits(share=0.3, seed=seed, n=800)
        probe, n = probe_on(problem.features, problem.labels, 1.0), np.arange(800)
        seen = leave_one_out_probabilities(probe)
        without = probabilities_without_suspects(probe, through_noise.label_issues(problem.labels, seen)).dense()
        judged = judge_labels(probe, problem.labels, seen).dense()
        scores = [-p[n, problem.labels] for p in (judged, without)]
        assert roc_auc_score(problem.flipped, scores[0]) > roc_auc_score(problem.flipped, scores[1]) - 0.002


def test_labels_that_are_all_confirmed_are_taken_as_they_are():
    problem, prior = SMALL["three_classes"]
    probe = probe_on(problem.features, problem.labels, prior)
    seen = leave_one_out_probabilities(probe)
    judged = judge_labels(probe, problem.labels, seen, np.ones(len(problem.labels), bool))
    np.testing.assert_allclose(judged.dense(), seen.dense(), atol=1e-9)


@pytest.mark.parametrize("limit", ["MOST_VALUES", "MOST_PRODUCTS"])
def test_what_is_too_large_for_a_noise_model_is_judged_without_suspects(monkeypatch, limit):
    problem, prior = SMALL["three_classes"]
    probe = probe_on(problem.features, problem.labels, prior)
    seen = leave_one_out_probabilities(probe)
    monkeypatch.setattr(through_noise, limit, 10)
    suspects = through_noise.label_issues(problem.labels, seen, "expected_errors")
    expected = probabilities_without_suspects(probe, suspects).dense()
    np.testing.assert_array_equal(judge_labels(probe, problem.labels, seen).dense(), expected)


def test_a_class_that_nobody_has_and_certain_probabilities_do_no_harm():
    problem, prior = SMALL["three_classes"]
    probe = probe_on(problem.features, problem.labels, prior)
    certain = Probabilities.of(np.eye(3)[(problem.labels + 1) % 3])  # no class that is possible gave these labels
    found = probabilities_through_noise(probe, problem.labels, certain).dense()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
