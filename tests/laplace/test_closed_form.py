import pytest
import torch

from lsi.errors import NumericalError
from lsi.laplace.loo.closed_form import closed_form, closed_form_from_root


def blocks(*leverages: list[float]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    s = torch.stack([torch.diag(torch.tensor(v, dtype=torch.float64)) for v in leverages])
    return s, torch.eye(2, dtype=torch.float64).repeat(len(s), 1, 1), torch.ones(len(s), 2, dtype=torch.float64)


def test_one_singular_block_falls_back_and_leaves_the_rest_as_they_are():
    together = closed_form(*blocks([0.3, 0.2], [0.4, -1e-12]), excludes_sample=False)
    alone = closed_form(*blocks([0.3, 0.2]), excludes_sample=False)
    torch.testing.assert_close(together.terms.lsi[:1], alone.terms.lsi, rtol=0, atol=0)
    assert torch.isfinite(together.terms.lsi).all()
    assert float(together.leverage[1]) == pytest.approx(0.4)


def test_a_leverage_that_reaches_one_in_rounding_is_kept_below_it(caplog):
    found = closed_form(*blocks([0.5, 0.5], [1 + 1e-7, 0.1]), excludes_sample=False)
    assert torch.isfinite(found.terms.lsi).all()
    assert "leverage of 1 samples reached 1" in caplog.text


@pytest.mark.parametrize(
    ("leverages", "message"),
    [
        ([1.5, 0.1], "clearly above 1"),
        ([0.4, -0.3], "clearly not positive definite"),
        ([float("nan"), 0.1], "NaN or infinity"),
    ],
)
def test_hopeless_blocks_are_errors(leverages, message):
    with pytest.raises(NumericalError, match=message):
        closed_form(*blocks(leverages), excludes_sample=False)


def test_a_root_of_a_leverage_above_one_is_an_error():
    s, curvatures, residuals = blocks([0.3, 0.2])
    with pytest.raises(NumericalError):
        closed_form_from_root(s * 10, curvatures, residuals, excludes_sample=False)
