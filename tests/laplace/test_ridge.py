import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.metrics import roc_auc_score

import lsi
from lsi.errors import DataError, UsageError
from lsi.laplace.design_matrix import with_bias
from lsi.laplace.ridge import fit_ridge
from tests import reference


def problem(n: int = 40, d: int = 5, m: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, x @ rng.normal(size=(d, m)) + 0.3 * rng.normal(size=(n, m))


@pytest.mark.parametrize(("n", "d", "m"), [(40, 5, 3), (30, 4, 1), (12, 30, 2)])
@pytest.mark.parametrize("prior", [0.01, 1.0, 50.0])
def test_every_term_equals_that_of_refits(n, d, m, prior):
    x, t = problem(n, d, m)
    found = lsi.score(x, t, likelihood="regression", prior_precision=prior, noise_variance=0.2)
    for i in range(0, n, 5):
        truth = reference.ridge_leave_one_out(x, t, prior, 0.2, i)
        got = [found.mean_term[i], found.trace_term[i], found.logdet_term[i]]
        np.testing.assert_allclose(got, truth, rtol=1e-8)
        assert found.lsi[i] == pytest.approx(truth.sum(), rel=1e-7)


def test_leave_one_out_predictions_are_those_of_refits():
    x, t = problem()
    found = lsi.score(x, t, likelihood="regression", prior_precision=0.5, noise_variance=0.2)
    phi = np.hstack([x, np.ones((len(x), 1))])
    for i in (0, 17):
        kept = np.arange(len(x)) != i
        gram = phi[kept].T @ phi[kept] / 0.2 + 0.5 * np.eye(6)
        weights = np.linalg.solve(gram, phi[kept].T @ t[kept] / 0.2)
        np.testing.assert_allclose(found.loo_predictions[i], phi[i] @ weights, rtol=1e-9)
        assert found.loo_residual_norm[i] == pytest.approx(np.linalg.norm(t[i] - phi[i] @ weights))
        variance = 0.2 + phi[i] @ np.linalg.solve(gram, phi[i])
        standard = np.linalg.norm(t[i] - phi[i] @ weights) / np.sqrt(3 * variance)
        assert found.standardised_residual[i] == pytest.approx(standard)


def test_support_is_what_removing_the_other_takes_away():
    x, t = problem(m=2)
    head = fit_ridge(with_bias(torch.from_numpy(x)), torch.from_numpy(t), 0.5, 0.2)
    phi, i = np.hstack([x, np.ones((len(x), 1))]), 3
    found = head.support(i).numpy()

    def predicted(kept: np.ndarray) -> np.ndarray:
        gram = phi[kept].T @ phi[kept] / 0.2 + 0.5 * np.eye(6)
        return phi[i] @ np.linalg.solve(gram, phi[kept].T @ t[kept] / 0.2)

    without = np.arange(len(x)) != i
    direction = head.residuals[i].numpy() / np.linalg.norm(head.residuals[i].numpy())
    for j in (0, 8, 30):
        drawn = (predicted(without) - predicted(without & (np.arange(len(x)) != j))) @ direction
        assert found[j] == pytest.approx(drawn, rel=1e-8)
    assert found[i] == 0


def test_groups_are_exact_and_bring_back_what_twins_hide():
    x, t = problem()
    phi = np.hstack([x, np.ones((len(x), 1))])
    group, prior, noise = np.array([2, 9, 30]), 0.5, 0.2
    kept = ~np.isin(np.arange(len(x)), group)
    fits = []
    for rows in (slice(None), kept):
        gram = phi[rows].T @ phi[rows] / noise + prior * np.eye(6)
        fits.append((np.linalg.solve(gram, phi[rows].T @ t[rows] / noise).T, np.kron(np.eye(3), gram)))
    truth = reference.gaussian_kl(fits[0][0], fits[0][1], fits[1][0], fits[1][1]).sum()
    head = fit_ridge(with_bias(torch.from_numpy(x)), torch.from_numpy(t), prior, noise)
    assert head.group_lsi(torch.from_numpy(group)) == pytest.approx(truth, rel=1e-8)

    alone = lsi.score(x, t, likelihood="regression", prior_precision=prior, noise_variance=noise).lsi[5]
    many_x, many_t = np.vstack([x, x[[5, 5]]]), np.vstack([t, t[[5, 5]]])
    twins = lsi.score(many_x, many_t, likelihood="regression", prior_precision=prior, noise_variance=noise).lsi
    together = fit_ridge(with_bias(torch.from_numpy(many_x)), torch.from_numpy(many_t), prior, noise)
    assert twins[[5, 40, 41]].max() < 0.7 * alone
    assert together.group_lsi(torch.tensor([5, 40, 41])) > alone


def test_noise_and_prior_are_found_again():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3_000, 20))
    t = x @ rng.normal(scale=0.5, size=(20, 4)) + 0.7 * rng.normal(size=(3_000, 4))
    found = lsi.score(x, t, likelihood="regression", prior_precision="auto")
    assert found.noise_variance == pytest.approx(0.49, rel=0.03)
    assert found.prior_precision == pytest.approx(4.0, rel=0.5)
    assert found.lsi.min() >= 0
    assert np.sqrt((found.standardised_residual**2).mean()) == pytest.approx(1, rel=0.02)


