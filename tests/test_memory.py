import subprocess
import sys

import pytest

from lsi import memory

HELD = """
import psutil
from lsi import memory

def held():
    return psutil.Process().memory_info().rss / 2**20

assert memory.{name}()
before, large, small = held(), [], []
for _ in range(100):
    large.append(b"x" * 2**20)
    small.append(b"x" * 2_000)
del large
memory.trim() if {trims} else None
print(held() - before)
"""


@pytest.mark.skipif(memory._of_glibc("mallopt") is None, reason="another C library than GNU's")
@pytest.mark.parametrize(
    ("name", "trims", "low", "high"),
    [
        ("return_freed_memory", False, -5, 5),
        ("keep_freed_memory", False, 95, 120),
        ("keep_freed_memory", True, -5, 5),
    ],
)
def test_freed_blocks_stay_or_go_as_was_asked_for(name, trims, low, high):
    code = HELD.format(name=name, trims=trims)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert low < float(found.stdout) < high


def test_another_c_library_or_system_is_asked_for_nothing(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert not memory.keep_freed_memory()
    assert not memory.return_freed_memory()
    memory.trim()
