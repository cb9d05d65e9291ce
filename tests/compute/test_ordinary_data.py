"""Ordinary data that were once misread, from a folder or a table to the finished run."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lsi.audit.label_issues import most_suspect_first
from lsi.compute import pipeline
from lsi.config import DataSettings, Settings
from lsi.data import decoding, images
from lsi.errors import DataError
from lsi.export import Selection, audit_table
from lsi.export.tables import relabelled
from lsi.files import write_json
from lsi.runs.layout import MANIFEST, SCORES
from lsi.runs.run import Run
from lsi.ui.filters import differing
from tests.data.trees import as_bytes_name


def patches(root: Path, names: list[str], seed: int = 0) -> Path:
    """Write small noisy pictures, darker where the name begins with a."""
    rng = np.random.default_rng(seed)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 90, (9, 9)) + (0 if name.startswith("a") else 120)
        Image.fromarray(values.astype(np.uint8)).save(root / name, None if "." in name else "PNG")
    return root


AB = [f"{c}/{i:02d}.png" for c in "ab" for i in range(8)]


def computed(tmp_path: Path, **data) -> pipeline.Run:
    return pipeline.run(Settings(DataSettings(**data)), tmp_path / "cache")


def test_a_second_start_of_a_finished_run_reads_no_image(tmp_path, monkeypatch):
    root = patches(tmp_path / "d", AB)
    first = computed(tmp_path, data=root)
    monkeypatch.setattr(decoding, "opened", lambda *a: pytest.fail("an image was opened"))
    monkeypatch.setattr(images, "file_checksum", lambda *a: pytest.fail("an image was read"))
    assert computed(tmp_path, data=root).folder == first.folder


def test_samples_without_a_label_take_no_part_and_are_shown(tmp_path):
    root = patches(tmp_path / "d", AB)
    labels = [name[0] if i % 4 else "" for i, name in enumerate(AB)]
    pd.DataFrame({"file": AB, "class": labels, "age": range(16), "lsi": "x"}).to_csv(root / "m.csv", index=False)
    run = computed(tmp_path, data=root / "m.csv")
    assert len(run.scores) == 12
    assert run.unlabelled["id"].tolist() == AB[::4]
    assert [run.class_names[c] for c in run.unlabelled["predicted_label"]] == ["a", "a", "b", "b"]
    assert run.unlabelled["confidence"].between(0.5, 1).all()
    assert run.metadata == ["age", "lsi (data)"]
    assert run.unlabelled["age"].tolist() == ["0", "4", "8", "12"]
    for j, name in enumerate(run.unlabelled["id"]):
        shown = np.asarray(run.images.read(len(run.scores) + j))[..., 0]
        np.testing.assert_array_equal(shown, np.asarray(Image.open(root / name)))
    alone = patches(tmp_path / "alone", [n for i, n in enumerate(AB) if i % 4])
    for name in AB[::4]:
        (root / name).rename(tmp_path / "gone")
    pd.DataFrame({"file": AB, "class": labels}).query("`class` != ''").to_csv(alone / "m.csv", index=False)
    for name in [n for i, n in enumerate(AB) if i % 4]:
        (alone / name).write_bytes((root / name).read_bytes())
    again = pipeline.run(Settings(DataSettings(data=alone / "m.csv")), tmp_path / "other")
    np.testing.assert_array_equal(again.scores["lsi"], run.scores["lsi"])


def test_samples_without_a_label_may_all_be_unreadable(tmp_path):
    root = patches(tmp_path / "d", AB)
    labels = [name[0] if i % 4 else "" for i, name in enumerate(AB)]
    pd.DataFrame({"file": AB, "class": labels}).to_csv(root / "m.csv", index=False)
    for name in AB[::4]:
        (root / name).write_bytes(b"no image")
    run = computed(tmp_path, data=root / "m.csv")
    assert len(run.scores) == 12
    assert len(run.unlabelled) == 0
    assert [one["id"] for one in run.manifest["dataset"]["skipped"]] == AB[::4]
    with pytest.raises(DataError, match=r"4 of 4 images could not be read; the first: .*a/00\.png"):
        computed(tmp_path, data=root / "m.csv", on_error="fail")


def test_columns_of_the_data_are_called_alike_with_and_without_a_label_and_texts_are_there(tmp_path):
    features = np.random.default_rng(0).normal(size=(24, 3)) + np.repeat([[0.0], [3.0]], 12, axis=0)
    table = pd.DataFrame({"text": [f"note {i}" for i in range(24)], "features": [str(row.tolist()) for row in features],
                          "label": [("ab"[i // 12] if i % 4 else "") for i in range(24)]})  # fmt: skip
    table.to_csv(tmp_path / "plain.csv", index=False)
    plain = computed(tmp_path, data=tmp_path / "plain.csv")
    assert plain.unlabelled["text"].tolist() == table["text"].tolist()[::4]
    names = dict.fromkeys([*plain.scores.columns, *plain.unlabelled.columns])
    own = [name for name in names if name not in table]
    assert {"confidence", "lsi", "predicted_label"} <= set(own)
    more = pd.DataFrame({name: [f"{name} {i}" for i in range(24)] for name in own})
    pd.concat([table, more], axis=1).to_csv(tmp_path / "more.csv", index=False)
    run = computed(tmp_path, data=tmp_path / "more.csv")
    assert run.metadata == [f"{name} (data)" for name in own]
    for shown, rows in ((run.scores, [i for i in range(24) if i % 4]), (run.unlabelled, range(0, 24, 4))):
        assert shown.columns.is_unique
        for name in own:
            assert shown[f"{name} (data)"].tolist() == [f"{name} {i}" for i in rows]
    assert run.unlabelled["confidence"].between(0.5, 1).all()


def test_columns_of_the_data_are_never_taken_for_those_of_the_run(tmp_path):
    """Also in runs of before, which wrote them under the names that they have in the data."""
    root = patches(tmp_path / "d", AB)
    own = ["true_label", "label_in_data", "is_confirmed", "suggested_label", "standardised_residual", "confidence"]
    labels = [name[0] if i % 4 else "" for i, name in enumerate(AB)]
    pd.DataFrame({"file": AB, "class": labels, **dict.fromkeys(own, 7)}).to_csv(root / "m.csv", index=False)
    run = computed(tmp_path, data=root / "m.csv")
    old = Run(shutil.copytree(run.folder, tmp_path / "old" / run.name))
    names = {f"{name} (data)": name for name in own}
    scores = pd.read_parquet(old.folder / SCORES)
    scores.drop(columns="suggested_label").rename(columns=names).to_parquet(old.folder / SCORES)
    write_json(old.folder / MANIFEST, run.manifest | {"dataset": run.manifest["dataset"] | {"metadata": own}})
    for one in (run, old):
        assert one.metadata == list(names)
        assert not {"true_label", "label_in_data", "is_confirmed", "standardised_residual"} & set(one.scores.columns)
        assert one.scores["suggested_label"].isin([0, 1]).all()
        assert not differing(one.captioned()).any()
        everything = Selection(np.arange(12), np.zeros(0, np.int64), {})
        table = audit_table(one, everything)
        assert table["given_label"].to_pylist() == [one.class_names[c] for c in one.scores["given_label"]]
        assert [table[name].to_pylist() for name in own] == [["7"] * 12] * len(own)
        assert relabelled(one, everything).tolist() == []
        assert most_suspect_first(one.scores).tolist() == np.argsort(one.scores["label_score"], kind="stable").tolist()
    assert run.unlabelled["confidence"].between(0.5, 1).all()
    assert run.unlabelled["confidence (data)"].tolist() == ["7"] * 4


def test_a_class_that_cannot_be_read_is_dropped_with_a_line(tmp_path):
    root = patches(tmp_path / "d", [*AB, "c/1.png", "c/2.png"])
    for name in ("c/1.png", "c/2.png"):
        (root / name).write_bytes(b"<html>404</html>")
    run = computed(tmp_path, data=root)
    assert run.class_names == ["a", "b"]
    assert run.probabilities.shape == (16, 2)
    lines = run.manifest["dataset"]["plan"]["lines"]
    assert any("1 class without readable samples left out (c)" in line for line in lines)
    assert any("left out: 2 that could not be read (first: c/1.png: " in line for line in lines)


def test_names_that_are_no_utf8_reach_the_end(tmp_path):
    odd = [as_bytes_name(b"b/caf\xe9.png"), as_bytes_name(b"caf\xe9/1.png"), as_bytes_name(b"caf\xe9/2.png")]
    root = patches(tmp_path / "d", [*AB, *odd])
    run = computed(tmp_path, data=root)
    assert {"b/caf\\xe9.png", "caf\\xe9/1.png"} <= set(run.scores["id"])
    assert run.images.changes() == {}
    position = run.scores["id"].tolist().index("b/caf\\xe9.png")
    np.testing.assert_array_equal(np.asarray(run.images.read(position))[..., 0], np.asarray(Image.open(root / odd[0])))


def test_deep_images_of_a_run_are_shown_by_the_range_that_it_was_computed_with(tmp_path):
    rng = np.random.default_rng(1)
    for i in range(12):
        path = tmp_path / "d" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = rng.integers(0, 1500, (9, 9)) + 2500 * (i % 2)
        values[0, 0] = 4095 if i == 1 else values[0, 0]
        Image.fromarray(values.astype(np.uint16)).save(path)
    run = computed(tmp_path, data=tmp_path / "d")
    assert any("pixel range 0 … 4095 of 16 bits" in line for line in run.manifest["dataset"]["plan"]["lines"])
    for i in (0, 11):
        source = np.asarray(Image.open(tmp_path / "d" / run.scores["id"][i])).astype(float)
        np.testing.assert_allclose(np.asarray(run.images.read(i))[..., 0], np.rint(source * 255 / 4095), atol=0.51)


@pytest.mark.parametrize(
    ("labels", "n_unlabelled"),
    [(np.array([[0], [1]] * 8), 0), (np.eye(2)[[0, 1] * 8], 0), (np.array([0.0, 1.0, np.nan, 1.0] * 4), 4)],
)
def test_another_labelling_is_read_in_every_shape(tmp_path, labels, n_unlabelled):
    root = patches(tmp_path / "d", AB)
    np.save(tmp_path / "l.npy", labels)
    run = computed(tmp_path, data=root, labels=str(tmp_path / "l.npy"))
    assert len(run.scores) == 16 - n_unlabelled
    assert len(run.unlabelled) == n_unlabelled


def test_an_empty_cell_of_another_labelling_is_a_missing_label(tmp_path):
    root = patches(tmp_path / "d", AB)
    pd.DataFrame({"label": ["a", "b", "", "a"] * 4}).to_csv(tmp_path / "l.csv", index=False)
    run = computed(tmp_path, data=root, labels=str(tmp_path / "l.csv"))
    assert (len(run.scores), len(run.unlabelled)) == (12, 4)


def test_a_target_that_never_differs_takes_no_part(tmp_path, caplog):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    np.savez(tmp_path / "t.npz", features=x, a=x[:, 0] + 0.1 * rng.normal(size=60), b=np.full(60, 0.1))
    alone = computed(tmp_path, data=tmp_path / "t.npz", task="regression", targets="a").scores
    both = computed(tmp_path, data=tmp_path / "t.npz", task="regression", targets="a,b")
    assert both.target_names == ["a"]
    for column in ("lsi", "leverage", "label_score"):
        np.testing.assert_array_equal(both.scores[column], alone[column])
    assert "the same in every sample: target b" in caplog.text


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ({"features": np.ones((9, 3)), "labels": [0, 1, 2] * 3}, {}, "all 9 samples have the same features"),
        ({"images": np.full((9, 8, 8), 7, np.uint8), "y": [0, 1, 2] * 3}, {}, "all 9 samples have the same features"),
        ({"features": np.eye(9), "price": np.full(9, 2.0)}, {"task": "regression", "targets": "price"},
         "target price is the same in every sample"),
        ({"features": np.eye(1)}, {}, "at least two samples that can be read, got 1"),
    ],
)  # fmt: skip
def test_data_that_say_nothing_are_refused_in_words(tmp_path, content, settings, message):
    np.savez(tmp_path / "d.npz", **{k: np.asarray(v) for k, v in content.items()})
    with pytest.raises(DataError, match=message):
        computed(tmp_path, data=tmp_path / "d.npz", **settings)


def test_numbers_written_with_commas_are_named_with_their_row(tmp_path):
    (tmp_path / "h.csv").write_text('text,price\nhouse,"1,000"\nhut,7\n')
    with pytest.raises(DataError, match=r"h.csv: expected a number in column price, row 0, got '1,000'"):
        computed(tmp_path, data=tmp_path / "h.csv", task="regression", targets="price")
