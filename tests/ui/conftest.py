from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsi import pipeline
from lsi.config import DataSettings, NoiseSettings, Settings
from lsi.runs import Run

HOSTILE = ("<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![](http://example.invalid/p.png)")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """A cache with a digits run that has its map."""
    folder = tmp_path_factory.mktemp("app")
    run = pipeline.run(Settings(data=DataSettings(subset=400), noise=NoiseSettings(corrupt_label=0.1)), folder)
    pipeline.projection_of_run(run, folder)
    return folder


@pytest.fixture(scope="session")
def hostile(tmp_path_factory, cache) -> Run:
    """A run whose class names try to be more than text, in the same cache."""
    root = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    rows = ["path,label"]
    for i in range(45):
        pixels = np.clip(rng.normal(60 * (i % 3) + 50, 40, (10, 10, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        rows.append(f'{i}.png,"{HOSTILE[i % 3]}"')
    (root / "hostile.csv").write_text("\n".join(rows))
    run = pipeline.run(Settings(data=DataSettings(data=root / "hostile.csv")), cache)
    pipeline.projection_of_run(run, cache)
    return run
