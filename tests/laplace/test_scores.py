"""Every fast path against the slow truth."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

import lsi
from lsi.config import ScoreSettings
from lsi.errors import DataError, UsageError
from lsi.laplace.design_matrix import DesignMatrix, with_bias
from lsi.laplace.likelihood import Softmax
from lsi.laplace.objective import Objective
from lsi.laplace.posterior import Full
from lsi.laplace.probe import fit
from lsi.laplace.scores import as_tensor
from tests import reference
from tests.cases import SMALL, Problem, blobs, noisy_digits

STRUCTURES = ("full", "diag", "kron")
score = functools.partial(lsi.score, prior_precision=1.0)


def terms(scores: lsi.Scores) -> np.ndarray:
    return np.stack([scores.mean_term, scores.trace_term, scores.logdet_term], axis=1)


TRUTH = pytest.mark.xdist_group("the slow truth of digits")  # worked out once


@pytest.fixture(scope="module")
def digits() -> tuple[Problem, np.ndarray, reference.Truth]:
    problem = noisy_digits()
    samples = np.sort(np.random.default_rng(1).choice(len(problem.labels), 60, replace=False))
    return problem, samples, reference.leave_one_out(problem.features, problem.labels, 1.0, samples)


@TRUTH
@pytest.mark.parametrize(
    ("structure", "truth_of", "bar"), [("full", "full", 0.999), ("diag", "diag", 0.999), ("kron", "full", 0.99)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_newton_step_ranks_as_refits_do(digits, structure, truth_of, bar, dtype):
    problem, samples, truth = digits
    scores = score(problem.features.astype(dtype), problem.labels, structure=structure)
    assert spearmanr(scores.lsi[samples], getattr(truth, truth_of).sum(axis=1)).statistic >= bar
    assert scores.lsi.min() >= 0
    error = np.abs(scores.loo_probabilities[samples] - truth.probabilities).max()
    assert error <= (0.01 if structure != "kron" else 0.1)


def test_kron_newton_step_ranks_as_kron_refits_do():
    """By the refits that the next test holds against the slow truth: a rank correlation needs more than 60 samples."""
    problem = noisy_digits()
    samples = np.sort(np.random.default_rng(2).choice(len(problem.labels), 150, replace=False))
    step = score(problem.features, problem.labels, structure="kron")
    loo = lsi.LeaveOneOut(refit_samples=tuple(samples.tolist()))
    solved = score(problem.features, problem.labels, structure="kron", loo=loo)
    assert spearmanr(step.lsi[samples], solved.lsi[samples]).statistic >= 0.97


def test_refits_converge_where_whole_newton_steps_lead_away():
    """Thirty classes of twenty samples, a tenth of them wrong, left out from kron's step on."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 30
    features = rng.normal(size=(30, 63))[labels] + rng.normal(size=(600, 63))
    samples = rng.choice(600, 60, replace=False)[:10]
    labels[samples] = rng.integers(0, 30, 10)
    loo = lsi.LeaveOneOut(certify=0, refit_samples=tuple(samples.tolist()))
    full, kron = (lsi.score(features, labels, structure=s, loo=loo, prior_precision=0.5) for s in ("full", "kron"))
    np.testing.assert_allclose(kron.loo_probabilities[samples], full.loo_probabilities[samples], atol=1e-7)
    assert kron.loo_residual[samples].max() < 1e-6


