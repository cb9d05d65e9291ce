import pytest
import torch
from torch import nn

from lsi.features.backbones import _headless
from lsi.features.fast import fast

CPU = torch.device("cpu")


def test_a_torchvision_network_is_fused_without_changing_its_features():
    from torchvision.models import resnet18

    torch.manual_seed(0)
    net = _headless(resnet18(weights=None)).eval()
    batch = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        quick = fast(net, CPU)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in quick.modules())
        torch.testing.assert_close(quick(batch), net(batch), rtol=1e-3, atol=1e-4)
        assert quick(batch).shape == (2, 512)


class Shared(nn.Module):
    """A convolution applied twice, and one whose output is read twice: neither may be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.once = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second, self.third = (nn.BatchNorm2d(3) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.twice(self.first(self.twice(x))))
        y = self.once(x)
        return self.third(y) + y


def test_layers_that_something_else_needs_stay_as_they_are():
    torch.manual_seed(0)
    net = Shared()
    for norm in (net.first, net.second, net.third):
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.running_mean)
    batch = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        quick = fast(net, CPU)
        torch.testing.assert_close(quick(batch), net.eval()(batch))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in quick.modules()) == 3


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_traced_is_used_as_it_is():
    with torch.inference_mode():
        assert fast(Branching(), CPU)(torch.tensor([-1.0])).item() == pytest.approx(1.0)
