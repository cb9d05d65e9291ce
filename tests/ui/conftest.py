import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from lsi.compute import jobs, maps, pipeline
from lsi.config import DataSettings, NoiseSettings, ScoreSettings, Settings
from lsi.runs.listing import list_runs
from lsi.runs.run import Run
from lsi.ui import deciding
from tests.cases import image_files, noisy_digits, odd_numbers
from tests.ui.rich import enrich, pictures

ROOT = Path(__file__).parent.parent.parent
HOSTILE = ("<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "![](http://example.invalid/p.png)")


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    """A cache with a digits run that has its map."""
    folder = tmp_path_factory.mktemp("app")
    run = pipeline.run(Settings(DataSettings("digits", subset=400), NoiseSettings(corrupt_label=0.1)), folder)
    maps.projection_of_run(run, folder)
    return folder


@pytest.fixture(scope="session")
def hostile(tmp_path_factory, cache) -> Run:
    """A run whose class names try to be more than text, in the same cache."""
    manifest = image_files(tmp_path_factory.mktemp("hostile"), HOSTILE, 45)
    run = pipeline.run(Settings(data=DataSettings(data=manifest)), cache)
    maps.projection_of_run(run, cache)
    return run


@pytest.fixture(scope="session")
def rich(tmp_path_factory, cache) -> Run:
    """A run of 60 images with metadata, image quality, a plan, and five images without a label."""
    folder = tmp_path_factory.mktemp("rich")
    run = pipeline.run(Settings(DataSettings(data=image_files(folder, ("cat", "dog", "cow"), 60))), cache)
    maps.projection_of_run(run, cache)
    return enrich(run, pictures(folder / "rest", 5))


@pytest.fixture(scope="session")
def unlabelled(tmp_path_factory, cache) -> dict[str, Run]:
    """Runs without classes: numbers, an embedding as partner, and no labels at all."""
    folder = tmp_path_factory.mktemp("unlabelled")
    manifest = odd_numbers(folder)
    settings = {
        "regression": DataSettings(data=manifest, task="regression", targets="<b>weight</b>"),
        "paired": DataSettings(data=manifest, task="paired", targets=str(folder / "partners.npy")),
        "self": DataSettings(data=folder),
    }
    runs = {task: pipeline.run(Settings(data), cache) for task, data in settings.items()}
    for run in runs.values():
        maps.projection_of_run(run, cache)
    return runs


@pytest.fixture(scope="session")
def texts(tmp_path_factory, cache) -> Run:
    """A run of texts that bring their features."""
    problem, path = noisy_digits(0.1, n=200), tmp_path_factory.mktemp("texts") / "sayings.npz"
    sayings = np.array([f"the {'grey' if i % 4 else 'white'} heron, {i}" for i in range(200)])
    np.savez(path, features=problem.features, labels=problem.labels, text=sayings)
    run = pipeline.run(Settings(DataSettings(data=path)), cache)
    maps.projection_of_run(run, cache)
    return run


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory, cache) -> Run:
    """A run whose label scores are calibrated, of features without images."""
    problem, path = noisy_digits(0.1, n=300), tmp_path_factory.mktemp("calibrated") / "calibrated.npz"
    np.savez(path, features=problem.features, labels=problem.labels)
    return pipeline.run(Settings(DataSettings(data=path), score=ScoreSettings(calibrate=True)), cache)


@pytest.fixture
def app(cache, tmp_path, monkeypatch) -> AppTest:
    monkeypatch.setenv("LSI_CACHE", str(cache))
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    deciding.reviews.cache_clear()
    deciding._decisions.cache_clear()
    deciding._remarks.cache_clear()
    shutil.rmtree(cache / jobs.KIND, ignore_errors=True)  # a failed job of another test would be shown
    found = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    found.query_params["run"] = next(r for r in list_runs(cache) if r.name.startswith("digits")).name
    return found