@TRUTH
@pytest.mark.parametrize("structure", STRUCTURES)
def test_refit_equals_refits(digits, structure):
    problem, samples, truth = digits
    loo = lsi.LeaveOneOut(refit_samples=tuple(samples.tolist()))
    scores = score(problem.features, problem.labels, structure=structure, loo=loo)
    np.testing.assert_allclose(terms(scores)[samples], getattr(truth, structure), rtol=1e-4, atol=1e-10)
    np.testing.assert_allclose(scores.loo_probabilities[samples], truth.probabilities, atol=1e-5)
    assert scores.refitted.sum() == len(samples)
    assert scores.refitted[samples].all()
    assert scores.lsi.min() >= 0


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SMALL)
def test_refit_of_all_equals_refits(name, structure):
    problem, prior_precision = SMALL[name]
    scores = score(problem.features, problem.labels, prior_precision=prior_precision, structure=structure, loo="refit")
    truth = reference.leave_one_out(problem.features, problem.labels, prior_precision, np.arange(len(problem.labels)))
    np.testing.assert_allclose(terms(scores), getattr(truth, structure), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(scores.loo_probabilities, truth.probabilities, atol=1e-5)
    assert scores.lsi.min() >= 0


def test_newton_step_is_one_dense_newton_step():
    problem, prior_precision = SMALL["three_classes"]
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    scores = score(problem.features, problem.labels, prior_precision=prior_precision)
    for i in range(12):
        theta, moved, p_other = reference.newton_step(phi, problem.labels, prior_precision, np.array([i]))
        whole = reference.precision(phi, theta, prior_precision)
        np.testing.assert_allclose(terms(scores)[i], reference.gaussian_kl(theta, whole, moved, p_other), rtol=1e-7)


def test_leverages_of_one_sample_are_its_own_block():
    """A last batch of one: the same numbers as in a batch of many."""
    problem, prior = SMALL["three_classes"]
    phi = with_bias(torch.from_numpy(problem.features))
    posterior = Full.fit(fit(Objective(Softmax(3), DesignMatrix(phi), torch.from_numpy(problem.labels), prior)))
    together = posterior.leverages(phi)
    torch.testing.assert_close(together, together.transpose(1, 2))
    for i in (0, 17):
        torch.testing.assert_close(posterior.leverages(phi[[i]])[0], together[i])


def test_certificate_is_the_distance_to_the_refit():
    problem, _ = SMALL["three_classes"]
    scores = score(problem.features, problem.labels)
    phi = np.hstack([problem.features, np.ones((len(problem.features), 1))])
    truth = reference.leave_one_out(problem.features, problem.labels, 1.0, np.arange(20))
    for i in range(20):
        _, moved, p_other = reference.newton_step(phi, problem.labels, 1.0, np.array([i]))
        distance = (truth.weights[i] - moved).ravel()
        assert scores.loo_residual[i] == pytest.approx(np.sqrt(distance @ p_other @ distance), rel=0.15)


def test_certificate_falls_to_the_tolerance_with_refit():
    problem = blobs(60, 4, 3)
    step, solved = (score(problem.features, problem.labels, loo=m) for m in ("newton_step", "refit"))
    assert (solved.loo_residual < 1e-3 * step.loo_residual.max()).all()


def test_certificate_of_chosen_samples_leaves_the_rest_unchecked():
    problem = noisy_digits(n=200)
    scores = score(problem.features, problem.labels, loo=lsi.LeaveOneOut(certify=10))
    assert np.isfinite(scores.loo_residual).sum() == 10
    assert set(np.flatnonzero(np.isfinite(scores.loo_residual))) == set(np.argsort(-scores.lsi)[:10])


def test_refit_top_refits_the_highest():
    problem = noisy_digits(n=200)
    plain = score(problem.features, problem.labels)
    scores = score(problem.features, problem.labels, loo=lsi.LeaveOneOut(refit_top=5))
    assert set(np.flatnonzero(scores.refitted)) == set(np.argsort(-plain.lsi)[:5])
    np.testing.assert_array_equal(scores.lsi[~scores.refitted], plain.lsi[~scores.refitted])


@pytest.mark.parametrize("structure", STRUCTURES)
def test_float32_agrees_with_float64(structure):
    problem = noisy_digits(n=400)
    single, double = (
        score(problem.features.astype(t), problem.labels, structure=structure) for t in (np.float32, np.float64)
    )
    np.testing.assert_allclose(single.lsi, double.lsi, rtol=2e-3)
    np.testing.assert_allclose(single.loo_probabilities, double.loo_probabilities, atol=1e-5)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SMALL)
