"""The whole way from data to a run, with faults on the way."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lsi.compute import designs, maps, pipeline, queries
from lsi.compute.preparation import prepare
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import DataError, MissingRunError
from lsi.runs.layout import CONTENTS, DECIDED, FILES, TARGETS, UNLABELLED
from lsi.runs.listing import find_run, list_runs
from lsi.runs.store import SEAL
from tests.cases import blobs

FILES_OF_A_CLASSIFICATION = [
    name for name in FILES if name not in (TARGETS, UNLABELLED, CONTENTS, DECIDED) and "_classes" not in name
]
NOISY = Settings(DataSettings("digits", subset=400), NoiseSettings(corrupt_label=0.1))


def pictures(root: Path, per_class: int = 30) -> Path:
    """A folder of two classes that differ in brightness."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = np.clip(rng.normal(80 + 90 * c, 30, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02d}.png")
    return root


def test_a_run_is_a_folder_with_the_documented_files(tmp_path):
    run = pipeline.run(NOISY, tmp_path)
    assert run.folder.parent == tmp_path / "runs"
    assert run.name.startswith("digits-")
    assert all((run.folder / name).is_file() for name in [*FILES_OF_A_CLASSIFICATION, SEAL])
    table = run.scores
    columns = {"index", "id", "given_label", "predicted_label", "suggested_label", "loo_p_given", "loo_p_predicted",
               "loo_margin", "lsi", "mean_term", "trace_term", "logdet_term", "leverage", "lsi_rank",
               "is_label_issue", "label_score", "near_duplicate_group", "is_corrupted", "true_label",
               "loo_residual"}  # fmt: skip
    assert columns <= set(table.columns)
    suspected, judged = table["is_label_issue"], run.label_probabilities.dense()
    assert suspected.any()
    assert (table["suggested_label"] == judged.argmax(axis=1)).all()
    assert (table["suggested_label"] != table["given_label"])[suspected].all(), "a suspect is never suggested its label"
    assert len(table) == 400 == len(run.probabilities)
    assert table["lsi"].min() >= 0
    np.testing.assert_allclose(run.probabilities.dense().sum(axis=1), 1, rtol=1e-6)
    assert table["is_corrupted"].sum() == 40
    assert run.settings == NOISY
    manifest = run.manifest
    assert manifest["probe"]["converged"]
    assert manifest["summary"]["lsi_sum"] == pytest.approx(table["lsi"].sum())
    assert sum(c["n_samples"] for c in manifest["classes"]) == 400
    assert manifest["detection"]["self_confidence"]["auroc"] > 0.95
    assert manifest["detection"]["lsi"]["auroc"] > 0.9
    grid, likelihood = manifest["prior_choice"]["grid"], manifest["prior_choice"]["loo_log_likelihood"]
    assert manifest["probe"]["prior_precision"] == grid[int(np.argmax(likelihood))]


def test_a_finished_run_is_not_computed_again(tmp_path, monkeypatch):
    first = pipeline.run(NOISY, tmp_path)
    monkeypatch.setattr("lsi.compute.pipeline.classify", lambda *a: pytest.fail("computed again"))
    assert pipeline.run(NOISY, tmp_path).folder == first.folder


CHANGED = {  # another value of every field that is neither a number nor a switch
    "image_column": "a", "label_column": "b", "split_column": "c", "id_column": "d", "merge_classes": "case",
    "dataset": "mnist", "data": Path("x.csv"), "labels": "x.npy", "split": "test", "task": "self", "targets": "y",
    "on_error": "fail", "subset": 77, "corrupt_data_label": (1,), "backbone": "pixels", "image_size": 64,
    "precision": "float32", "prior_precision": 3.0, "structure": "kron", "loo": "refit", "certify": 3,
    "dtype": "float64", "preset": "paper", "device": "cuda", "mean": (0.5,), "std": (0.5,), "embeddings": "x.npy",
    "probabilities": "x.npy", "engine": "ray", "ray_address": "auto", "memory": "8GiB",
    "decisions": "database",
}  # fmt: skip
NO_EFFECT = {"batch_size", "engine", "ray_address", "decisions"}  # decisions: what they come to counts


def changed(record: Any, name: str) -> Any:
    """Return the record with another value in a field, whether or not the values then fit together."""
    value = getattr(record, name)
    other = CHANGED[name] if name in CHANGED else not value if isinstance(value, bool) else value + 1
    assert other != value
    copy = dataclasses.replace(record)
    object.__setattr__(copy, name, other)
    return copy


