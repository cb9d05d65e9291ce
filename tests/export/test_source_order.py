"""Exports fit the source: what is kept is the same in ImageFolder, in pandas, in datasets, and read back by us."""

import io
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from lsi.config import DataSettings
from lsi.data import load
from lsi.export import Selection, export, spreadsheet_safe, write_images
from lsi.runs.images import RunImages, describe_images, file_facts
from lsi.runs.run import Run
from tests.export.made import chosen, made_run, nasty, subset_of
from tests.export.test_names import all_apart, is_fine_everywhere

LISTED = (".png", ".JPG", ".webp")
quick = settings(
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def png(number: int) -> bytes:
    """Return an image of one pixel that no other number gives."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), (number % 256, number // 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def as_text(path: str) -> str:
    """Return a path as a run has it: bytes that are no UTF-8 written out."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


file_names = st.tuples(st.one_of(nasty, st.just("caf\udce9")), st.sampled_from([*LISTED, ".gif"])).map("".join)
folder_names = nasty.filter(lambda name: name not in (".", ".."))
trees = st.dictionaries(
    folder_names,
    st.lists(st.tuples(st.lists(folder_names, max_size=2), file_names), max_size=5),
    min_size=2,
    max_size=4,
)


def planted(base: Path, tree: dict) -> None:
    """Write a tree of images; what a file system refuses, or has already as a folder, is left out."""
    number = 0
    for name, files in tree.items():
        (base / name).mkdir(parents=True)
        for folders, file in [([], "own.png"), *files]:
            number += 1
            place = base.joinpath(name, *folders)
            try:
                place.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(png(number))
            except OSError:
                continue


def run_on(base: Path, folder: Path) -> Run:
    """Return a run on class folders whose index is ImageFolder's, with all other files after what it lists."""
    listed = [path for path, _ in ImageFolder(str(base)).samples]
    others = [os.path.join(top, f) for top, _, files in os.walk(base) for f in files]  # noqa: PTH118
    others = sorted(set(others) - set(listed))
    files = [*listed, *others]
    names = sorted(p.name for p in base.iterdir())
    ids = [os.path.relpath(path, base) for path in files]
    order = np.random.default_rng(len(files)).permutation(len(files))  # a run may hold its samples in any order
    return made_run(
        folder,
        [as_text(ids[i]) for i in order],
        [names.index(ids[i].split("/")[0]) for i in order],
        [as_text(name) for name in names],
        order,
        samples=pd.DataFrame({"checksum": "", "file": [as_text(files[i]) for i in order], "size": 0, "mtime_ns": 0,
                              "noisy": False, "position": order}),
        plan={"source_length": len(files), "split": "train"},
    )  # fmt: skip


class Files(RunImages):
    """As much of a run's images as an export reads; the table holds no path that is no UTF-8."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def read(self, index: int) -> Image.Image:
        return Image.open(self.files[index]).convert("RGB")

    def source(self, index: int) -> Path:
        return self.files[index]

    def changes(self, positions: np.ndarray | None = None, *, must_reach: bool = False) -> dict:
        return {}


@settings(quick, max_examples=80)
@given(trees, st.data())
def test_kept_indices_select_the_same_files_in_image_folder(tmp_path_factory, tree, data):
    root = tmp_path_factory.mktemp("tree")
    base = root / "photos"
    planted(base, tree)
    run, dataset = run_on(base, root / "run"), ImageFolder(str(base))
    selection = chosen(len(run.scores), len(run.class_names), data.draw)
    export(run, selection, root / "out", formats=("npy",))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        cleaned = subset_of(root / "out").kept(dataset)
    rows = run.scores.loc[selection.kept]
    unlisted = rows[rows["index"] >= len(dataset)]
    assert len(unlisted) == (int(str(heard[0].message).split()[0]) if heard else 0)
    rows = rows[rows["index"] < len(dataset)]
    paths = [as_text(os.path.relpath(dataset.samples[i][0], base)) for i in cleaned.indices]
    assert paths == list(rows["id"]) == cleaned.ids
    named = {as_text(name): number for name, number in dataset.class_to_idx.items()}
    new = [selection.relabelled.get(i, run.scores["given_label"][i]) for i in rows.index]
    assert cleaned.labels == [named[run.class_names[c]] for c in new]
    if len(cleaned):
        image, label = cleaned[len(cleaned) - 1]
        assert (image.getpixel((0, 0)), label) == (dataset[cleaned.indices[-1]][0].getpixel((0, 0)), cleaned.labels[-1])
    written_apart(run, selection, base, root)


def written_apart(run: Run, selection: Selection, base: Path, root: Path) -> None:
    """Check the images of an export: all there under their labels, names apart on any system, read back by us."""
    there = {as_text(os.path.relpath(os.path.join(top, f), base)): Path(top, f)  # noqa: PTH118
             for top, _, files in os.walk(base) for f in files}  # fmt: skip
    vars(run)["images"] = Files([there[name] for name in run.scores["id"]])
    out = write_images(run, selection, root / "out", "copy")
    folders = [Path(top, d) for top, names, _ in os.walk(out) for d in names]
    for folder in [out, *folders]:
        names = [p.name for p in folder.iterdir()]
        assert names
        assert all_apart(names)
        assert all(map(is_fine_everywhere, names))
    table = pd.read_csv(root / "out" / "names.csv", dtype=str, keep_default_na=False)
    classes = pd.read_csv(root / "out" / "classes.csv", dtype=str, keep_default_na=False)
    name_of = dict(zip(classes["folder"], classes["name"], strict=True))
    assert list(classes["name"]) == run.class_names
    rows = run.scores.loc[selection.kept].sort_values("index")
    final = {i: run.class_names[selection.relabelled.get(i, run.scores["given_label"][i])] for i in rows.index}
    assert list(table["id"]) == list(rows["id"])
    assert list(table["label"]) == [final[i] for i in rows.index]
    for row in table.itertuples():
        path = root / "out" / str(row.path)
        assert path.read_bytes() == there[str(row.id)].read_bytes()
        assert name_of[str(row.path).split("/")[1]] == row.label
        own = str(row.id).split("/", 1)[1]
        assert (row.is_renamed == "False") == (str(row.path).split("/", 2)[2] == own)
    if len(set(final.values())) < len(final) and len(set(final.values())) > 1:
        again = load(DataSettings(data=out, split="all"), root)
        read = sorted(
            (f"images/{i}", name_of[again.class_names[c]]) for i, c in zip(again.ids, again.labels, strict=True)
        )
        assert read == sorted(zip(table["path"], table["label"], strict=True))


LABELS = ("cat", "Dog ", "001", "1", "-1", "=1+1", "@x", "NA", "é", "a,b", 'say "no"', "two\nlines", "\rx", "None")
cells = st.one_of(nasty, st.sampled_from(["", "NA", "nan", "1e3", "\ufeffx", "＝1"]))
tables = st.lists(
    st.tuples(nasty, st.sampled_from(LABELS), st.sampled_from(["train", "Test", "val"]), cells,
              st.none() | st.integers(-9, 9), st.floats(allow_nan=False, allow_infinity=False)),
    min_size=3, max_size=12,
)  # fmt: skip


@settings(quick, max_examples=80)
@given(tables, st.booleans(), st.data())
def test_kept_indices_select_the_same_rows_in_pandas(tmp_path_factory, rows, has_ids, data):
    root = tmp_path_factory.mktemp("table")
    frame = pd.DataFrame(rows, columns=["file", "class", "part", "label", "n", "=score"])
    # a backslash in a table stands between folders, as Windows writes it
    frame["file"] = [f"{i}{name}.png".replace("\\", "") for i, name in enumerate(frame["file"])]
    frame["uid"] = [f"{i:03d}" for i in range(len(frame))]
    frame["n"] = frame["n"].astype("Int64")
    frame.to_csv(root / "t.csv", index=False, quoting=1)
    frame = pd.read_csv(root / "t.csv", dtype=str, keep_default_na=False)
    part = data.draw(st.sampled_from([*sorted(set(frame["part"])), "all"]))
    for number, name in enumerate(frame["file"]):
        (root / name).write_bytes(png(number))
    taken = frame if part == "all" else frame[frame["part"] == part]
    names = sorted(set(taken["class"]))
    columns = {"image": "file", "label": "class", "split": "part"} | ({"id": "uid"} if has_ids else {})
    metadata = pd.DataFrame({"label": taken["label"], "n": taken["n"].replace("", None).astype("Int64"),
                             "=score": taken["=score"].astype(float)})  # fmt: skip
    ids = taken["uid"] if has_ids else taken["file"]
    run = made_run(root / "run", list(ids), [names.index(v) for v in taken["class"]], names, list(taken.index),
                   files=[root / name for name in taken["file"]], split=list(taken["part"]), metadata=metadata,
                   plan={"source_length": len(frame), "columns": columns},
                   data={"data": str(root / "t.csv")})  # fmt: skip
    selection = chosen(len(taken), len(names), data.draw)
    export(run, selection, root / "out")
    kept = np.load(root / "out" / "kept_indices.npy")
    subset = subset_of(root / "out")
    cleaned = subset.cleaned_table(frame)
    expected = taken.iloc[selection.kept].copy()
    expected["class"] = [names[selection.relabelled.get(i, names.index(expected["class"].iloc[j]))]
                         for j, i in enumerate(selection.kept.tolist())]  # fmt: skip
    pd.testing.assert_frame_equal(cleaned, expected)
    assert list(frame.iloc[kept]["file"]) == list(expected["file"])
    same_as_source(root / "out", expected, ids, kept)
    with pytest.raises(ValueError, match=rf"Expected the {len(frame)} samples of the source, got {len(frame) + 1}"):
        subset.cleaned_table(pd.concat([frame, frame.iloc[:1]]))
    with pytest.raises(ValueError, match="not in its order"):
        subset.cleaned_table(pd.concat([frame.iloc[1:], frame.iloc[:1]]))
    with pytest.raises(ValueError, match=r"got a dataset of|got \d+\. Give the whole"):
        subset.cleaned_table(frame.iloc[:-1])


def same_as_source(out: Path, expected: pd.DataFrame, ids: pd.Series, kept: np.ndarray) -> None:
    """Compare cleaned.csv, cleaned.parquet and the audit with the rows of the source, and read the first back."""
    text = pd.read_csv(out / "cleaned.csv", dtype=str, keep_default_na=False)
    names = ["index", "id", "path", "given_label", "label", "decision", "split", "source_label", "n", "=score"]
    assert list(text.columns) == names
    assert [int(i) for i in text["index"]] == kept.tolist()
    for column, source in {
        "path": "file",
        "label": "class",
        "split": "part",
        "source_label": "label",
        "n": "n",
    }.items():
        assert list(text[column]) == list(expected[source]), column
    assert list(text["id"]) == list(ids.loc[expected.index])
    table = pq.read_table(out / "cleaned.parquet")
    assert table.column_names == names
    assert [table.schema.field(n).type for n in ("index", "label", "n", "=score")] == [
        pa.int64(), pa.string(), pa.int64(), pa.float64(),
    ]  # fmt: skip
    assert table["=score"].to_pylist() == [float(v) for v in expected["=score"]]
    assert table["=score"].to_pylist() == [float(v) for v in text["=score"]]
    audit = pd.read_csv(out / "audit.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(
        audit[audit["is_kept"] == "True"].drop(columns="is_kept").reset_index(drop=True), text
    )
    beside = shutil.copy(out / "cleaned.csv", out.parent)
    again = load(DataSettings(data=Path(beside), split="all"), out)
    if "-1" not in set(text["label"]):  # among numbers it stands for no label
        assert list(again.ids) == list(text["path"])
        assert [again.class_names[c].strip() for c in again.labels] == [name.strip() for name in text["label"]]
    sheet = pd.read_csv(out / "spreadsheet.csv", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    texts = sheet[["id", "path", "given_label", "label", "source_label", "suggested_label"]]
    assert not texts.map(lambda cell: cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))).any(axis=None)
    assert "'=score" in sheet.columns


parquet_rows = st.lists(
    st.tuples(st.sampled_from([0, 1, 2]), nasty, st.none() | st.integers(-9, 9),
              st.lists(st.integers(0, 3), max_size=2)),
    min_size=3, max_size=10,
)  # fmt: skip


def written_parquet(root: Path, rows: list, class_names: list[str]) -> Path:
    features = {"image": {"_type": "Image"}, "label": {"names": class_names, "_type": "ClassLabel"}}
    table = pa.table(
        {"image": pa.array([{"bytes": png(i), "path": f"{row[1]}.png"} for i, row in enumerate(rows)]),
         "label": pa.array([row[0] for row in rows], pa.int64()), "note": [row[1] for row in rows],
         "n": pa.array([row[2] for row in rows], pa.int32()),
         "boxes": pa.array([row[3] for row in rows], pa.list_(pa.int8()))}
    )  # fmt: skip
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, root / "d.parquet")
    return root / "d.parquet"


def run_on_parquet(path: Path, folder: Path, split: str = "train") -> Run:
    dataset, table = load(DataSettings(data=path), folder), pq.read_table(path)
    samples = describe_images(dataset, None)
    samples["position"] = np.arange(len(samples))
    metadata = table.select(["note", "n", "boxes"]).to_pandas(types_mapper=pd.ArrowDtype)
    shared = file_facts(dataset.files)
    return made_run(folder, list(dataset.ids), list(dataset.labels), list(dataset.class_names), samples=samples,
                    metadata=metadata, shared=shared, data={"data": str(path), "split": split},
                    plan={"source_length": len(dataset), "columns": {"image": "image", "label": "label"}})  # fmt: skip


@settings(quick, max_examples=40)
@given(parquet_rows, st.data())
def test_kept_indices_select_the_same_rows_in_datasets(tmp_path_factory, rows, data):
    datasets = pytest.importorskip("datasets")
    root = tmp_path_factory.mktemp("parquet")
    names = ["cat", "=1+1", "001"]
    path = written_parquet(root, rows, names)
    run = run_on_parquet(path, root / "run")
    vars(run)["_open_data"] = lambda: load(DataSettings(data=path), root)
    classes = run.class_names  # those that have samples
    selection = chosen(len(rows), len(classes), data.draw)
    export(run, selection, root / "out", formats=("npy",))
    source = datasets.Dataset(pq.read_table(path))
    cleaned = subset_of(root / "out").kept(source)
    given = [classes.index(names[row[0]]) for row in rows]
    new = [classes[selection.relabelled.get(i, given[i])] for i in selection.kept.tolist()]
    kept_rows = [rows[i] for i in selection.kept.tolist()]
    items = [cleaned[i] for i in range(len(cleaned))]
    assert [names[item["label"]] for item in items] == new
    assert [(item["note"], item["n"], item["boxes"]) for item in items] == [row[1:] for row in kept_rows]
    written = write_images(run, selection, root / "out", "huggingface")
    assert written.name == "train.parquet"
    again = datasets.Dataset(pq.read_table(written))
    assert again.features["label"].names == classes
    columns = ["image", "source_index", "source_id", "label", "note", "n", "boxes"]
    assert again.column_names == columns
    assert [again.features[c].dtype for c in ("note", "n")] == ["string", "int32"]
    assert again["source_index"][:] == selection.kept.tolist()
    assert [classes[c] for c in again["label"][:]] == new
    assert [(item["note"], item["n"], item["boxes"]) for item in again] == [row[1:] for row in kept_rows]
    ours = load(DataSettings(data=written), root)
    assert [ours.class_names[c] for c in ours.labels] == new
    for i, position in enumerate(selection.kept.tolist()):
        assert ours.images.source(i) == png(position)
        assert again[i]["image"].getpixel((0, 0)) == (position % 256, position // 256, 7)


def test_the_format_of_datasets_is_read_by_its_own_loader(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [(i % 3, f"n{i}", i if i % 2 else None, [i]) for i in range(6)]
    path = written_parquet(tmp_path, rows, ["a", "b", "c"])
    run = run_on_parquet(path, tmp_path / "run", split="test")
    vars(run)["_open_data"] = lambda: load(DataSettings(data=path), tmp_path)
    selection = Selection(np.array([1, 2, 5]), np.array([0, 3, 4]), {2: 0})
    written = write_images(run, selection, tmp_path / "out", "huggingface")
    assert written.name == "test.parquet"
    again = datasets.load_dataset("parquet", data_files={"test": str(written)}, cache_dir=str(tmp_path / "cache"),
                                  split="test")  # fmt: skip
    assert again["label"][:] == [1, 0, 2]
    assert again["n"][:] == [1, None, 5]
    assert again["source_id"][:] == [run.scores["id"][i] for i in (1, 2, 5)]
    assert again[0]["image"].getpixel((0, 0)) == (1, 0, 7)


def test_cells_and_headings_that_begin_like_a_formula_are_text_in_a_spreadsheet():
    frame = pd.DataFrame({"@x": ["=1", "a", "＝2", "\n=3"], "n": [-1, 2, 3, 4]})
    safe = spreadsheet_safe(frame)
    assert list(safe.columns) == ["'@x", "n"]
    assert safe["'@x"].tolist() == ["'=1", "a", "'＝2", "'\n=3"]
    assert safe["n"].tolist() == [-1, 2, 3, 4]