def test_float32_refits_hold_every_term_as_well(name, structure):
    """kron sums ΦᵀΦ from float32 products, which its smallest terms feel."""
    problem, prior = SMALL[name]
    single = problem.features.astype(np.float32)
    scores = score(single, problem.labels, prior_precision=prior, structure=structure, loo="refit")
    truth = reference.leave_one_out(single.astype(np.float64), problem.labels, prior, np.arange(len(problem.labels)))
    floor = 1e-7 if structure == "kron" else 1e-9
    np.testing.assert_allclose(terms(scores), getattr(truth, structure), rtol=1e-4, atol=floor)
    np.testing.assert_allclose(scores.loo_probabilities, truth.probabilities, atol=1e-6)


@pytest.mark.parametrize(
    "relabel",
    [
        lambda y: y + 1,
        lambda y: y - 5,
        lambda y: y * 10**12,
        lambda y: np.array(["ant", "bee", "cat"])[y],
        lambda y: [["ant", "bee", "cat"][i] for i in y],
        lambda y: np.array(["ant", "bee", "cat"], dtype=object)[y],
        lambda y: torch.from_numpy(y.astype(np.int32) + 3),
        lambda y: [torch.tensor(i) for i in y],
    ],
)
def test_any_distinct_labels_are_classes(relabel):
    problem, prior = SMALL["three_classes"]
    plain = score(problem.features, problem.labels, prior_precision=prior)
    labels = relabel(problem.labels)
    other = score(problem.features, labels, prior_precision=prior)
    np.testing.assert_array_equal(other.lsi, plain.lsi)
    np.testing.assert_array_equal(other.given_label, problem.labels)
    np.testing.assert_array_equal(other.classes[other.given_label], np.asarray(labels))
    explanation = lsi.explain(problem.features, labels, 4, prior_precision=prior)
    assert explanation.classes[explanation.given_label] == np.asarray(labels)[4]
    assert "classes" not in other.to_frame()


def test_two_truth_values_are_two_classes():
    problem, prior = SMALL["two_classes"]
    plain, truth = (score(problem.features, y, prior_precision=prior) for y in (problem.labels, problem.labels == 1))
    np.testing.assert_array_equal(plain.lsi, truth.lsi)


def test_the_defaults_are_those_of_the_settings():
    problem = noisy_digits(n=150)
    settings = ScoreSettings()
    default = lsi.score(problem.features, problem.labels)
    loo = settings.loo
    named = lsi.score(
        problem.features,
        problem.labels,
        prior_precision=settings.prior_precision,
        structure=settings.structure,
        loo=loo,
    )
    assert default.prior_choice == named.prior_choice
    assert default.prior_choice is not None
    np.testing.assert_array_equal(default.lsi, named.lsi)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "newton"},
        {"refit_top": -1},
        {"certify": -1},
        {"method": "refits"},
        {"refit_samples": np.array([True, False, True])},
        {"refit_samples": np.array([1.5])},
        {"refit_samples": np.zeros((2, 2), int)},
    ],
    ids=str,
)
def test_a_leave_one_out_that_makes_no_sense_is_an_error(options):
    with pytest.raises(UsageError, match=r"Expected (loo|refit_top|refit_samples)"):
        lsi.LeaveOneOut(**options)


@pytest.mark.parametrize("hold", [list, np.array, torch.tensor])
def test_samples_to_refit_are_positions_however_they_are_held(hold):
    problem = noisy_digits(n=150)
    scores = score(problem.features, problem.labels, loo=lsi.LeaveOneOut(refit_samples=hold([7, 3])))
    assert np.flatnonzero(scores.refitted).tolist() == [3, 7]