@pytest.mark.parametrize("group", ["data", "noise", "features", "score", "where", ""])
def test_every_setting_is_in_the_key(group):
    prepared, before = prepare(NOISY), pipeline.run_key(NOISY, prepare(NOISY))
    record = getattr(NOISY, group) if group else NOISY
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(getattr(record, field.name)):
            continue
        if field.name in ("targets", "weights"):  # they need a task, and a backbone, of their own
            continue
        other = changed(record, field.name)
        settings = dataclasses.replace(NOISY, **{group: other}) if group else other
        is_same = pipeline.run_key(settings, prepared) == before
        assert is_same == (field.name in NO_EFFECT), field.name


def test_memory_counts_only_where_it_may_choose_the_structure():
    prepared, of = prepare(NOISY), dataclasses.replace
    for structure in ("auto", "full", "kron", "diag"):  # diag takes the steps of one of the others
        asked = of(NOISY, score=of(NOISY.score, structure=structure))
        with_memory = of(asked, where=of(asked.where, memory="1GiB"))
        is_same = pipeline.run_key(asked, prepared) == pipeline.run_key(with_memory, prepared)
        assert is_same == (structure in ("full", "kron"))


def test_columns_of_samples_without_a_label_are_in_the_key():
    prepared, beside = prepare(NOISY), prepare(NOISY).dataset.take(np.arange(3))
    columns = (pd.DataFrame({"site": ["a", "b", "c"]}), pd.DataFrame({"site": ["a", "b", "d"]}))
    keys = set()
    for metadata in columns:
        apart = dataclasses.replace(beside, metadata=metadata)
        dataset = dataclasses.replace(prepared.dataset, unlabelled=apart)
        keys.add(pipeline.run_key(NOISY, dataclasses.replace(prepared, dataset=dataset)))
    assert len(keys) == 2


def test_weights_are_in_the_key():
    prepared = prepare(NOISY)
    asked = [Settings(features=FeatureSettings("resnet18", weights=file)) for file in (None, Path("a"), Path("b"))]
    assert len({pipeline.run_key(settings, prepared) for settings in asked}) == 3


@pytest.mark.parametrize("backbone", ["auto", "efficientnet_lite0", "resnet18", "timm/vit_tiny_patch16_224"])
def test_the_versions_of_the_packages_that_bring_weights_are_in_the_key(monkeypatch, backbone):
    prepared, keys = prepare(NOISY), set()
    for number in ("1", "2"):
        monkeypatch.setattr("lsi.features.backbones.version", lambda package, number=number: f"{package} {number}")
        for name in (backbone, "pixels"):
            keys.add(pipeline.run_key(Settings(features=FeatureSettings(name)), prepared))
    assert len(keys) == 3


def test_targets_are_in_the_key():
    prepared = prepare(NOISY)
    asked = [Settings(DataSettings(task="regression", targets=name)) for name in ("a", "b")]
    assert pipeline.run_key(asked[0], prepared) != pipeline.run_key(asked[1], prepared)


def test_what_the_data_say_is_in_the_key():
    prepared = prepare(NOISY)
    dataset = prepared.dataset
    keys = {pipeline.run_key(NOISY, prepared)}
    for changes in (
        {"labels": dataset.labels[::-1].copy()},
        {"class_names": tuple("abcdefghij")},
        {"text": np.array([f"text {i}" for i in range(len(dataset))])},
        {"text": np.array([f"texts {i}" for i in range(len(dataset))])},
        {"true_label": dataset.labels},
        {"ids": np.array([f"id {i}" for i in range(len(dataset))])},
        {"index": np.arange(len(dataset))},
        {"targets": np.zeros((len(dataset), 1))},
    ):
        keys.add(
            pipeline.run_key(NOISY, dataclasses.replace(prepared, dataset=dataclasses.replace(dataset, **changes)))
        )
    assert len(keys) == 9


