"""What every benchmark shares: the environment it ran in, and where its result goes."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """Return processor, threads and versions."""
    import torch

    model = next((line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), "")
    packages = ("torch", "numpy", "scikit-learn", "laplace-torch", "cleanlab")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {p: _version(p) for p in packages},
    }


def save(name: str, result: dict[str, Any], quiet: bool = False) -> Path:
    """Write a result with its environment, and print it unless `quiet`."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"environment": environment(), **result}, indent=2)
    path.write_text(text + "\n")
    if not quiet:
        print(text)
    return path


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