def test_a_chosen_pair_beats_its_neighbours():
    x, t = problem(n=200, m=2, seed=3)
    best = lsi.score(x, t, likelihood="regression", prior_precision="auto")

    def likelihood(prior: float, noise: float) -> float:
        head = fit_ridge(with_bias(torch.from_numpy(x)), torch.from_numpy(t), prior, noise)
        own = 1 - head.leverage
        fit = head.residuals.square().sum(dim=1) / (own * noise)
        return float((2 * np.log(noise) - 2 * own.log() + fit).mean())

    here = likelihood(best.prior_precision, best.noise_variance)
    for factor in (0.5, 2.0):
        assert likelihood(best.prior_precision * factor, best.noise_variance) > here
        assert likelihood(best.prior_precision, best.noise_variance * factor) > here


def test_moved_targets_of_diabetes_are_found():
    """5 % of the targets moved by four standard deviations."""
    x, t = load_diabetes(return_X_y=True)
    rng, aurocs, ceilings = np.random.default_rng(0), [], []
    x = (x - x.mean(axis=0)) / x.std()
    for _ in range(3):
        moved = np.zeros(len(t), bool)
        moved[rng.choice(len(t), round(0.05 * len(t)), replace=False)] = True
        signs = rng.choice([-1.0, 1.0], len(t))
        noisy = (t + 4 * t.std() * signs * moved - t.mean()) / t.std()
        found = lsi.score(x, noisy, likelihood="regression", prior_precision="auto")
        aurocs.append(roc_auc_score(moved, found.standardised_residual))
        assert roc_auc_score(moved, found.lsi) > 0.85
        ceilings.append(roc_auc_score(moved, np.abs(noisy - (t - t.mean()) / t.std())))
    assert np.mean(aurocs) >= 0.9
    assert np.mean(ceilings) == 1


def test_shuffled_pairs_of_halves_are_found():
    """Random Fourier features of one half of a digit predict the other; 5 % of the pairs are shuffled."""
    images = load_digits().images / 16
    left = images[:, :, :4].reshape(len(images), -1)
    rng = np.random.default_rng(1)
    features = np.cos(left @ (rng.normal(size=(32, 800)) / 2) + rng.uniform(0, 2 * np.pi, 800))
    features -= features.mean(axis=0)
    aurocs = []
    for seed in range(3):
        right = images[:, :, 4:].reshape(len(images), -1).copy()
        chosen = np.random.default_rng(seed).choice(len(images), round(0.05 * len(images)), replace=False)
        right[chosen] = right[np.roll(chosen, 1)]
        shuffled = np.isin(np.arange(len(images)), chosen)
        found = lsi.score(features, right - right.mean(axis=0), likelihood="regression", prior_precision="auto")
        aurocs.append(roc_auc_score(shuffled, found.standardised_residual))
    assert np.mean(aurocs) >= 0.9


@pytest.mark.parametrize(
    ("targets", "options", "error", "message"),
    [
        (np.zeros((39, 2)), {}, DataError, r"Expected targets of shape \(40,\) or \(40, m\)"),
        (np.full((40, 1), np.nan), {}, DataError, "Expected finite targets; 40 rows"),
        (np.zeros(40), {"noise_variance": -1.0}, UsageError, "noise_variance > 0 and finite"),
        (np.zeros(40), {"prior_precision": "much"}, UsageError, "prior_precision > 0 and finite, or 'auto'"),
        (np.zeros(40), {"likelihood": "poisson"}, UsageError, "classification or regression, got 'poisson'"),
    ],
)
def test_what_does_not_fit_is_an_error(targets, options, error, message):
    with pytest.raises(error, match=message):
        lsi.score(problem()[0], targets, **({"likelihood": "regression"} | options))


def test_a_choice_at_the_edge_is_logged_and_said(caplog):
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(60, 2)), rng.normal(size=60)
    inner = lsi.score(x, x @ [1.0, 2.0] + noise, likelihood="regression")
    assert not inner.at_edge
    assert "lies at the edge" not in caplog.text
    edge = lsi.score(x, noise - x @ np.linalg.lstsq(x, noise, rcond=None)[0], likelihood="regression")
    assert edge.at_edge
    assert "lies at the edge" in caplog.text
