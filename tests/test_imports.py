"""What is imported when: the front door is light."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "sklearn", "umap", "streamlit", "plotly", "pandas")


@pytest.mark.parametrize(
    "code",
    ["import lsi", "import lsi.cli", "from lsi.cli import main; main(['--help'])",
     "from lsi.cli import main; main(['compute', '--help'])"],
)  # fmt: skip
def test_help_and_the_package_itself_load_nothing_heavy(code):
    check = f"import sys; {code}; print([m for m in {HEAVY!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output.strip().splitlines()[-1] == "[]"


def test_looking_at_runs_in_the_app_needs_no_torch():
    """The server's memory and the first seconds are those of what a page shows, not of what can be computed."""
    names = "[m.name for m in pkgutil.iter_modules(lsi.ui.__path__, 'lsi.ui.') if m.name != 'lsi.ui.main']"
    code = f"import importlib, pkgutil, lsi.ui; [importlib.import_module(name) for name in {names}]"
    heavy = ("torch", "torchvision", "sklearn", "umap", "numba")
    check = f"import sys; {code}; print([m for m in {heavy!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output.strip().splitlines()[-1] == "[]"


def test_the_server_and_its_first_page_need_no_scipy():
    """It takes half a second to load, of the three until the app answers."""
    code = "import lsi.ui.server, lsi.ui.bar, lsi.ui.overview, lsi.ui.form, lsi.ui.jobs_panel, lsi.ui.runs_view"
    check = f"import sys; {code}; print('scipy' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output.strip().splitlines()[-1] == "False"


def test_computing_loads_only_what_every_run_needs():
    """A newcomer waits for it: the first run is computed by a process of its own."""
    spare = ("scipy.optimize", "sklearn", "umap", "numba", "torchvision", "streamlit", "plotly", "ray")
    check = f"import sys, lsi.cli.actions; print([m for m in {spare!r} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert output.strip().splitlines()[-1] == "[]"


def test_every_public_name_is_there():
    import lsi

    assert all(getattr(lsi, name) is not None for name in lsi.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        lsi.nothing  # noqa: B018