def test_float32_refit_agrees_with_float64():
    problem = noisy_digits(n=300)
    loo = lsi.LeaveOneOut(refit_top=20)
    single, double = (score(problem.features.astype(t), problem.labels, loo=loo) for t in (np.float32, np.float64))
    np.testing.assert_allclose(single.lsi, double.lsi, rtol=5e-3)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_same_inputs_same_bits(structure):
    problem = noisy_digits(n=150)
    runs = [score(problem.features, problem.labels, structure=structure, prior_precision="auto") for _ in range(2)]
    for name in ("lsi", "mean_term", "trace_term", "loo_probabilities"):
        np.testing.assert_array_equal(getattr(runs[0], name), getattr(runs[1], name))


def test_terms_sum_to_lsi():
    problem = noisy_digits(n=300)
    for structure in STRUCTURES:
        scores = score(problem.features, problem.labels, structure=structure)
        np.testing.assert_allclose(terms(scores).sum(axis=1), scores.lsi, rtol=1e-6, atol=1e-9)


def test_flipped_labels_rank_above_the_rest():
    problem = noisy_digits()
    scores = score(problem.features, problem.labels)
    assert np.median(scores.lsi[problem.flipped]) > 10 * np.median(scores.lsi[~problem.flipped])


def test_stronger_prior_shrinks_the_mean_term():
    problem = noisy_digits(n=400)
    weak, strong = (score(problem.features, problem.labels, prior_precision=p) for p in (1.0, 100.0))
    assert strong.mean_term.sum() < weak.mean_term.sum()


def test_a_twin_has_lower_lsi_than_the_sample_alone():
    problem = noisy_digits(n=300)
    twice = np.r_[np.arange(300), [5, 5]]
    alone = score(problem.features, problem.labels).lsi[5]
    assert score(problem.features[twice], problem.labels[twice]).lsi[5] < alone


def test_frame_has_one_row_a_sample_and_the_documented_columns():
    problem = noisy_digits(n=200)
    frame = score(problem.features, problem.labels).to_frame()
    assert len(frame) == 200
    assert {"lsi", "lsi_rank", "mean_term", "loo_p_given", "loo_margin", "predicted_label"} <= set(frame.columns)
    assert sorted(frame["lsi_rank"]) == list(range(1, 201))
    assert frame.loc[frame["lsi_rank"] == 1, "lsi"].item() == frame["lsi"].max()


@pytest.mark.parametrize("likelihood", ["classification", "regression"])
def test_scores_of_a_filtered_frame_join_to_its_own_rows(likelihood):
    problem = noisy_digits(n=200)
    table = pd.DataFrame(problem.features).assign(label=problem.labels)
    table = table[np.arange(200) % 3 > 0].rename(index=lambda i: f"row {i}")
    features, labels = table.drop(columns="label"), table["label"]
    frame = lsi.score(features, labels, likelihood=likelihood, prior_precision=1.0).to_frame()
    assert frame.index.equals(table.index)
    for x, y in ((features, labels.to_numpy()), (features.to_numpy(), labels)):
        mixed = lsi.score(x, y, likelihood=likelihood, prior_precision=1.0).to_frame()
        pd.testing.assert_frame_equal(mixed, frame)
    for other in (labels[::-1], labels.reset_index(drop=True)):
        with pytest.raises(DataError, match=r"the same index in the same order, got row 1 and (row 199|0) in row 0"):
            lsi.score(features, other, likelihood=likelihood)
    plain = lsi.score(features.to_numpy(), labels.to_numpy(), likelihood=likelihood, prior_precision=1.0)
    assert plain.to_frame().index.equals(pd.RangeIndex(len(table)))


