"""Image quality on its way from the images to a run's table, its manifest, and what is printed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lsi.audit.quality import COLUMNS, FLAGS
from lsi.cli import main
from lsi.compute import pipeline
from lsi.compute.measured import measures_of
from lsi.compute.preparation import prepare
from lsi.compute.raw_features import Where, raw_features
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.errors import DataError
from lsi.export.wording import quality_words
from lsi.features import MEASURES, measure, measure_images
from lsi.progress import Progress
from lsi.runs.run import Run
from lsi.runs.store import Store
from tests.features.images import photos

N = 40


def folder_of(root: Path) -> Path:
    """Write a folder of two classes with a dark, a blank, a large and a wide image, an exact copy and a broken file."""
    images = photos(N)
    for i in range(N):
        image = images.read(i)
        path = root / ("cat", "dog")[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = {2: image.point(lambda v: 0.1 * v), 4: Image.new("RGB", (32, 32), "grey"), 6: image.resize((64, 64)),
                 8: image.resize((90, 20))}.get(i, image)  # fmt: skip
        image.save(path)
    (root / "dog" / "copy.png").write_bytes((root / "cat" / "10.png").read_bytes())
    (root / "dog" / "broken.png").write_bytes(b"no image")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache) -> Run:
    return pipeline.run(Settings(DataSettings(data=folder_of(tmp_path_factory.mktemp("pets")))), cache)


def test_the_table_holds_the_columns_and_the_flags(run):
    table = run.scores.set_index("id")
    assert set(COLUMNS) <= set(table.columns)
    assert len(table) == N + 1
    flagged = {flag: set(table.index[table[flag]]) for flag in FLAGS}
    assert flagged["is_dark"] == {"cat/02.png"}
    assert flagged["is_low_information"] == {"cat/04.png"}
    assert flagged["is_odd_size"] == {"cat/06.png", "cat/08.png"}
    assert flagged["is_odd_aspect"] == {"cat/08.png"}
    assert flagged["is_exact_duplicate"] == {"cat/10.png", "dog/copy.png"}
    assert tuple(table.loc["cat/08.png", ["width", "height", "aspect"]]) == (90, 20, 4.5)
    assert run.manifest["quality"]["counts"] == {flag: len(ids) for flag, ids in flagged.items()}
    assert run.manifest["quality"]["n_unmeasured"] == 0
    assert run.manifest["quality"]["thresholds"]["is_dark"]["highlights_below"] == 0.32


def test_measures_stand_beside_the_right_images(run):
    for position, row in run.scores.iterrows():
        expected = dict(zip(MEASURES, measure(run.images.read(position)), strict=True))
        assert {name: row[name] for name in MEASURES} == pytest.approx(expected)


def test_flags_are_printed_and_reported(run, cache, capsys, tmp_path):
    words = "1 dark, 1 low in information, 2 of odd size, 1 of odd aspect, 2 exact duplicates"
    assert main(["show", run.name, "--cache", str(cache)]) == 0
    assert f"image quality: {words}\n" in capsys.readouterr().out
    assert main(["report", run.name, "--output", str(tmp_path / "r.html"), "--cache", str(cache)]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "<h2>Image quality</h2>" in page
    assert all(f"<li>{word}</li>" in page for word in words.split(", "))


def test_words_are_singular_and_plural_and_name_every_flag():
    none = {"counts": dict.fromkeys(FLAGS, 0), "n_unmeasured": 0}
    assert quality_words(None) == quality_words(none) == []
    some = {"counts": {**none["counts"], "is_exact_duplicate": 1, "is_dark": 1_200}, "n_unmeasured": 2}
    assert quality_words(some) == ["1,200 dark", "1 exact duplicate", "2 unreadable"]
    assert len(quality_words({"counts": dict.fromkeys(FLAGS, 1), "n_unmeasured": 0})) == len(FLAGS)


def test_no_images_no_columns(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", features=rng.normal(size=(30, 4)), labels=np.arange(30) % 2)
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "f.npz")), tmp_path / "c")
    assert not set(COLUMNS) & set(run.scores.columns)
    assert run.manifest["quality"] is None
    assert main(["show", run.name, "--cache", str(tmp_path / "c")]) == 0
    assert "image quality" not in capsys.readouterr().out
    assert main(["report", run.name, "--output", str(tmp_path / "r.html"), "--cache", str(tmp_path / "c")]) == 0
    assert "Image quality" not in (tmp_path / "r.html").read_text()


def prepared_with_features(root: Path, cache: Path | None = None):
    """Return images with ready-made features, the second image broken."""
    prepared = prepare(Settings(DataSettings(data=folder_of(root))), cache)
    features = np.random.default_rng(0).normal(size=(len(prepared.dataset), 5))
    return replace(prepared, dataset=replace(prepared.dataset, features=features))


def test_images_beside_ready_made_features_are_measured_once(tmp_path, monkeypatch):
    prepared, settings, store = prepared_with_features(tmp_path / "pets"), Settings(), Store(tmp_path / "c")
    raw = raw_features(prepared, settings.features, Where(torch.device("cpu"), store, Progress()))
    assert raw.quality is None
    stages = []
    measures = measures_of(prepared, raw, store, Progress([lambda s: stages.append((s.stage, s.done, s.total))]))
    n = len(prepared.dataset)
    assert measures.shape == (n, len(MEASURES))
    broken = prepared.dataset.ids.tolist().index("dog/broken.png")
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(measures).any(axis=1)), [broken])
    assert stages[-1] == ("image quality", n, n)
    seen = []
    monkeypatch.setattr("lsi.compute.measured.measure_images", lambda *a: seen.append(a) or measure_images(*a))
    np.testing.assert_array_equal(measures_of(prepared, raw, store, Progress()), measures)
    assert not seen
    monkeypatch.setattr("lsi.compute.measured.readers", lambda: ("what is installed later",))
    measures_of(prepared, raw, store, Progress())
    assert len(seen) == 1, "what could not be read may be readable now"


def test_an_image_that_changes_while_it_is_measured_is_named(tmp_path, monkeypatch):
    prepared, store = prepared_with_features(tmp_path / "pets", tmp_path / "c"), Store(tmp_path / "c")
    raw = raw_features(prepared, FeatureSettings(), Where(torch.device("cpu"), store, Progress()))

    def late(*args):
        measure_images(*args)
        (tmp_path / "pets" / "cat" / "00.png").write_bytes(b"another")

    monkeypatch.setattr("lsi.compute.measured.measure_images", late)
    with pytest.raises(DataError, match=r"1 image changed while .*00\.png"):
        measures_of(prepared, raw, store, Progress())


def test_a_run_on_ready_made_features_says_which_images_it_could_not_measure(tmp_path, monkeypatch):
    prepared = prepared_with_features(tmp_path / "pets")
    monkeypatch.setattr("lsi.compute.pipeline.prepare", lambda *_: prepared)
    run = pipeline.run(Settings(), tmp_path / "c")
    table = run.scores.set_index("id")
    assert run.manifest["features"]["backbone"] == "given"
    assert len(table) == N + 2
    assert np.isnan(table.loc["dog/broken.png", "brightness"])
    assert not table.loc["dog/broken.png", list(FLAGS)].any()
    assert table.loc["cat/08.png", "is_odd_aspect"]
    assert run.manifest["quality"]["n_unmeasured"] == 1


def test_added_noise_is_measured_and_a_second_view_is_not(tmp_path):
    noise = NoiseSettings(corrupt_data=3.0, corrupt_data_label=(3,))
    data = DataSettings("digits", subset=200)
    plain, noisy = (pipeline.run(Settings(data, noise=n), tmp_path / "c").scores for n in (NoiseSettings(), noise))
    pd.testing.assert_series_equal(plain["id"], noisy["id"])
    changed = plain["sharpness"] != noisy["sharpness"]
    np.testing.assert_array_equal(changed, plain["given_label"] == 3)
    before = len(list((tmp_path / "c" / "features").glob("*/quality.npy")))
    run = pipeline.run(Settings(DataSettings("digits", subset=200, task="self")), tmp_path / "c")
    assert set(COLUMNS) <= set(run.scores.columns)
    entries = sorted((tmp_path / "c" / "features").iterdir())
    assert len(entries) == before + 1  # the view; the images themselves were measured for the run before
    assert len([e for e in entries if (e / "quality.npy").exists()]) == before