def manifest_of_two_splits(root: Path, n: int = 30) -> Path:
    """One table whose two splits have as many rows, the same labels in the same order, and other features."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"text": [f"t{i}" for i in range(2 * n)], "label": np.arange(2 * n) % 3 + 1,
                         "split": np.where(np.arange(2 * n) % 2, "test", "Train")})  # fmt: skip
    rows["label"] = np.repeat(np.arange(n) % 3 + 1, 2)
    rows["features"] = list(rng.normal(size=(2 * n, 4)))
    rows.to_parquet(root / "both.parquet")
    return root / "both.parquet"


def test_two_splits_of_one_file_never_share_an_entry(tmp_path):
    path = manifest_of_two_splits(tmp_path)
    runs = [pipeline.run(Settings(DataSettings(data=path, split=s)), tmp_path / "c") for s in ("train", "test")]
    assert runs[0].folder != runs[1].folder
    assert len({run.manifest["features"]["key"] for run in runs}) == 2
    assert len({run.design_key for run in runs}) == 2
    np.testing.assert_array_equal(runs[0].scores["index"], np.arange(0, 60, 2))
    np.testing.assert_array_equal(runs[1].scores["index"], np.arange(1, 60, 2))
    table = pd.read_parquet(path)
    for run in runs:
        assert table["text"].iloc[run.scores["index"]].tolist() == run.scores["text"].tolist()
        assert run.class_names == ["1", "2", "3"]


def test_a_factor_that_was_summed_otherwise_is_not_taken_from_the_cache(tmp_path, monkeypatch):
    path = manifest_of_two_splits(tmp_path)
    asked = Settings(DataSettings(data=path, split="train"))
    monkeypatch.setattr(designs, "GRAM_VERSION", 1)
    before = pipeline.run(asked, tmp_path / "c").design_key
    monkeypatch.undo()
    assert pipeline.run(dataclasses.replace(asked, seed=1), tmp_path / "c").design_key != before


def test_two_files_that_hold_the_same_images_share_no_entry_across_splits(tmp_path):
    for split in ("train", "test"):
        pictures(tmp_path / "pets" / split, 4)
    runs = [pipeline.run(Settings(DataSettings(data=tmp_path / "pets", split=s)), tmp_path / "c")
            for s in ("train", "test")]  # fmt: skip
    assert len({run.manifest["features"]["key"] for run in runs}) == 2


def test_settings_survive_json(tmp_path):
    settings = Settings(
        DataSettings(data=tmp_path, labels="x.npz:y", subset=9), NoiseSettings(0.1, 0.2, (1, 2)), FeatureSettings(pca=3)
    )
    assert Settings.from_dict(settings.to_dict()) == settings


def test_unreadable_files_are_left_out_and_reported(tmp_path):
    root = pictures(tmp_path / "pets")
    (root / "dark" / "05.png").write_bytes(b"")
    (root / "light" / "07.jpg").write_text("no image")
    (root / "light" / "08.png").write_bytes((root / "light" / "08.png").read_bytes()[:60])
    settings = Settings(data=DataSettings(data=root))
    run = pipeline.run(settings, tmp_path / "c")
    reasons = {s["id"]: s["reason"] for s in run.manifest["dataset"]["skipped"]}
    assert set(reasons) == {"dark/05.png", "light/07.jpg", "light/08.png"}
    assert "the file is empty" in reasons["dark/05.png"]
    assert "not an image" in reasons["light/07.jpg"]
    assert len(run.scores) == 58
    assert "dark/05.png" not in set(run.scores["id"])
    # positions speak of the source, and images are read from the right place
    ids = prepare(settings).dataset.ids
    np.testing.assert_array_equal(ids[run.scores["index"]], run.scores["id"])
    shown = np.asarray(run.images.read(30))
    np.testing.assert_array_equal(shown, np.asarray(Image.open(root / run.scores["id"][30])))
    with pytest.raises(DataError, match="3 of 61 images could not be read; the first"):
        pipeline.run(Settings(data=DataSettings(data=root, on_error="fail")), tmp_path / "c")


def test_a_class_of_one_is_scored(tmp_path):
    root = pictures(tmp_path / "pets")
    (root / "odd").mkdir()
    (root / "dark" / "00.png").rename(root / "odd" / "00.png")
    run = pipeline.run(Settings(data=DataSettings(data=root)), tmp_path / "c")
    lonely = run.scores[run.scores["id"] == "odd/00.png"].iloc[0]
    assert lonely["loo_p_given"] < 0.05  # nobody else shows the class
    assert lonely["lsi"] > run.scores["lsi"].median()


def test_ready_features_with_text(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    features = rng.normal(size=(60, 4)) + 2 * labels[:, None]
    np.savez(tmp_path / "f.npz", features=features, labels=labels, text=np.array([f"line {i}" for i in range(60)]))
    run = pipeline.run(Settings(data=DataSettings(data=tmp_path / "f.npz")), tmp_path / "c")
    assert run.scores["text"][3] == "line 3"
    assert run.manifest["features"]["backbone"] == "given"


def test_noise_on_images_marks_the_classes(tmp_path):
    settings = Settings(
        noise=NoiseSettings(corrupt_data=1.0, corrupt_data_label=(3,)), data=DataSettings("digits", subset=300)
    )
    run = pipeline.run(settings, tmp_path)
    np.testing.assert_array_equal(run.scores["is_corrupted"], run.scores["given_label"] == 3)
    assert run.manifest["detection"]["lsi"]["auroc"] > 0.6
    with pytest.raises(DataError, match=r"corrupt_data_label in 0 … 9, got 12"):
        pipeline.run(
            Settings(DataSettings("digits"), NoiseSettings(corrupt_data=1.0, corrupt_data_label=(12,))), tmp_path
        )


def test_paper_preset(tmp_path):
    run = pipeline.run(Settings(data=DataSettings("digits", subset=200), score=ScoreSettings(preset="paper")), tmp_path)
    assert run.manifest["leave_one_out"]["structure"] == "diag"
    assert run.manifest["probe"]["prior_precision"] == pytest.approx(200 * (1e-4 + 1 / 40))
    assert run.manifest["features"]["n_features"] == 64


def test_projection_is_cached(tmp_path, monkeypatch):
    run = pipeline.run(Settings(data=DataSettings("digits", subset=150)), tmp_path)
    positions = maps.projection_of_run(run, tmp_path)
    assert positions.shape == (150, 2)
    monkeypatch.setattr("lsi.features.projection.project", lambda *a: pytest.fail("computed again"))
    np.testing.assert_array_equal(maps.projection_of_run(run, tmp_path), positions)


def test_runs_are_found_by_name_and_start(tmp_path):
    run = pipeline.run(NOISY, tmp_path)
    assert [r.name for r in list_runs(tmp_path)] == [run.name]
    for name in (run.name, "digits", "latest", str(run.folder)):
        assert find_run(tmp_path, name).folder == run.folder
    with pytest.raises(MissingRunError, match=r"No run is called 'mnist'. Runs: digits"):
        find_run(tmp_path, "mnist")


@pytest.mark.parametrize("name", [*FILES_OF_A_CLASSIFICATION, SEAL])
@pytest.mark.parametrize("how", ["truncated", "flipped"])
def test_a_damaged_run_is_computed_again(tmp_path, name, how):
    first = pipeline.run(NOISY, tmp_path)
    before = first.scores.copy()
    path = first.folder / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if how == "truncated" else data[:40] + bytes([data[40] ^ 1]) + data[41:])
    pd.testing.assert_frame_equal(pipeline.run(NOISY, tmp_path).scores, before)


def command(cache: Path, *more: str) -> list[str]:
    words = ["compute", "--dataset", "digits", "--subset", "900", "--corrupt-label", "0.1", "--quiet", "--cache"]
    return [sys.executable, "-m", "lsi", *words, str(cache), *more]


def test_two_processes_on_one_key_share_one_result(tmp_path):
    both = [
        subprocess.Popen(command(tmp_path, "--verbose"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    logs = [p.communicate()[1].decode() for p in both]
    assert [p.returncode for p in both] == [0, 0]
    assert sum("probe and leave-one-out" in log for log in logs) == 1


def test_vectors_without_names_belong_to_the_rows_of_the_source(tmp_path):
    """The labelled rows' vectors are never those of samples without a label."""
    problem = blobs(60, 4, 3, spread=5.0, flips=0.0)
    table = pd.DataFrame({"label": [f"c{y}" for y in problem.labels], "text": [f"t{i}" for i in range(60)]})
    table.loc[45:, "label"] = ""
    table.to_csv(tmp_path / "t.csv", index=False)
    np.save(tmp_path / "all.npy", problem.features)
    np.save(tmp_path / "labelled.npy", problem.features[:45])

    def unlabelled(file: str) -> pd.DataFrame:
        features = FeatureSettings(embeddings=str(tmp_path / file))
        run = pipeline.run(Settings(DataSettings(data=tmp_path / "t.csv"), features=features), tmp_path / "cache")
        assert len(run.scores) == 45
        return run.unlabelled

    found = unlabelled("all.npy")
    assert (found["predicted_label"].to_numpy() == problem.labels[45:]).mean() > 0.8
    assert len(unlabelled("labelled.npy")) == 0


