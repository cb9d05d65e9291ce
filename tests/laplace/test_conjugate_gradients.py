import numpy as np
import pytest
import torch

from lsi.laplace.conjugate_gradients import Outcome, conjugate_gradients


def test_conjugate_gradients_solve_several_sides_at_once():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    matrix = torch.from_numpy(root @ root.T + np.eye(12))
    right = torch.from_numpy(rng.normal(size=(3, 3, 4)))
    right[1] *= 1e6
    found = conjugate_gradients(
        lambda x: (x.reshape(-1, 12) @ matrix).reshape(x.shape),
        lambda x: x,
        right,
        tolerance=1e-12,
        max_iterations=60,
    )
    assert found.converged
    expected = torch.linalg.solve(matrix, right.reshape(3, 12).T).T.reshape(right.shape)
    torch.testing.assert_close(found.value, expected, rtol=1e-9, atol=1e-9)


def test_conjugate_gradients_say_when_they_stop_early():
    right = torch.ones(1, 1, 30, dtype=torch.float64)
    scale = torch.logspace(0, 6, 30, dtype=torch.float64)
    found = conjugate_gradients(lambda x: scale * x, lambda x: x, right, tolerance=1e-10, max_iterations=2)
    assert found.outcome is Outcome.MAX_ITERATIONS
    assert not found.converged
    assert found.n_iterations == 2


@pytest.mark.parametrize(
    ("diagonal", "outcome"),
    [
        ([1.0, 2.0, -1.0], Outcome.NOT_POSITIVE_DEFINITE),
        ([0.0, 0.0, 0.0], Outcome.NOT_POSITIVE_DEFINITE),
        ([1.0, float("nan"), 1.0], Outcome.NON_FINITE),
        ([1.0, float("inf"), 1.0], Outcome.NON_FINITE),
    ],
)
def test_a_breakdown_is_a_result_of_its_own(diagonal, outcome):
    scale = torch.tensor(diagonal, dtype=torch.float64)
    right = torch.tensor([[[1.0, 0.1, 3.0]]], dtype=torch.float64)
    found = conjugate_gradients(lambda x: scale * x, lambda x: x, right, tolerance=1e-8, max_iterations=20)
    assert found.outcome is outcome
    assert found.outcome.is_breakdown
    assert not found.converged
    assert torch.isfinite(found.value).all()


def test_a_right_hand_side_that_is_not_finite_never_converges():
    right = torch.tensor([[[1.0, float("nan")]]], dtype=torch.float64)
    found = conjugate_gradients(lambda x: x, lambda x: x, right, tolerance=1e-8, max_iterations=20)
    assert found.outcome is Outcome.NON_FINITE


def test_one_side_that_breaks_down_does_not_stop_the_others():
    scale = torch.tensor([[[1.0, 2.0]], [[-1.0, -2.0]]], dtype=torch.float64)
    right = torch.ones(2, 1, 2, dtype=torch.float64)
    found = conjugate_gradients(lambda x: scale * x, lambda x: x, right, tolerance=1e-12, max_iterations=20)
    assert found.outcome is Outcome.NOT_POSITIVE_DEFINITE
    torch.testing.assert_close(found.value[0, 0], torch.tensor([1.0, 0.5], dtype=torch.float64))
