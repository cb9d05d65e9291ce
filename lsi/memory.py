"""How much memory a computation may take, and whether freed memory stays in the process.

The budget sizes shards and decides what is refused before it begins. glibc hands every freed block above 32 MiB back to
the kernel, and each new one is zeroed page by page: on two cores that costs a convolutional network three quarters of
its speed. A server that many people look at gives it back instead.
"""

import ctypes
import re
import sys
from dataclasses import dataclass
from typing import Any

import psutil

from lsi.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_UNITS = {"b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SHARD_SHARE = 1024  # a shard's array takes the budget's 1024th part
_SHARD_RANGE = (2 * 2**20, 8 * 2**20)  # larger arrays leave the processor's caches
AUTO_SHARE = 0.8


@dataclass
class _Budget:
    limit: int | None = None


_budget = _Budget()


def parse_memory(text: str) -> int | None:
    """Return the bytes that "8GiB", "500MB", "50%" (of what is free) or "auto" (None) stand for.

    Raises:
        UsageError: the text says no amount of memory.
    """
    if text == "auto":
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|[a-z]+)\s*", text.lower())
    unit = match[2] if match else ""
    if match is None or (unit != "%" and unit not in _UNITS) or float(match[1]) <= 0:
        raise UsageError(f'Expected memory like "8GiB", "50%" or "auto", got {text!r}.')
    if unit == "%":
        return int(psutil.virtual_memory().available * min(float(match[1]), 100) / 100)
    return int(float(match[1]) * _UNITS[unit])


def limit_memory(limit: int | None) -> None:
    """Set the budget of this process in bytes; None: four fifths of what is free whenever it is asked for."""
    _budget.limit = limit


def budget_bytes() -> int:
    """Return how many bytes a computation may take: the limit, or four fifths of what is free."""
    return _budget.limit or int(psutil.virtual_memory().available * AUTO_SHARE)


def shard_bytes() -> int:
    """Return how many bytes one array of a shard may take; some ten are held at once."""
    low, high = _SHARD_RANGE
    return high if _budget.limit is None else max(low, min(high, _budget.limit // _SHARD_SHARE))


def keep_freed_memory(threshold: int = 1 << 30) -> bool:
    """Ask glibc to reuse blocks up to `threshold` bytes; return False where there is no glibc to ask."""
    return _set_options({_M_MMAP_THRESHOLD: threshold, _M_TRIM_THRESHOLD: threshold})


def return_freed_memory(threshold: int = 1 << 18, arenas: int = 2) -> bool:
    """Ask glibc to give blocks from `threshold` bytes on back to the system as they are freed, and to keep few heaps.

    By itself it raises that threshold with every large block it sees, and keeps a heap for each of many threads, whose
    gaps nobody else fills. Returns False where there is no glibc to ask.
    """
    return _set_options({_M_ARENA_MAX: arenas, _M_MMAP_THRESHOLD: threshold, _M_TRIM_THRESHOLD: 4 * threshold})


def trim() -> None:
    """Give whole free pages of glibc's heaps back to the system; does nothing where there is no glibc."""
    found = _of_glibc("malloc_trim")
    if found is not None:
        found(0)


def _set_options(options: dict[int, int]) -> bool:
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and all(mallopt(name, value) for name, value in options.items())


def _of_glibc(name: str) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)  # of the C library that this process has
