import os
from pathlib import Path

# one thread a worker: two workers with two threads each wait for one another most of the time
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

from jaxtyping import install_import_hook  # noqa: E402

install_import_hook("lsi", "beartype.beartype")

import pytest  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data" / "cifar10"


ONE_WORKER = ("ui", "e2e")  # folders whose tests share what is dear to make: runs, servers, a browser


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name long bytes by their argument: archives hold the time of their making, and workers must name tests alike."""
    return argname if isinstance(val, bytes) and len(val) > 32 else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in ONE_WORKER:
            item.add_marker(pytest.mark.xdist_group(item.path.parent.name))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
        if item.get_closest_marker("shared") and not SHARED.exists():
            item.add_marker(pytest.mark.skip(reason="the CIFAR-10 files are not beside this checkout"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """See that groups are kept together: pytest 9.2 made pytest-xdist 3.8 forget them without a word."""
    if "PYTEST_XDIST_WORKER" in os.environ and session.config.getoption("loadgroup", False):
        lost = [i.nodeid for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
        assert not lost, f"tests of a group are no group for pytest-xdist: {lost[:3]}"
