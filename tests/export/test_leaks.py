import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.export import duplicates_to_drop, export, leak_table, leaks, leaks_to_drop, select
from lsi.runs.run import Run
from lsi.ui import deciding
from tests.ui.conftest import ROOT


def table(*rows: tuple[int, str]) -> pd.DataFrame:
    """A table of samples, each with its group and its split."""
    groups, splits = zip(*rows, strict=True)
    n = len(rows)
    return pd.DataFrame({"near_duplicate_group": groups, "split": splits, "index": np.arange(n) * 10,
                         "id": [f"s{i}" for i in range(n)], "given_label": np.zeros(n, dtype=int),
                         "label_score": np.linspace(1, 0.5, n), "lsi": np.ones(n)})  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "leaking", "dropped"),
    [
        ([(0, "train"), (0, "test"), (1, "train"), (1, "train"), (-1, "test")], [0, 1], [0]),
        ([(0, "train"), (0, "val"), (0, "test")], [0, 1, 2], [0, 1]),
        ([(0, "training"), (0, "valid")], [0, 1], [0]),
        ([(0, "train"), (0, "Train")], [], []),  # two spellings of one split
        ([(0, "fold 1"), (0, "fold 2")], [0, 1], []),  # which leaks into which cannot be told
        ([(0, ""), (0, "holdout")], [0, 1], [0]),
        ([(-1, "train"), (-1, "test")], [], []),
    ],
)
def test_what_lies_in_several_splits_leaks_and_what_is_held_out_stays(rows, leaking, dropped):
    found = table(*rows)
    assert leaks(found).index.tolist() == leaking
    assert leaks_to_drop(found).tolist() == dropped
    listed = leak_table(found, ["cat"])
    assert listed["can_go"].tolist() == [i in dropped for i in leaking]
    assert listed.columns.tolist() == ["group", "split", "index", "id", "given_name", "can_go"]


def test_without_splits_nothing_leaks():
    found = table((0, "train"), (0, "test")).drop(columns="split")
    assert leaks(found).empty
    assert not len(leaks_to_drop(found))


def test_of_duplicates_the_one_that_is_held_out_stays_though_its_label_is_less_likely():
    assert duplicates_to_drop(table((0, "train"), (0, "train"), (0, "test"))).tolist() == [0, 1]
    assert duplicates_to_drop(table((0, "test"), (0, "test"), (0, "train"))).tolist() == [1, 2]


@pytest.fixture(scope="module")
def split_run(tmp_path_factory) -> Run:
    """A run over two splits, where three images of the test split are copies of images of the training split."""
    folder, rng, rows = tmp_path_factory.mktemp("splits"), np.random.default_rng(0), ["path,label,split"]
    for i in range(60):
        if i < 50:
            pixels = np.clip(rng.normal(60 * (i % 3) + 50, 40, (10, 10, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
        else:
            source = folder / f"{i - 50}.png" if i < 53 else folder / f"{i - 20}.png"
            copy = np.asarray(Image.open(source)) if i < 53 else rng.integers(0, 255, (10, 10, 3), dtype=np.uint8)
            Image.fromarray(copy).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{'abc'[i % 3] if i < 50 else 'abc'[(i - 50) % 3]},{'train' if i < 50 else 'test'}")
    (folder / "manifest.csv").write_text("\n".join(rows))
    data = DataSettings(data=folder / "manifest.csv", split="all")
    return pipeline.run(Settings(data, features=FeatureSettings(backbone="pixels")), folder / "cache")


def test_copies_in_another_split_are_found_listed_and_leave_by_rule(split_run, tmp_path):
    dropped = leaks_to_drop(split_run.scores)
    assert split_run.scores["id"].iloc[dropped].tolist() == ["0.png", "1.png", "2.png"]
    selection = select(split_run, drop_leaks=True)
    assert selection.removed.tolist() == dropped.tolist()
    export(split_run, selection, tmp_path)
    listed = pd.read_csv(tmp_path / "leaks.csv")
    assert listed["id"].tolist() == ["0.png", "50.png", "1.png", "51.png", "2.png", "52.png"]
    assert listed["can_go"].tolist() == [True, False] * 3
    assert listed["given_name"].tolist() == ["a", "a", "b", "b", "c", "c"]


def test_the_page_names_leaks_whatever_the_filter_shows_and_excludes_them_from_training(
    split_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("LSI_CACHE", str(split_run.folder.parent.parent))
    monkeypatch.setenv("LSI_DATABASE_URL", f"sqlite:///{tmp_path / 'reviews.db'}")
    deciding.reviews.cache_clear()
    deciding._decisions.cache_clear()
    app = AppTest.from_file(str(ROOT / "lsi" / "ui" / "main.py"), default_timeout=60)
    app.query_params["run"], app.query_params["class"] = split_run.name, "a"
    app.run()
    app.switch_page(str(ROOT / "pages" / "redundancy.py")).run()
    said = "\n".join(str(m.value) for m in app.markdown)
    assert "3 groups lie in several splits: 3 in test, 3 in train" in said
    app.button(key="drop-leaks").click().run()
    assert not app.exception
    decided = deciding.reviews().current(split_run.subject)
    assert split_run.scores["id"].iloc[decided.index].tolist() == ["0.png", "1.png", "2.png"]
    assert set(decided["action"]) == {"exclude"}
    assert not decided["is_of_label"].any()
    assert "No image is a near duplicate of one in another split." in [i.value for i in app.info]