def test_auto_prior_precision_beats_its_neighbours():
    problem = noisy_digits(share=0.2, n=900)
    scores = score(problem.features, problem.labels, prior_precision="auto")
    choice = scores.prior_choice
    assert choice is not None
    best = int(np.argmax(choice.log_likelihood))
    assert choice.grid[best] == choice.prior_precision
    assert 0 < best < len(choice.grid) - 1
    chosen = np.log(scores.loo_p_given).mean()
    for factor in (0.05, 20.0):
        other = score(problem.features, problem.labels, prior_precision=factor * choice.prior_precision)
        assert np.log(other.loo_p_given).mean() < chosen


def test_auto_structure_is_full_when_small():
    problem = blobs(40, 3, 2)
    assert score(problem.features, problem.labels, structure="auto").structure == "full"


def test_arrays_that_are_read_only_are_not_copied_and_warn_nobody(recwarn):
    values = np.arange(6.0).reshape(3, 2)
    values.flags.writeable = False
    assert as_tensor(values, "features").data_ptr() == values.ctypes.data
    assert not [w for w in recwarn if "writ" in str(w.message)]


def test_tensors_and_arrays_give_the_same():
    problem = noisy_digits(n=150)
    a = score(problem.features, problem.labels)
    b = score(torch.from_numpy(problem.features), torch.from_numpy(problem.labels))
    np.testing.assert_array_equal(a.lsi, b.lsi)


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: [torch.from_numpy(row).requires_grad_() for row in x],
        lambda x: pd.DataFrame(x).convert_dtypes(),
        lambda x: pd.DataFrame(x).astype("Float64"),
        lambda x: x.copy()[::-1][::-1].astype(">f8"),
        lambda x: x[::-1].copy()[::-1],
    ],
)
def test_features_and_targets_are_taken_however_they_are_held(hold):
    problem = noisy_digits(n=150)
    plain = score(problem.features, problem.labels)
    held = score(hold(problem.features), problem.labels, device=torch.device("cpu"))
    np.testing.assert_array_equal(held.lsi, plain.lsi)
    heads = [lsi.score(x, x[:, :2], likelihood="regression", prior_precision=1.0) for x in (problem.features,)]
    heads.append(lsi.score(hold(problem.features), hold(problem.features[:, :2]), likelihood="regression",
                           prior_precision=1.0))  # fmt: skip
    np.testing.assert_array_equal(heads[0].lsi, heads[1].lsi)


def test_a_missing_number_of_a_frame_is_said_to_be_missing():
    x = pd.DataFrame(np.ones((4, 2))).convert_dtypes()
    x.iloc[2, 1] = pd.NA
    with pytest.raises(DataError, match=r"1 rows hold NaN or infinity, such as \[2\]"):
        score(x, Y)


def test_targets_are_a_copy():
    targets = np.random.default_rng(0).normal(size=(40, 1))
    scores = lsi.score(np.random.default_rng(1).normal(size=(40, 3)), targets, likelihood="regression")
    before = scores.targets.copy()
    targets[:] = 0
    np.testing.assert_array_equal(scores.targets, before)


@pytest.mark.parametrize(
    "values", [[-1, 2**63, 2**63 + 1], [np.uint64(2**60), np.uint64(2**60 + 1), np.int64(-1)], [0, 2**64, 2**64 + 1]]
)
def test_integers_that_are_too_large_for_a_float_stay_classes_of_their_own(values):
    problem, prior = SMALL["three_classes"]
    plain = score(problem.features, problem.labels, prior_precision=prior)
    values = sorted(values, key=int)
    scores = score(problem.features, [values[i] for i in problem.labels], prior_precision=prior)
    assert [int(c) for c in scores.classes] == [int(v) for v in values]
    np.testing.assert_array_equal(scores.lsi, plain.lsi)


@pytest.mark.parametrize("labels", [[True, False] * 20, np.array([True, False] * 20, dtype=object)])
def test_bools_are_two_classes_however_they_are_held(labels):
    features = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_array_equal(score(features, labels).classes, [False, True])


