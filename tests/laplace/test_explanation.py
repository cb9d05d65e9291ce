import numpy as np
import pytest
import torch

import lsi
from lsi.errors import UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.explanation import explain_label
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import as_position
from tests import reference
from tests.cases import SMALL, noisy_digits


def explained(problem, prior_precision: float, sample: int):
    scores = lsi.score(problem.features, problem.labels, prior_precision=prior_precision)
    phi = with_bias(torch.from_numpy(problem.features))
    k = int(problem.labels.max()) + 1
    probe = fit(Objective(Softmax(k), DesignMatrix(phi), torch.from_numpy(problem.labels), prior_precision))
    return scores, explain_label(probe.objective, probe.weights, scores.probabilities, sample)


def test_support_is_what_removing_the_other_changes():
    """Against refits: without i, without i and j; the difference of the contrast is j's support."""
    problem, prior = SMALL["three_classes"]
    i = int(np.flatnonzero(problem.flipped)[0])
    _, found = explained(problem, prior, i)
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    theta = reference.fit(phi, problem.labels, prior)
    others = np.argsort(-np.abs(found.support))[:12]
    expected = []
    for j in others:
        rows = [np.arange(len(phi)) != i, (np.arange(len(phi)) != i) & (np.arange(len(phi)) != j)]
        logits = [reference.fit(phi[r], problem.labels[r], prior, theta, k=3) @ phi[i] for r in rows]
        contrast = [f[found.given_label] - f[found.other_label] for f in logits]
        expected.append(contrast[0] - contrast[1])
    assert np.corrcoef(found.support[others], expected)[0, 1] > 0.985
    np.testing.assert_allclose(found.support[others], expected, rtol=0.25, atol=0.02)
    assert found.support[i] == 0


def test_large_problems_are_explained_by_one_step_much_as_by_a_refit(monkeypatch):
    problem = noisy_digits(n=900)
    for i in np.flatnonzero(problem.flipped)[:3]:
        _, exact = explained(problem, 1.0, int(i))
        monkeypatch.setattr("lsi.laplace.explanation.REFIT_FLOPS", 0)
        _, approximate = explained(problem, 1.0, int(i))
        monkeypatch.undo()
        assert np.corrcoef(exact.support, approximate.support)[0, 1] > 0.98
        assert (
            len(np.intersect1d(exact.proponents_and_opponents(5)[0], approximate.proponents_and_opponents(5)[0])) >= 4
        )
        assert (
            len(np.intersect1d(exact.proponents_and_opponents(5)[1], approximate.proponents_and_opponents(5)[1])) >= 4
        )
        np.testing.assert_allclose(approximate.label_lsi, exact.label_lsi, rtol=0.1)


def test_label_lsi_is_the_kl_of_adding_the_sample_under_that_label():
    problem, prior = SMALL["three_classes"]
    i = 4
    _, found = explained(problem, prior, i)
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    kept = np.arange(len(phi)) != i
    without = reference.fit(phi[kept], problem.labels[kept], prior, k=3)
    p_without = reference.precision(phi[kept], without, prior)
    for c in range(3):
        labels = problem.labels.copy()
        labels[i] = c
        theta = reference.fit(phi, labels, prior)
        truth = reference.gaussian_kl(theta, reference.precision(phi, theta, prior), without, p_without).sum()
        assert found.label_lsi[c] == pytest.approx(truth, rel=0.25, abs=2e-3)


def test_a_flipped_label_is_spoken_against_and_the_true_one_suggested():
    problem = noisy_digits(share=0.03, n=600)
    truth = noisy_digits(share=0.0, n=600).labels
    flipped = np.flatnonzero(problem.flipped)
    right = 0
    for i in flipped:
        _, found = explained(problem, 1.0, int(i))
        right += found.suggested_label == truth[i]
        proponents, opponents = found.proponents_and_opponents(3)
        assert (found.support[proponents] > 0).all()
        assert (found.support[opponents] < 0).all()
        assert found.other_label != problem.labels[i]
    assert right / len(flipped) > 0.8


def test_the_given_labels_lsi_is_near_its_score():
    problem = noisy_digits(n=400)
    i = int(np.flatnonzero(problem.flipped)[0])
    scores, found = explained(problem, 1.0, i)
    assert found.label_lsi[problem.labels[i]] == pytest.approx(scores.lsi[i], rel=0.5)


def test_the_front_door_gives_the_same():
    problem, prior = SMALL["three_classes"]
    _, inside = explained(problem, prior, 4)
    outside = lsi.explain(problem.features, problem.labels, 4, prior_precision=prior)
    np.testing.assert_allclose(outside.support, inside.support)
    assert lsi.explain(problem.features, problem.labels, 4, other_label=0, prior_precision=prior).other_label == 0
    with pytest.raises(UsageError, match=r"sample 0 … 79, got 80"):
        lsi.explain(problem.features, problem.labels, 80)
    with pytest.raises(UsageError, match="another label"):
        lsi.explain(problem.features, problem.labels, 4, other_label=int(problem.labels[4]))


@pytest.mark.parametrize(
    ("sample", "other", "message"),
    [
        (-1, None, "Expected a sample 0 … 39, got -1"),
        (40, None, "Expected a sample 0 … 39, got 40"),
        (0, 2, "Expected another label than 0 in 0 … 1, got 2"),
        (0, 0, "Expected another label than 0 in 0 … 1, got 0"),
    ],
)
def test_what_is_no_sample_or_no_other_label_is_said(sample, other, message):
    features = np.random.default_rng(0).normal(size=(40, 3))
    with pytest.raises(UsageError, match=message):
        lsi.explain(features, np.arange(40) % 2, sample, other_label=other)


@pytest.mark.parametrize("value", [3.0, "3", None, np.array([3]), 4, -1])
def test_a_position_is_a_whole_number_within_bounds(value):
    assert as_position(value, 4) is None
    assert [as_position(v, 4) for v in (3, np.int64(3), torch.tensor(3))] == [3, 3, 3]
