import pytest
import torch

from lsi.laplace.likelihood import SoftLabels, Softmax, dense_basis


@pytest.mark.parametrize("k", [2, 3, 10, 300])
def test_contrasts_are_orthonormal_and_blind_to_a_common_shift(k):
    likelihood = Softmax(k)
    q = dense_basis(likelihood)
    torch.testing.assert_close(q.T @ q, torch.eye(k - 1, dtype=q.dtype))
    torch.testing.assert_close(q.sum(dim=0), torch.zeros(k - 1, dtype=q.dtype))
    logits, coordinates = (torch.randn(2, 5, width, dtype=q.dtype) for width in (k, k - 1))
    torch.testing.assert_close(likelihood.contract(logits), logits @ q)
    torch.testing.assert_close(likelihood.contract(logits + 7), logits @ q)
    torch.testing.assert_close(likelihood.expand(coordinates), coordinates @ q.T)


def test_losses_residuals_and_curvature_are_those_of_cross_entropy():
    likelihood, targets = Softmax(4), torch.tensor([0, 3, 2])
    logits = torch.tensor([[2.0, -1, 0, 3], [800, 0, -800, 0], [0, 0, 0, 0]], dtype=torch.float64, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    means, fixed = likelihood.predict(logits).detach(), logits.detach()
    torch.testing.assert_close(likelihood.losses(fixed, means, targets), losses.detach())
    torch.testing.assert_close(likelihood.residuals(means, targets), gradient)
    dense = torch.stack([torch.diag(p) - torch.outer(p, p) for p in means])
    q = dense_basis(likelihood)
    torch.testing.assert_close(likelihood.curvatures(means), q.T @ dense @ q)
    torch.testing.assert_close(likelihood.curvature_sum(means), dense.sum(dim=0))
    torch.testing.assert_close(likelihood.curvature_diagonal(means), dense.diagonal(dim1=1, dim2=2))
    vectors = torch.randn(3, 4, dtype=torch.float64)
    torch.testing.assert_close(likelihood.curvature_product(means, vectors), (dense @ vectors[:, :, None])[:, :, 0])


def test_distributions_over_classes_are_labels_that_are_not_certain():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 30
    hard, soft = torch.tensor([0, 3, 2, 1, 1]), torch.softmax(logits.flip(0), dim=1)
    plain, likelihood = Softmax(4), SoftLabels(4)
    means = plain.predict(logits)
    one_hot = torch.nn.functional.one_hot(hard, 4).double()
    torch.testing.assert_close(likelihood.losses(logits, means, one_hot), plain.losses(logits, means, hard))
    torch.testing.assert_close(likelihood.residuals(means, one_hot), plain.residuals(means, hard))
    logits.requires_grad_(True)
    expected = torch.nn.functional.cross_entropy(logits, soft, reduction="none")
    torch.testing.assert_close(likelihood.losses(logits, plain.predict(logits), soft), expected)
    (gradient,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(likelihood.residuals(means, soft), gradient)
