import torch

from lsi.laplace.likelihood import contrasts


def test_contrasts_are_orthonormal_and_blind_to_a_common_shift():
    for k in (2, 3, 10):
        q = contrasts(k)
        torch.testing.assert_close(q.T @ q, torch.eye(k - 1, dtype=q.dtype))
        torch.testing.assert_close(q.sum(dim=0), torch.zeros(k - 1, dtype=q.dtype))
