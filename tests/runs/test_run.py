"""A run stands on its own: it needs no data to be looked at, and never shows another image under an old score."""

import json
import os
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import lsi
from lsi import data
from lsi.cli import main
from lsi.compute import maps, pipeline, queries
from lsi.compute.preparation import prepare
from lsi.compute.raw_features import RawFeatures, Where, raw_features
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.data.naming import safe_name
from lsi.errors import DataError, MissingRunError, UsageError
from lsi.export import Selection, export, write_images
from lsi.export.lists import issue_table
from lsi.laplace.scores import compute
from lsi.progress import Progress
from lsi.runs.listing import is_run_name, list_runs, open_run, used_by_runs
from lsi.runs.model import weights_of
from lsi.runs.run import Run
from lsi.runs.store import Store


def shaded(root: Path, per_class: int = 20) -> Path:
    """Two class folders of images, each of one shade of its own."""
    for c, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            Image.new("RGB", (8, 8), (5 * i + 100 * c + 3,) * 3).save(root / name / f"{i:02d}.png")
    return root


def shade(image: Image.Image) -> int:
    return image.getpixel((0, 0))[0]  # type: ignore[index]


@pytest.fixture
def folder(tmp_path) -> Path:
    return shaded(tmp_path / "pets")


@pytest.fixture
def run(folder, tmp_path) -> Run:
    return pipeline.run(Settings(DataSettings(data=folder)), tmp_path / "cache")


def everything(run: Run) -> Selection:
    return Selection(np.arange(len(run.scores)), np.zeros(0, np.int64), {})


def shown(run: Run) -> dict[str, int | str]:
    """What each sample of the run shows now: the shade of its image, or why there is none."""
    again, pictures = Run(run.folder), {}
    assert again.images is not None
    for i, name in enumerate(run.scores["id"]):
        try:
            pictures[name] = shade(again.images.read(i))
        except DataError as error:
            pictures[name] = str(error)
    return pictures


def test_files_added_since_change_no_picture(run, folder, tmp_path):
    before = shown(run)
    for name in ("00.5", "99"):
        Image.new("RGB", (8, 8), (250,) * 3).save(folder / "dark" / f"{name}.png")
    assert shown(run) == before
    assert run.images.changes() == {}
    write_images(run, everything(run), tmp_path / "out", "copy")
    root = tmp_path / "out" / "images"
    assert {p.relative_to(root).as_posix(): shade(Image.open(p)) for p in root.rglob("*.png")} == before


@pytest.mark.parametrize("how", ["renamed", "deleted", "edited"])
def test_an_image_that_is_no_longer_the_same_is_never_shown_nor_exported(run, folder, tmp_path, how):
    before, path = shown(run), folder / "dark" / "07.png"
    if how == "renamed":
        path.rename(folder / "dark" / "70.png")
    elif how == "deleted":
        path.unlink()
    else:
        Image.new("RGB", (8, 8), (250,) * 3).save(path)
    reason = "dark/07.png " + ("has changed since this run" if how == "edited" else "is no longer there")
    assert shown(run) == before | {"dark/07.png": reason}
    assert list(Run(run.folder).images.changes()) == [7]
    with pytest.raises(DataError, match=rf"1 of the 40 images to write .*: {reason}\. Put them back"):
        write_images(Run(run.folder), everything(run), tmp_path / "out", "copy")
    assert not (tmp_path / "out").exists()
    without = Selection(np.setdiff1d(np.arange(40), [7]), np.array([7]), {})
    assert len(list(write_images(Run(run.folder), without, tmp_path / "out", "copy").rglob("*.png"))) == 39


def test_a_file_that_was_only_touched_or_put_back_is_the_same(run, folder):
    before = shown(run)
    content = (folder / "dark" / "03.png").read_bytes()
    os.utime(folder / "dark" / "03.png", (1, 1))
    (folder / "light" / "04.png").unlink()
    images = run.images
    assert list(images.changes()) == [24]
    Image.new("RGB", (8, 8), (103 + 5 * 4,) * 3).save(folder / "light" / "04.png")
    assert images.changes() == {}
    assert shown(run) == before
    assert (folder / "dark" / "03.png").read_bytes() == content


