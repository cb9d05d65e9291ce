"""What label scores are worth, against noise that is known."""

import numpy as np
import pytest
import torch

from lsi.audit.calibration import calibrate
from lsi.audit.noise_model import fit_noise, temper
from lsi.audit.summary import precision_recall_at
from lsi.audit.through_noise import judge_labels
from lsi.compute import pipeline
from lsi.config import DataSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.probe import fit
from lsi.laplace.scores import LeaveOneOut, evaluate
from tests.cases import noisy_digits


def drawn(n: int = 20_000, k: int = 4, seed: int = 0):
    """Probabilities, right labels drawn from them, and given labels by a known noise matrix."""
    rng = np.random.default_rng(seed)
    q = rng.dirichlet(np.full(k, 0.15), n)
    right = (q.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    noise = np.array([[0.9, 0.1, 0, 0], [0, 0.7, 0.2, 0.1], [0.05, 0.05, 0.85, 0.05], [0, 0, 0, 1.0]])
    given = (noise[right].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    return q, right, given, noise


def test_a_known_noise_matrix_is_recovered_and_probabilities_of_error_are_right(monkeypatch):
    monkeypatch.setattr("lsi.audit.noise_model.DOUBT_EXPONENT", 0.0)
    q, right, given, noise = drawn()
    model = fit_noise(q, given)
    wrong = model.p_wrong
    np.testing.assert_allclose(model.noise, noise, atol=0.03)
    assert wrong.mean() == pytest.approx((given != right).mean(), abs=0.01)
    for low in np.arange(0, 1, 0.2):
        chosen = (wrong >= low) & (wrong < low + 0.2)
        if chosen.sum() > 300:
            assert wrong[chosen].mean() == pytest.approx((given != right)[chosen].mean(), abs=0.05)
    assert model.log_likelihood > fit_noise(temper(q, 0.3), given).log_likelihood


def test_rates_can_be_held_to_a_share():
    q, right, given, _ = drawn(2_000)
    held, free = fit_noise(q, given, 0.3), fit_noise(q, given)
    share = (1 - held.noise.diagonal()) @ np.bincount(right) / len(right)
    assert share == pytest.approx(0.3, abs=0.05)
    assert held.p_wrong.mean() > free.p_wrong.mean()


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_tempered_probabilities_stay_probabilities(power):
    q = drawn(50)[0]
    found = temper(q, power)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_array_equal(found.argmax(axis=1), q.argmax(axis=1))


def test_predicted_precision_is_near_the_true_one_on_digits():
    problem = noisy_digits(0.15, seed=0)
    features, labels, flipped = problem.features, problem.labels, problem.flipped
    design = DesignMatrix(with_bias(torch.from_numpy(features)))
    probe = fit(Objective(Softmax(10), design, torch.from_numpy(labels), 10.0))
    first = evaluate(probe, ("full",), LeaveOneOut(certify=0))[0].loo_probabilities
    label_probabilities = judge_labels(probe, labels, first)
    found = calibrate(probe, labels, label_probabilities)
    score = label_probabilities.of_classes(labels)
    counts = tuple(round(f * flipped.sum()) for f in (0.5, 1, 1.5))
    both = (precision_recall_at(score, p, counts) for p in (found.p_wrong, flipped.astype(float)))
    for predicted, true in zip(*both, strict=True):
        assert predicted["precision"] == pytest.approx(true["precision"], abs=0.1)
        assert predicted["recall"] == pytest.approx(true["recall"], abs=0.1)
    assert found.p_wrong.sum() == pytest.approx(flipped.sum(), rel=0.2)


def test_a_run_keeps_its_calibration(tmp_path):
    settings = Settings(
        DataSettings("digits", subset=400), NoiseSettings(corrupt_label=0.1), score=ScoreSettings(calibrate=True)
    )
    run = pipeline.run(settings, tmp_path)
    calibration = run.manifest["calibration"]
    assert calibration["expected_wrong"] == pytest.approx(run.scores["p_wrong"].sum())
    assert calibration["expected_wrong"] == pytest.approx(40, abs=15)
    recalls = [cut["recall"] for cut in calibration["cuts"]]
    assert recalls == sorted(recalls)
    assert recalls[-1] == pytest.approx(1)
    plain = pipeline.run(Settings(DataSettings("digits", subset=400), NoiseSettings(corrupt_label=0.1)), tmp_path)
    assert plain.manifest["calibration"] is None
    assert "p_wrong" not in plain.scores


def test_a_calibration_that_would_take_too_long_is_refused_before_anything_is_computed(monkeypatch, tmp_path):
    monkeypatch.setattr("lsi.audit.calibration.MOST_PRODUCTS", 1e4)
    settings = Settings(DataSettings("digits", subset=120), score=ScoreSettings(calibrate=True))
    with pytest.raises(UsageError, match=r"Calibrating 120 labels of 10 classes takes 1e\+04 products .* --calibrate"):
        pipeline.run(settings, tmp_path)
    assert not list(tmp_path.glob("features/*"))
    assert not list(tmp_path.glob("designs/*"))
