"""Libraries that numba compiles: what was compiled once is found again by the next process."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numba

@numba.njit
def once(x):
    return x + 1

@numba.njit("f8(f8)", fastmath=True)
def at_once(x):
    return 2 * x
"""
USE = """
from lsi.compiled import import_compiled
module = import_compiled("compiled_by_numba")
assert (module.once(1), module.at_once(1.5)) == (2, 3.0)
print(*(sum(f.stats.cache_hits.values()) for f in (module.once, module.at_once)))
"""


def use(folder: Path) -> str:
    return subprocess.run([sys.executable, "-c", USE], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_what_was_compiled_is_found_by_the_next_process(tmp_path):
    (tmp_path / "compiled_by_numba.py").write_text(MODULE)
    assert [use(tmp_path).split() for _ in range(2)] == [["0", "0"], ["1", "1"]]


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "compiled_by_numba.py").write_text(MODULE)
    (tmp_path / "home").write_text("no folder")
    (tmp_path / "__pycache__").write_text("no folder")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    assert use(tmp_path).split() == ["0", "0"]


def test_numba_is_as_it_was_afterwards():
    numba = pytest.importorskip("numba")
    from lsi.compiled import import_compiled

    before = numba.njit
    import_compiled("pynndescent")
    assert numba.njit is before