def parquet(path: Path, shades: list[int]) -> None:
    import io

    rows = []
    for s in shades:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (s,) * 3).save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": None})
    labels = [int(s >= 100) for s in shades]
    pq.write_table(pa.table({"image": rows, "label": labels}), path)


def test_rows_of_a_table_are_found_by_their_content(tmp_path):
    shades = [3 + 5 * i + 20 * (i >= 20) for i in range(40)]
    parquet(tmp_path / "d.parquet", shades)
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "d.parquet")), tmp_path / "cache")
    assert list(shown(run).values()) == shades
    parquet(tmp_path / "d.parquet", [250, *shades[:5], *shades[6:]])  # one added in front, one taken out
    now = list(shown(run).values())
    assert now[:5] + now[6:] == shades[:5] + shades[6:]
    assert now[5] == "000005 has changed since this run"
    assert list(Run(run.folder).images.changes()) == [5]
    with pytest.raises(DataError, match="000005 has changed"):
        write_images(Run(run.folder), everything(run), tmp_path / "out", "huggingface")


def test_noise_that_was_added_on_purpose_is_shown(tmp_path):
    settings = Settings(DataSettings("digits", subset=120), NoiseSettings(corrupt_data=1.0, corrupt_data_label=(3,)))
    run = pipeline.run(settings, tmp_path)
    images = prepare(settings).dataset.images
    for i in range(0, 120, 7):
        np.testing.assert_array_equal(np.asarray(run.images.read(i)), np.asarray(images.read(i)))


@pytest.fixture
def nothing_is_prepared(monkeypatch):
    """Looking must not read data, hash, load a backbone or take a lock of a computation."""
    for name in (
        "lsi.data.load",
        "lsi.runs.run.load",
        "lsi.compute.preparation.prepare",
        "lsi.compute.raw_features.load_backbone",
        "lsi.runs.store.file_checksum",
        "lsi.runs.store.FileLock",
    ):
        monkeypatch.setattr(name, lambda *a, **k: pytest.fail("a run was looked at by preparing it again"))


def test_looking_prepares_nothing(run, folder, tmp_path, nothing_is_prepared, capsys):
    folder.rename(tmp_path / "elsewhere")
    cache, found = tmp_path / "cache", Run(run.folder)
    assert np.isfinite(queries.explain_sample(found, 3).support).all()
    assert queries.refit_of_run(found).group_information(np.array([3, 4])) > 0
    assert maps.cached_projection(found, cache) is None
    html = queries.report_of_run(found, None, pd.DataFrame({"action": [], "label": []}))
    assert "40 of 40 images have changed since this run" in html
    assert "is no longer there" in html
    for words in (["show"], ["issues"], ["explain", "latest", "3"], ["report", "--output", str(tmp_path / "r.html")]):
        assert main([*words, "--cache", str(cache)]) == 0, capsys.readouterr().err
    assert main(["export", "--output", str(tmp_path / "lists"), "--cache", str(cache)]) == 0
    assert "40 of 40 images have changed since this run" in capsys.readouterr().err
    assert main(["export", "--output", str(tmp_path / "o"), "--images", "copy", "--cache", str(cache)]) == 1
    assert "dark/00.png is no longer there" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_map_of_a_run_needs_no_data(run, folder, tmp_path):
    shutil.rmtree(folder)
    assert main(["project", "--cache", str(tmp_path / "cache")]) == 0
    assert maps.cached_projection(run, tmp_path / "cache").shape == (40, 2)


def raw_of(settings: Settings, cache: Path) -> RawFeatures:
    prepared = prepare(settings.resolved())
    return raw_features(prepared, settings.features, Where(torch.device("cpu"), Store(cache), Progress()))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pca", [0, 10])
