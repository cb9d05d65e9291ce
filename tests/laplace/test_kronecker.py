import numpy as np
import torch

from lsi.laplace.kronecker import Kronecker


def test_kronecker_solve_is_the_dense_one():
    rng = np.random.default_rng(0)
    b, a = (torch.from_numpy(r @ r.T) for r in (rng.normal(size=(3, 3)), rng.normal(size=(4, 4))))
    form = Kronecker.factor(b, a, 7, 0.3)
    dense = torch.kron(b, a) / 7 + 0.3 * torch.eye(12)
    x = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    expected = torch.linalg.solve(dense, x.reshape(2, 12).T).T.reshape(2, 3, 4)
    torch.testing.assert_close(form.solve(x), expected)