X, Y = np.zeros((4, 2)), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("features", "labels", "options", "error", "message"),
    [
        (np.zeros(4), Y, {}, DataError, r"features of shape \(n, d\)"),
        (X, Y[:3], {}, DataError, r"labels of shape \(4,\)"),
        (X, Y.astype(float), {}, DataError, "labels that are integers, bools or texts"),
        (X, np.array(["a", None, "b", "a"], dtype=object), {}, DataError, "none missing"),
        (X, ["a", float("nan"), "b", "a"], {}, DataError, "none missing, got several kinds"),
        (X, [0, 1, "1", 0], {}, DataError, "all of one kind"),
        (X, [0, 1, True, 0], {}, DataError, "all of one kind"),
        (X, np.ma.masked_equal([0, 1, 9, 0], 9), {}, DataError, "none of which is missing; 1 are masked"),
        (np.ma.masked_array(X, X == 0), Y, {}, DataError, "none of which is missing; 8 are masked"),
        (X + 1j, Y, {}, DataError, "features that are real numbers"),
        (X, [0, 1], {}, DataError, r"labels of shape \(4,\)"),
        (np.array([["a"]] * 4), Y, {}, DataError, "features that are an array of numbers"),
        (X, Y, {"loo": "newton"}, UsageError, "loo newton_step or refit, got 'newton'"),
        (X, Y, {"preset": "papers"}, UsageError, "preset none or paper"),
        (X, Y, {"preset": "paper", "prior_precision": 5.0}, UsageError, "preset=paper sets structure"),
        (X, Y, {"preset": "paper", "structure": "kron"}, UsageError, "preset=paper sets structure"),
        (X, Y, {"device": "gpu"}, UsageError, "device auto, cpu, cuda or cuda:N, got 'gpu'"),
        (X, Y, {"device": torch.device("meta")}, UsageError, "device auto, cpu, cuda or cuda:N, got device"),
        (X, Y, {"device": "cuda:97"}, UsageError, "PyTorch sees"),
        (X, Y, {"likelihood": "poisson"}, UsageError, "classification or regression"),
        (
            np.where([[1], [0], [0], [0]], np.nan, X),
            Y,
            {},
            DataError,
            r"1 rows hold NaN or infinity, such as \[0\]",
        ),
        (X, np.zeros(4, dtype=int), {}, DataError, "at least two classes"),
        (X, Y, {"prior_precision": 0.0}, UsageError, "prior_precision > 0"),
        (X, Y, {"prior_precision": "best"}, UsageError, "prior_precision > 0 and finite, or 'auto'"),
        (X, Y, {"prior_precision": float("inf")}, UsageError, "prior_precision > 0 and finite"),
        (X, X[:, 0], {"likelihood": "regression", "noise_variance": float("inf")}, UsageError, "noise_variance > 0"),
        (X, Y, {"structure": "block"}, UsageError, "full, kron, diag or auto"),
        (X, Y, {"loo": lsi.LeaveOneOut(refit_samples=(9,))}, UsageError, r"lie in 0 … 3"),
        (X, Y, {"loo": lsi.LeaveOneOut("refit", refit_samples=(9,))}, UsageError, r"lie in 0 … 3"),
    ],
)
def test_input_that_does_not_fit_is_an_error_that_says_so(features, labels, options, error, message):
    with pytest.raises(error, match=message):
        score(features, labels, **options)


@pytest.mark.gpu
@pytest.mark.parametrize("structure", STRUCTURES)
def test_cuda_agrees_with_cpu(structure):
    problem = noisy_digits(n=500)
    loo = lsi.LeaveOneOut(refit_top=10)
    cpu, cuda = (
        score(problem.features, problem.labels, structure=structure, loo=loo, device=d) for d in ("cpu", "cuda")
    )
    np.testing.assert_allclose(cuda.lsi, cpu.lsi, rtol=1e-6, atol=1e-10)