def test_the_probe_predicts_its_own_raw_features_to_the_bit(tmp_path, monkeypatch, dtype, pca):
    settings = Settings(
        DataSettings("digits", subset=300), features=FeatureSettings(pca=pca), score=ScoreSettings(dtype=dtype)
    )
    fits = []
    monkeypatch.setattr("lsi.compute.tasks.compute", lambda *a: fits.append(compute(*a)) or fits[-1])
    run = pipeline.run(settings, tmp_path)
    raw = raw_of(settings, tmp_path)
    expected = fits[0].probe.means.numpy()
    np.testing.assert_array_equal(lsi.open_run(run.folder).predict(raw.values), expected)
    some = lsi.open_run(str(run.folder)).predict(raw.values[5:9])
    np.testing.assert_allclose(some, expected[5:9], rtol=1e-6 if dtype == "float32" else 1e-12)
    whole = np.round(raw.values[5:9] * 16).astype(np.uint8)
    np.testing.assert_array_equal(run.predict(whole), run.predict(whole.astype(np.float32)))
    with pytest.raises(DataError, match=r"raw features of shape \(n, 64\), got \(2, 63\)"):
        run.predict(np.zeros((2, 63)))


def test_a_head_predicts_targets_in_their_own_units(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    np.savez(tmp_path / "n.npz", features=x, weight=1_000 + x @ [30.0, 10, 0, 5] + rng.normal(size=80))
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "n.npz", task="regression", targets="weight")), tmp_path)
    with np.load(tmp_path / "n.npz") as arrays:
        residual = arrays["weight"] - run.predict(x.astype(np.float64))[:, 0]
    assert np.abs(residual).max() < 5


def test_predicting_from_probabilities_takes_rows_like_those_of_the_file(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    values = rng.dirichlet(np.ones(3), 60) + 2 * np.eye(3)[labels]
    values = (values / values.sum(axis=1, keepdims=True)).astype(np.float32)
    values[0] = [1, 0, 0]
    np.savez(tmp_path / "n.npz", features=rng.normal(size=(60, 4)), labels=np.array(["a", "b", "c"])[labels])
    np.save(tmp_path / "p.npy", values)
    features = FeatureSettings(probabilities=str(tmp_path / "p.npy"))
    settings = Settings(DataSettings(data=tmp_path / "n.npz"), features=features)
    run = pipeline.run(settings, tmp_path / "cache")
    expected = run.predict(values)
    means = expected[run.scores.index, run.scores["given_label"]]
    assert np.abs(means - run.scores["loo_p_given"]).max() < 0.2
    assert np.abs(means - run.scores["loo_p_given"]).mean() < 0.02
    shuffled = pd.DataFrame({"name": "x", **{name: values[:, i] for name, i in (("c", 2), ("a", 0), ("b", 1))}})
    np.testing.assert_array_equal(run.predict(shuffled), expected)
    for other, message in ((np.log(values + 0.1), "Expected probabilities from 0 to 1 that sum to 1, .* in row 0: of"),
                           (values[:, :2], r"raw features of shape \(n, 3\), got \(60, 2\)")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            run.predict(other)


def test_raw_features_are_taken_however_they_are_held(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    np.savez(tmp_path / "n.npz", features=x)
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "n.npz", task="self")), tmp_path / "cache")
    expected = run.predict(x)
    tensor = torch.from_numpy(x).requires_grad_()
    for held in (tensor, pd.DataFrame(x).convert_dtypes(), x[::-1].copy()[::-1]):
        np.testing.assert_array_equal(run.predict(held), expected)
    assert run.predict(tensor.bfloat16()).shape == (40, 3)
    assert run.predict(x[:0]).shape == (0, 3)
    for other in (np.c_[x, x], x[:, :5]):
        with pytest.raises(DataError, match=r"raw features of shape \(n, 6\)"):
            run.predict(other)
    for read in (lambda: run.probabilities, lambda: run.label_probabilities):
        with pytest.raises(UsageError, match=r"needs class labels; .* has task self"):
            read()


def test_a_manifest_alone_makes_no_run(run, tmp_path):
    export(run, everything(run), tmp_path / "out", formats=())
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text('{"name": "app"}')
    for folder in (tmp_path / "out", tmp_path / "app"):
        with pytest.raises(MissingRunError, match=r"holds no run: expected a folder with manifest\.json and scores"):
            open_run(folder)
    assert open_run(run.folder).name == run.name