def test_ready_features_may_lack_labels(tmp_path):
    problem = blobs(60, 4, 3, spread=5.0, flips=0.0)
    labels = np.array([f"c{y}" for y in problem.labels])
    labels[45:] = ""
    np.savez(tmp_path / "x.npz", features=problem.features, labels=labels)
    run = pipeline.run(Settings(DataSettings(data=tmp_path / "x.npz")), tmp_path / "cache")
    assert run.unlabelled["index"].tolist() == list(range(45, 60))
    assert (run.unlabelled["predicted_label"].to_numpy() == problem.labels[45:]).mean() > 0.8


def test_a_label_is_compared_with_the_one_that_is_suggested(tmp_path):
    """The suggestion comes from other probabilities than the likeliest other class by plain leave-one-out."""
    run = pipeline.run(Settings(DataSettings("digits", subset=100)), tmp_path)
    given, loo = int(run.scores["given_label"][3]), run.probabilities.rows([3])[0].copy()
    loo[given] = -1
    for suggested in range(10):
        vars(run)["scores"] = run.scores.assign(suggested_label=run.scores["suggested_label"].where(
            run.scores.index != 3, suggested))  # fmt: skip
        other = queries.explain_sample(run, 3).other_label
        assert other == (suggested if suggested != given else loo.argmax())
