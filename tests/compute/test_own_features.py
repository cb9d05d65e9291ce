"""Runs on one's own model: its vectors, its probabilities, or itself, from a small folder of images."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from lsi.cli import main
from lsi.cli.printing import print_run
from lsi.compute import designs, pipeline
from lsi.compute.decided import subject_of
from lsi.compute.maps import projection_of_run
from lsi.compute.queries import report_of_run
from lsi.compute.raw_features import raw_features
from lsi.compute.raw_record import Where
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import DataError, UsageError
from lsi.export import export, has_splits, select, why_no_duplicates
from lsi.progress import Progress
from lsi.runs.comparison import compare
from lsi.runs.run import Run
from lsi.runs.store import Store
from lsi.ui import deciding
from tests.features.networks import Tiny, export_onnx
from tests.ui.conftest import ROOT

N, FLIPPED = 60, (5, 22, 41)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images of three classes whose colour says nothing of the class."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(N):
        path = root / "abc"[i % 3] / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


ORDER = np.random.default_rng(1).permutation(N)
IDS = np.array([f"{'abc'[i % 3]}/{i:02d}.png" for i in range(N)])
TRUE = np.array([(i + 1) % 3 if i in FLIPPED else i % 3 for i in range(N)])  # what the files of vectors know


def vectors() -> np.ndarray:
    """Vectors that tell the classes, but that of three images from the class they are said to be of."""
    return (4 * np.eye(3, 6)[TRUE] + np.random.default_rng(2).normal(size=(N, 6))).astype(np.float32)


def probabilities() -> np.ndarray:
    scores = np.exp(3 * np.eye(3)[TRUE] + np.random.default_rng(3).normal(size=(N, 3)) / 2)
    return scores / scores.sum(axis=1, keepdims=True)


def settings(folder: Path, **features) -> Settings:
    return Settings(DataSettings(data=folder), features=FeatureSettings(**features))


def suspects(run: Run) -> set[str]:
    return set(run.scores.loc[run.scores["is_label_issue"], "id"])


def test_embeddings_in_another_order_find_the_wrong_labels(folder, cache, tmp_path):
    np.savez(tmp_path / "v.npz", ids=IDS[ORDER], embeddings=vectors()[ORDER])
    run = pipeline.run(settings(folder, embeddings=str(tmp_path / "v.npz")), cache)
    assert suspects(run) == set(IDS[list(FLIPPED)])
    features = run.manifest["features"]
    assert features["backbone"] == "embeddings of v.npz"
    assert features["file"]["name"] == "v.npz"
    assert len(features["file"]["hash"]) == 32
    assert features["notes"] == []
    positions = {one: i for i, one in enumerate(IDS)}
    raw = vectors()[[positions[one] for one in run.scores["id"]]]
    phi = np.asarray(run.design.values)[:, :-1]
    np.testing.assert_allclose(phi, (raw - raw.mean(0)) / raw.var(0).mean() ** 0.5, atol=1e-5)


def test_samples_without_a_vector_are_left_out_and_the_rest_is_scored(folder, cache, tmp_path):
    kept = ORDER[4:]
    frame = pd.DataFrame(vectors()[kept], columns=[f"e{i}" for i in range(6)]).assign(path=IDS[kept])
    extra = frame.iloc[:2].assign(path=["x.png", "y.png"])
    pd.concat([frame, extra]).to_csv(tmp_path / "v.csv", index=False)
    asked = settings(folder, embeddings=str(tmp_path / "v.csv"))
    run = pipeline.run(asked, cache)
    assert set(run.scores["id"]) == set(IDS[kept])
    skipped = run.manifest["dataset"]["skipped"]
    assert {s["id"] for s in skipped} == set(IDS[ORDER[:4]])
    assert {s["reason"] for s in skipped} == {"no embedding in v.csv"}
    notes = run.manifest["features"]["notes"]
    assert "2 of 58 rows of v.csv belong to no sample: x.png, y.png" in notes
    assert any(n.startswith("4 of 60 samples have no embedding in v.csv and are left out: ") for n in notes)
    assert any(n.startswith("left out: 4 without a vector (first: ")
               for n in run.manifest["dataset"]["plan"]["notes"])  # fmt: skip
    failing = dataclasses.replace(asked, data=dataclasses.replace(asked.data, on_error="fail"))
    with pytest.raises(DataError, match=r"4 of 60 samples have no vector; the first: no embedding in v.csv"):
        pipeline.run(failing, cache)


def test_a_subset_of_vectors_without_ids_keeps_their_order(folder, cache, tmp_path):
    order = np.argsort(IDS)  # as the folder is read
    np.save(tmp_path / "v.npy", vectors()[order])
    asked = settings(folder, embeddings=str(tmp_path / "v.npy"))
    asked = dataclasses.replace(asked, data=dataclasses.replace(asked.data, subset=45))
    run = pipeline.run(asked, cache)
    assert suspects(run) == set(IDS[list(FLIPPED)]) & set(run.scores["id"])
    assert run.manifest["features"]["notes"] == [
        "v.npy names no samples: its 60 rows are taken in the order of the data"
    ]


@pytest.mark.parametrize("field", ["embeddings", "probabilities", "backbone", "weights"])
def test_a_run_depends_on_what_is_in_its_files(folder, cache, tmp_path, field):
    prepared = pipeline.prepare(settings(folder))
    path = tmp_path / ("net.onnx" if field == "backbone" else "w.pth")
    more = {"backbone": "resnet18"} if field == "weights" else {}
    keys = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        value = path if field == "weights" else str(path)
        keys.append(pipeline.run_key(settings(folder, **{field: value}, **more), prepared))
    assert keys[0] != keys[1]


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_a_run_depends_on_the_ids_beside_its_vectors(folder, tmp_path, suffix):
    prepared, ids = pipeline.prepare(settings(folder)), tmp_path / f"emb_ids{suffix}"
    np.save(tmp_path / "emb.npy", np.eye(3, dtype=np.float32))
    asked = settings(folder, embeddings=str(tmp_path / "emb.npy"))
    keys = {pipeline.run_key(asked, prepared)}
    for names in (["a", "b", "c"], ["b", "a", "c"]):
        np.save(ids, np.array(names)) if suffix == ".npy" else ids.write_text("\n".join(names))
        keys.add(pipeline.run_key(asked, prepared))
    assert len(keys) == 3


def test_a_run_depends_on_what_a_function_of_ones_own_returns(folder, monkeypatch):
    prepared = pipeline.prepare(settings(folder))
    here = "tests.compute.test_own_features"
    keys = set()
    for seed in (0, 1):
        monkeypatch.setattr(f"{here}.SEED", seed)
        keys.add(pipeline.run_key(settings(folder, backbone=f"{here}:net"), prepared))
    assert len(keys) == 2


def test_a_function_that_draws_other_weights_each_time_is_refused(folder, cache):
    asked = settings(folder, backbone="tests.compute.test_own_features:unseeded")
    with pytest.raises(DataError, match=r"unseeded changed while features were computed: .* must set the seed"):
        pipeline.run(asked, cache)


def test_vectors_that_change_while_a_run_is_computed_are_named(folder, tmp_path, monkeypatch):
    asked = settings(folder, embeddings=str(tmp_path / "v.npy"))
    np.save(tmp_path / "v.npy", vectors())

    def late(*args):
        np.save(tmp_path / "v.npy", vectors() + 1)
        return design_of(*args)

    design_of = pipeline.design_of
    monkeypatch.setattr(pipeline, "design_of", late)
    with pytest.raises(DataError, match=r"v\.npy changed while features were computed: compute again\."):
        pipeline.run(asked, tmp_path / "cache")
    monkeypatch.setattr(pipeline, "design_of", design_of)
    assert len(pipeline.run(asked, tmp_path / "cache").scores) == N


@pytest.mark.parametrize("is_there", [False, True])
def test_ids_that_come_or_go_while_a_run_is_computed_are_an_error(folder, tmp_path, monkeypatch, is_there):
    asked, ids = settings(folder, embeddings=str(tmp_path / "v.npy")), tmp_path / "v_ids.txt"
    np.save(tmp_path / "v.npy", vectors())
    ids.write_text("\n".join(IDS)) if is_there else None
    design_of = pipeline.design_of

    def late(*args):
        ids.unlink() if is_there else ids.write_text("\n".join(IDS))
        return design_of(*args)

    monkeypatch.setattr(pipeline, "design_of", late)
    with pytest.raises(DataError, match=r"v\.npy changed while features were computed: compute again\."):
        pipeline.run(asked, tmp_path / "cache")


def test_weights_that_change_between_two_parts_of_a_run_are_named(folder, tmp_path):
    prepared = pipeline.with_pixel_range(pipeline.prepare(settings(folder)))
    how = FeatureSettings("tests.compute.test_own_features:net")
    where = Where(torch.device("cpu"), Store(tmp_path), Progress())
    first = raw_features(prepared, how, where)
    assert raw_features(prepared, how, where, first).key == first.key
    other = dataclasses.replace(first, facts=first.facts | {"weights": "of before"})
    with pytest.raises(DataError, match=r"The weights of .*net changed while features were computed"):
        raw_features(prepared, how, where, other)


def unseeded() -> torch.nn.Module:
    torch.seed()
    return Tiny(5)


SEED = 0


def net() -> torch.nn.Module:
    torch.manual_seed(SEED)
    return Tiny(5)


def test_probabilities_find_the_wrong_labels_and_are_used_whole(folder, cache, tmp_path):
    frame = pd.DataFrame(probabilities()[ORDER][:, [2, 0, 1]], columns=["c", "a", "b"]).assign(id=IDS[ORDER])
    frame.iloc[1:].to_parquet(tmp_path / "p.parquet")
    run = pipeline.run(settings(folder, probabilities=str(tmp_path / "p.parquet"), pca=2), cache)
    assert set(run.scores.nsmallest(len(FLIPPED), "label_score")["id"]) == set(IDS[list(FLIPPED)])
    assert run.manifest["features"]["backbone"] == "probabilities of p.parquet"
    assert run.manifest["features"]["n_features"] == 3  # whatever pca says
    assert (run.scores["near_duplicate_group"] == -1).all()
    assert [s["reason"] for s in run.manifest["dataset"]["skipped"]] == ["no probabilities in p.parquet"]
    notes = run.manifest["features"]["notes"]
    assert "the columns of p.parquet are joined to the classes by name" in notes
    assert any(n.startswith("near duplicates are not looked for") for n in notes)
    assert not any("out of fold?" in n for n in notes)
    design, expected = run.design, np.log(probabilities())
    positions = {one: i for i, one in enumerate(IDS)}
    raw = expected[[positions[one] for one in run.scores["id"]]]
    wanted = (raw - raw.mean(0)) / raw.var(0).mean() ** 0.5
    np.testing.assert_allclose(np.asarray(design.values)[:, :-1], wanted, atol=1e-5)


@pytest.mark.parametrize("columns", [["a", "b", "c"], ["p0", "p1", "p2"]])
def test_probabilities_go_with_decisions_that_leave_a_class_without_samples(folder, cache, tmp_path, columns):
    frame = pd.DataFrame(probabilities(), columns=columns).assign(id=IDS)
    frame.to_parquet(tmp_path / "p.parquet")
    asked = settings(folder, probabilities=str(tmp_path / "p.parquet"))
    about = subject_of(pipeline.prepare(asked).dataset, "classification")
    gone = [{"id": i, "content": c, "action": "exclude", "label": None, "label_name": None, "given_name": "c",
             "reviewer": "ann", "time": "2026-01-01T00:00:00+00:00"}
            for i, c in zip(about.ids, about.contents, strict=True) if i.startswith("c/")]  # fmt: skip
    (tmp_path / "d.json").write_text(json.dumps({"decisions": gone}))
    run = pipeline.run(dataclasses.replace(asked, decisions=str(tmp_path / "d.json")), cache)
    assert (run.class_names, len(run.scores)) == (["a", "b"], 40)
    assert run.manifest["features"]["n_features"] == 2
    if columns == ["a", "b", "c"]:
        whole = frame.drop(columns="id")
        divided = whole[["a", "b"]].div(whole[["a", "b"]].sum(axis=1), axis=0)
        np.testing.assert_allclose(run.predict(whole), run.predict(divided))
        with pytest.raises(DataError, match="sum to 1"):
            run.predict(whole * 3)
    with pytest.raises(DataError, match=r"shape \(n, 2\), got \(\d+, 3\): probabilities of a, b\."):
        run.predict(probabilities())
    assert "the columns of classes without samples are left out: c" in run.manifest["features"]["notes"]


@pytest.mark.parametrize("columns", [["a", "b", "c"], ["p0", "p1", "p2"]])
def test_probabilities_of_samples_that_another_labelling_leaves_apart(folder, cache, tmp_path, columns):
    """The data have no labels: another labelling gives them, but to six samples."""
    flat = tmp_path / "flat"
    for i in IDS:
        (flat / i[2:]).parent.mkdir(exist_ok=True)
        (flat / i[2:]).write_bytes((folder / i).read_bytes())
    names, labels = [i[2:] for i in IDS], ["" if i >= 54 else IDS[i][0] for i in range(N)]
    pd.DataFrame({"path": names, "label": labels}).to_csv(tmp_path / "l.csv", index=False)
    pd.DataFrame(probabilities(), columns=columns).assign(path=names).to_csv(tmp_path / "p.csv", index=False)
    data = DataSettings(data=flat, labels=str(tmp_path / "l.csv"))
    run = pipeline.run(Settings(data, features=FeatureSettings(probabilities=str(tmp_path / "p.csv"))), cache)
    assert run.unlabelled["predicted_label"].tolist() == TRUE[54:].tolist()
    assert not any("belong to no sample" in note for note in run.manifest["features"]["notes"])


def test_near_duplicates_that_nobody_looked_for_are_not_said_to_be_none(folder, cache, tmp_path, monkeypatch, capsys):
    folder = Path(shutil.copytree(folder, tmp_path / "images"))
    table = pd.DataFrame({"path": IDS, "label": [Path(one).parent.name for one in IDS]})
    table.assign(split=np.where(np.arange(N) < 40, "train", "test")).to_csv(folder / "t.csv", index=False)
    np.savez(tmp_path / "p.npz", ids=IDS, probabilities=probabilities())
    asked = settings(folder, probabilities=str(tmp_path / "p.npz"))
    asked = dataclasses.replace(asked, data=DataSettings(data=folder / "t.csv", split="all"))
    run = pipeline.run(asked, cache)
    assert has_splits(run.scores)
    assert why_no_duplicates(run).startswith("Near duplicates were not looked for: images of the same probabilities")
    for rule in ("keep_one", "drop_leaks"):
        with pytest.raises(UsageError, match=r"were not looked for.* Leave --keep-one and --drop-leaks out"):
            select(run, **{rule: True})
    export(run, select(run), tmp_path / "out")
    assert not (tmp_path / "out" / "leaks.csv").exists()
    print_run(run, 3)
    printed = capsys.readouterr().out
    assert "Near duplicates were not looked for" in printed
    assert "near-duplicate group" not in printed
    assert "near duplicates" not in report_of_run(run, None, pd.DataFrame({"action": [], "label": []}))
    assert "near duplicates" not in set(compare(run, run).figures["figure"])
    monkeypatch.setenv("LSI_CACHE", str(cache))
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    deciding.reviews.cache_clear()
    deciding._decisions.cache_clear()
    app = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    app.query_params["run"] = run.name
    app.run()
    assert next(m.value for m in app.metric if m.label == "2. Near duplicates") == "–"
    app.switch_page(str(ROOT / "pages" / "redundancy.py")).run()
    assert not app.exception
    assert [i.value for i in app.info if "duplicate" in i.value] == [why_no_duplicates(run)]
    assert "Leaks between splits" not in [s.value for s in app.subheader]


def test_probabilities_that_agree_with_every_label_raise_a_question(folder, cache, tmp_path):
    np.savez(tmp_path / "p.npz", ids=IDS, probabilities=np.eye(3)[np.arange(N) % 3] * 0.7 + 0.1)
    run = pipeline.run(settings(folder, probabilities=str(tmp_path / "p.npz")), cache)
    assert any("p.npz agrees with every label: are these probabilities out of fold?" in n
               for n in run.manifest["features"]["notes"])  # fmt: skip


def test_embeddings_without_labels_predict_one_half_from_the_other(folder, cache, tmp_path):
    np.savez(tmp_path / "v.npz", ids=IDS, embeddings=vectors())
    asked = dataclasses.replace(settings(folder, embeddings=str(tmp_path / "v.npz")),
                                data=DataSettings(data=folder, task="self"))  # fmt: skip
    run = pipeline.run(asked, cache)
    assert run.task == "self"
    assert (run.manifest["features"]["n_features"], run.manifest["targets"]["n_targets"]) == (3, 3)


@pytest.mark.parametrize(("wide", "more"), [(6, {}), (8, {"standardise": False, "pca": 0})])
def test_samples_that_differ_in_one_half_of_their_features_are_no_copies(tmp_path, wide, more, monkeypatch):
    values = np.random.default_rng(4).normal(size=(N, wide)).astype(np.float32)
    values[1], values[3] = values[0], values[2]
    half = designs._halves(wide, 0, "")[1]
    values[1, half] += 3  # which Φ does not hold
    values *= 100
    np.save(tmp_path / "v.npy", values)
    asked = Settings(DataSettings(data=tmp_path / "v.npy"), features=FeatureSettings(**more))
    run = pipeline.run(asked, tmp_path / "cache")
    assert np.flatnonzero(run.scores["near_duplicate_group"] >= 0).tolist() == [2, 3]
    assert (run.neighbours[1][0, 0] > 0.01).all()
    seen = []
    monkeypatch.setattr("lsi.features.projection.project", lambda x, _: seen.append(x) or np.zeros((len(x), 2)))
    projection_of_run(run, tmp_path / "cache")
    assert seen[0].shape == (N, wide)
    assert 0.5 < seen[0][:, : wide // 2].std() / seen[0][:, wide // 2 :].std() < 2
    assert run.manifest["features"]["n_unused"] == wide // 2


@pytest.mark.parametrize(
    ("more", "features", "message"),
    [
        ({"data": {"task": "self"}}, {"probabilities": "p.npz"}, "need class labels, and the task is self"),
        ({"noise": {"corrupt_data": 0.1, "corrupt_data_label": (1,)}}, {"embeddings": "p.npz"},
         "corrupt_data changes images, and embeddings from a file do not see it"),
        ({}, {"backbone": "pixels", "mean": (0.5,)}, "The backbone pixels takes values as they are"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_data_is_refused(folder, cache, tmp_path, monkeypatch, more, features, message):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "p.npz", ids=IDS, probabilities=probabilities())
    asked = Settings(DataSettings(data=folder, **more.get("data", {})), NoiseSettings(**more.get("noise", {})),
                     FeatureSettings(**features))  # fmt: skip
    with pytest.raises(UsageError, match=message):
        pipeline.run(asked, cache)


def test_the_manifest_names_model_weights_and_transform(folder, cache, tmp_path):
    path = export_onnx(Tiny(), tmp_path / "net.onnx")
    run = pipeline.run(settings(folder, backbone=str(path), mean=(0.5,)), cache)
    features = run.manifest["features"]
    assert (features["backbone"], len(features["weights"]), features["image_size"]) == ("net.onnx", 32, 32)
    assert features["transform"] == {"resize": "bicubic to 32 × 32 px, without a crop; values in 0 … 1",
                                     "mean": [0.5] * 3, "std": [0.229, 0.224, 0.225]}  # fmt: skip
    assert ["net.onnx does not say what its pixel values should be" in n for n in features["notes"]] == [True]
    told = pipeline.run(settings(folder, backbone=str(path), mean=(0.5,), std=(0.5, 0.5, 0.5)), cache)
    assert told.manifest["features"]["notes"] == []
    assert told.manifest["features"]["key"] != features["key"]


def test_the_papers_preset_takes_ready_vectors(folder, cache, tmp_path):
    np.savez(tmp_path / "v.npz", ids=IDS, embeddings=vectors())
    asked = dataclasses.replace(
        settings(folder, embeddings=str(tmp_path / "v.npz")), score=ScoreSettings(preset="paper")
    )
    assert pipeline.run(asked, cache).manifest["features"]["n_features"] == 6


def test_own_models_from_the_command_line(folder, cache, tmp_path, capsys, monkeypatch):
    np.savez(tmp_path / "v.npz", ids=IDS[ORDER][3:], other=vectors()[ORDER][3:])
    (tmp_path / "my_nets_of_the_line.py").write_text("from torch import nn\ndef flat(): return nn.Flatten()\n")
    monkeypatch.chdir(tmp_path)
    words = ["compute", "--data", str(folder), "--cache", str(cache), "--quiet"]
    assert main([*words, "--embeddings", "v.npz:other"]) == 0
    out = capsys.readouterr().out
    assert "features embeddings of v.npz, 6 of them" in out
    assert "note: 3 of 60 samples have no embedding in v.npz and are left out: " in out
    assert "left out: 3 without a vector, the first " in out
    assert main([*words, "--backbone", "my_nets_of_the_line:flat", "--image-size", "8", "--std", "0.25", "--json"]) == 0
    features = json.loads(capsys.readouterr().out)["features"]
    assert (features["backbone"], features["transform"]["std"]) == ("my_nets_of_the_line:flat", [0.25] * 3)
    assert main([*words, "--probabilities", "v.npz:other"]) == 1
    assert "expected 3 columns of probabilities, one for each class of the data, got 6" in capsys.readouterr().err