def test_one_long_class_name_makes_not_every_caption_as_long(tmp_path):
    run = Run(tmp_path)
    names = ["short", "x" * 50_000]
    labels = np.zeros(1_000, dtype=np.int64)
    columns = dict.fromkeys(("index", "given_label", "suggested_label", "is_label_issue", "label_score"), labels)
    scores = pd.DataFrame({"id": "a"} | columns)
    vars(run).update(scores=scores, manifest={"dataset": {"class_names": names}})
    tracemalloc.start()
    assert set(run.captioned()["given"]) == {"short"}
    assert set(issue_table(run)["given_name"]) == {"short"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_whole_numbers_beside_a_gap_keep_their_digits_in_a_run_and_in_its_export(tmp_path):
    rng, n = np.random.default_rng(0), 40
    vectors = pa.array(rng.normal(size=(n, 4)).tolist(), pa.list_(pa.float32()))
    large, few = [None, *(2**53 + i for i in range(1, n))], [None, *range(1, n)]
    columns = {"features": vectors, "label": ["cat", "dog"] * (n // 2), "patient": large, "few": few}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "d.parquet")), tmp_path / "cache")
    assert run.scores["patient"].tolist() == [pd.NA, *large[1:]]
    export(run, Selection(np.arange(n), np.array([], int), {}), tmp_path / "out")
    audit = pd.read_csv(tmp_path / "out" / "audit.csv", dtype=str, keep_default_na=False)
    assert audit["patient"].tolist() == ["", *map(str, large[1:])]
    assert audit["few"].tolist() == ["", *map(str, few[1:])]


def test_a_copied_run_brings_its_design_along(tmp_path):
    cache, copy = tmp_path / "cache", tmp_path / "copy"
    words = ["compute", "--dataset", "digits", "--subset", "120", "--quiet"]
    assert main([*words, "--cache", str(cache), "--output", str(copy)]) == 0
    raw = raw_of(Settings(DataSettings("digits", subset=120)), cache).values
    expected = list_runs(cache)[0].predict(raw)
    shutil.rmtree(cache)
    np.testing.assert_array_equal(lsi.open_run(copy).predict(raw), expected)
    with pytest.raises(MissingRunError, match="holds no run"):
        open_run(tmp_path)


def test_clearing_the_cache_keeps_what_a_run_refers_to(run, tmp_path, capsys):
    cache = tmp_path / "cache"
    other = pipeline.run(Settings(run.settings.data, features=FeatureSettings(pca=5)), cache)
    shutil.rmtree(other.folder)
    maps.projection_of_run(run, cache)
    assert used_by_runs(cache) == {("designs", run.design_key), ("projections", run.projection_key)}
    assert main(["cache", "clear", "--cache", str(cache)]) == 0
    assert [p.name for p in (cache / "designs").iterdir()] == [run.design_key]
    assert not (cache / "features").exists()
    assert maps.cached_projection(run, cache) is not None
    assert main(["explain", "latest", "3", "--cache", str(cache)]) == 0, capsys.readouterr().err


def test_a_run_that_cannot_be_read_keeps_its_design_and_nothing_of_the_others(run, tmp_path, capsys):
    cache = tmp_path / "cache"
    (run.folder / "scores.parquet").write_bytes(b"no table")
    assert used_by_runs(cache) == {("designs", run.design_key)}
    assert main(["cache", "clear", "--cache", str(cache)]) == 0, capsys.readouterr().err
    assert [p.name for p in (cache / "designs").iterdir()] == [run.design_key]
    assert not (cache / "features").exists()


def test_a_run_without_its_design_is_computed_again(run, folder, tmp_path):
    settings = Settings(DataSettings(data=folder))
    again = pipeline.run(settings, tmp_path / "cache")
    assert again.manifest["created"] == run.manifest["created"]
    shutil.rmtree(run.design_folder)
    again = pipeline.run(settings, tmp_path / "cache")
    assert again.folder == run.folder
    assert len(again.design.values) == len(again.scores) == len(run.scores)


def test_data_of_any_name_give_a_run_that_can_be_opened():
    for name in ("_data", "a..b", "..a", "-x", "a b/c", "ü", "", "..", "x" * 99 + ".", "a."):
        assert is_run_name(f"{safe_name(name)}-0123456789abcdef")
    assert not any(map(is_run_name, ("", ".", "..", ".hidden", "a/b", "../a", "a\\b", "-a")))


def test_a_run_is_found_again_from_any_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = pipeline.run(Settings(DataSettings(data=Path("pets"))), tmp_path / "cache")
    monkeypatch.chdir("/")
    assert first.settings.data.data == folder.resolve()
    assert pipeline.run(Settings(DataSettings(data=folder)), tmp_path / "cache").folder == first.folder
    assert shade(Run(first.folder).images.read(2)) == 13


def test_a_damaged_neighbour_breaks_no_other_run(run, tmp_path, caplog):
    for name, content in {"a": "{", "b": "{}", "c": "[]"}.items():
        broken = tmp_path / "cache" / "runs" / name
        broken.mkdir()
        (broken / "manifest.json").write_text(content)
        (broken / "entry.json").write_text("{}")
    (tmp_path / "cache" / "runs" / "unfinished").mkdir()
    shutil.copy(run.folder / "manifest.json", tmp_path / "cache" / "runs" / "unfinished")
    assert [r.name for r in list_runs(tmp_path / "cache")] == [run.name]
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    ("lacks", "words"), [("created", "it lacks created"), ("settings", "it lacks settings"), ("summary", "summary")]
)
def test_a_manifest_of_another_version_breaks_no_list_of_runs(run, tmp_path, caplog, capsys, lacks, words):
    manifest = json.loads((run.folder / "manifest.json").read_text())
    other = tmp_path / "cache" / "runs" / "other"
    other.mkdir()
    (other / "entry.json").write_text("{}")
    (other / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != lacks}))
    assert main(["runs", "list", "--cache", str(tmp_path / "cache")]) == 0
    assert run.name in capsys.readouterr().out
    assert words in caplog.text
    assert "version 0" in caplog.text


def test_settings_of_another_version_are_said(run):
    text = (run.folder / "manifest.json").read_text()
    (run.folder / "manifest.json").write_text(text.replace('"backbone": "', '"skeleton": "'))
    with pytest.raises(DataError, match=r"version 0\S* of the program wrote it, whose settings this one cannot read"):
        _ = Run(run.folder).settings


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("scores.parquet", lambda r: r.scores),
        ("samples.parquet", lambda r: r.images),
        ("samples.parquet", lambda r: r.subject),
        ("neighbours.npz", lambda r: r.neighbours),
        ("probe.npz", weights_of),
        ("loo_probabilities.npy", lambda r: r.probabilities),
        ("label_probabilities.npy", lambda r: r.label_probabilities),
    ],
)
@pytest.mark.parametrize("content", [b"", b"xx", None, "half"])
def test_a_file_of_a_run_that_is_damaged_is_named(run, name, read, content):
    path = run.folder / name
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    if name == "samples.parquet" and content is None:
        return  # a run of before kept none
    with pytest.raises(DataError, match=f"{name} is (damaged|missing)"):
        read(Run(run.folder))


def test_the_dataset_knows_its_files():
    digits = data.load(DataSettings("digits"), Path())
    assert digits.files == ()
    assert len(set(digits.checksums)) > 1_790
    assert replace(digits, labels=digits.labels[::-1].copy()).fingerprint == digits.fingerprint
    assert digits.take(np.arange(10)).fingerprint != digits.fingerprint


def test_two_targets_stand_apart_from_the_commas_of_their_thousands(tmp_path):
    run = Run(tmp_path)
    columns = {"target a": [1234.25, 1234.75], "target b": [5.0, 5.0]}
    columns |= {"loo_prediction a": [1234.25, 1234.75], "loo_prediction b": [4.0, 4.0]}
    vars(run).update(scores=pd.DataFrame(columns), manifest={"task": "regression"})
    assert run.captioned()["given"].tolist() == ["1,234; 5", "1,235; 5"]
    given, predicted, texts = run.caption_codes()
    assert [texts[i] for i in (*given, *predicted)] == ["1,234; 5", "1,235; 5", "1,234; 4", "1,235; 4"]
