"""Another labelling of the same samples: joined by name where it has names, in order where it has none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError
from tests.data.trees import plant, shown


def class_folders(root: Path, names: tuple[str, ...], n: int) -> None:
    plant(root, [f"{names[i % len(names)]}/{i}.png" for i in range(n)])


@pytest.fixture
def folder(tmp_path) -> Path:
    class_folders(tmp_path / "photos", ("cat", "dog"), 12)
    return tmp_path / "photos"


def labelled(folder: Path, table: pd.DataFrame, name: str = "second.csv"):
    path = folder.parent / name
    table.to_parquet(path, index=False) if name.endswith("parquet") else table.to_csv(path, index=False)
    return load(DataSettings(data=folder, labels=f"{path}:label"), folder)


def ids_of(folder: Path) -> list[str]:
    return [str(i) for i in load(DataSettings(data=folder), folder).ids]


@pytest.mark.parametrize("name", ["second.csv", "second.parquet"])
@pytest.mark.parametrize("column", ["path", "id", "file_name"])
@pytest.mark.parametrize("form", ["{}", "photos/{}", "/elsewhere/photos/{}"])
def test_labels_are_joined_by_the_names_in_their_file(folder, name, column, form):
    ids = ids_of(folder)
    order = np.random.default_rng(0).permutation(len(ids))
    table = pd.DataFrame({column: [form.format(ids[i]) for i in order], "label": [ids[i][:3] for i in order]})
    data = labelled(folder, table, name)
    assert [data.class_names[c] for c in data.labels] == [i[:3] for i in ids]
    assert data.plan.notes[-1].endswith(f"labels are joined by the column {column}.")


@pytest.mark.parametrize("name", ["second.csv", "second.parquet"])
def test_labels_are_joined_by_a_column_of_any_name_that_names_the_samples(folder, name):
    ids = ids_of(folder)[::-1]
    table = pd.DataFrame({"site": "a", "id_code": [Path(i).stem + "x" for i in ids], "where": ids, "label": "cat"})
    table["label"] = [i[:3] for i in ids]
    data = labelled(folder, table, name)
    assert (data.labels == data.true_label).all()
    said = "by the column where, which names all samples, so they are not taken in the order of the rows."
    assert data.plan.notes[-1].endswith(said)
    half = table.assign(where=[*ids[:11], "cat/x.png"], path_2=ids)[["where", "path_2", "label"]]
    assert (labelled(folder, half, name).labels == data.true_label).all()
    with pytest.raises(DataError, match=r"its column where names 11 of the 12 samples, and not cat/10\.png"):
        labelled(folder, table.replace({"where": {"cat/10.png": "cat/x.png"}}), name)
    with pytest.raises(DataError, match="columns where and next name the samples in different orders"):
        labelled(folder, table.assign(next=ids[1:] + ids[:1]), name)


def test_lists_in_another_column_are_no_names(folder):
    ids = ids_of(folder)
    table = pd.DataFrame({"vector": [[1.0, 2.0]] * 12, "where": ids[::-1], "label": [i[:3] for i in ids[::-1]]})
    data = labelled(folder, table, "second.parquet")
    assert (data.labels == data.true_label).all()


def test_few_names_and_numbers_in_a_column_of_any_name_are_no_names(tmp_path):
    class_folders(tmp_path / "d", ("cat", "dog"), 12)
    ids = ids_of(tmp_path / "d")
    table = pd.DataFrame({"age": [f"{i}.0" for i in range(12)][::-1], "most_like": ids[:5] + [ids[0]] * 7})
    data = labelled(tmp_path / "d", table.assign(label=[i[:3] for i in ids]))
    assert (data.labels == data.true_label).all()
    assert data.plan.notes[-1].endswith("it has no names, so its rows are taken in the order of the samples.")


def test_labels_are_joined_by_the_columns_that_the_data_are_named_by(tmp_path):
    numbers = [7, 3, 9, 4]
    rows = "".join(f"{i}.png,{n},{'ab'[i % 2]}\n" for i, n in enumerate(numbers))
    plant(tmp_path, [f"{i}.png" for i in range(4)], {"t.csv": f"scan,patient,label\n{rows}"})
    pd.DataFrame({"patient": numbers[::-1], "new": list("bbaa")}).to_csv(tmp_path / "l.csv", index=False)
    settings = {"data": tmp_path / "t.csv", "labels": f"{tmp_path / 'l.csv'}:new"}
    data = load(DataSettings(**settings, id_column="patient"), tmp_path)
    assert [data.class_names[c] for c in data.labels] == list("aabb")


@pytest.mark.parametrize("key", ["ids", "filenames", "paths", "image_id", "whatever"])
def test_arrays_of_names_join_labels_and_name_the_samples(tmp_path, key):
    names, x = np.array([f"f{i}.png" for i in range(6)]), np.random.default_rng(0).normal(size=(6, 3))
    np.savez(tmp_path / "a.npz", features=x, labels=[0, 1, 2] * 2, file_name=names)
    np.savez(tmp_path / "l.npz", labels=[2, 1, 0] * 2, **{key: names[::-1]})
    data = load(DataSettings(data=tmp_path / "a.npz", labels=str(tmp_path / "l.npz")), tmp_path)
    assert data.ids.tolist() == names.tolist()
    assert (data.labels == data.true_label).all()


def test_the_names_that_samples_of_arrays_always_had_come_before_others(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 3))
    names = {key: np.array([f"{key}{i}" for i in range(6)]) for key in ("image_id", "file_name", "paths", "filenames")}
    for key in ("filenames", "paths", "file_name", "image_id"):
        np.savez(tmp_path / "a.npz", features=x, labels=[0, 1, 2] * 2, **names)
        data = load(DataSettings(data=tmp_path / "a.npz"), tmp_path)
        assert data.ids.tolist() == names.pop(key).tolist()


def test_labels_of_json_lines_are_read_and_files_of_other_kinds_are_refused(folder):
    ids, path = ids_of(folder)[::-1], folder.parent / "l.jsonl"
    pd.DataFrame({"path": ids, "label": [i[:3] for i in ids]}).to_json(path, orient="records", lines=True)
    data = load(DataSettings(data=folder, labels=str(path)), folder)
    assert (data.labels == data.true_label).all()
    assert data.plan.notes[-1].endswith("labels are joined by the column path.")
    path.rename(folder.parent / "l.mat")
    with pytest.raises(
        DataError, match=r"--labels: expected a file of the kinds \.npz, \.npy, \.csv, .*, got .*l\.mat"
    ):
        load(DataSettings(data=folder, labels=str(folder.parent / "l.mat")), folder)


def test_names_of_files_alone_do_where_they_are_unique(folder):
    ids = ids_of(folder)
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(f"{path.parent.name}-{path.name}"))
    names = [i.replace("/", "-") for i in ids]
    data = labelled(folder, pd.DataFrame({"file": names[::-1], "label": [i[:3] for i in ids[::-1]]}))
    assert [data.class_names[c] for c in data.labels] == [str(i)[:3] for i in data.ids]


def test_labels_of_other_images_are_refused(folder):
    ids = ids_of(folder)
    ids[3] = "cat/unknown.png"
    with pytest.raises(DataError, match=r"its column path names 11 of the 12 samples, and not cat/"):
        labelled(folder, pd.DataFrame({"path": ids, "label": "cat"}))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", [None, "path"])
def test_labels_are_joined_by_the_paths_in_the_index_of_a_dataframe(folder, suffix, name):
    ids, path = ids_of(folder)[::-1], folder.parent / f"l.{suffix}"
    frame = pd.DataFrame({"label": [i[:3] for i in ids]}, pd.Index(ids, name=name))
    frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
    data = load(DataSettings(data=folder, labels=str(path)), folder)
    assert [data.class_names[c] for c in data.labels] == [str(i)[:3] for i in data.ids]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_in_the_index_of_a_dataframe_name_no_sample(folder, suffix):
    path, frame = folder.parent / f"l.{suffix}", pd.DataFrame({"label": [i[:3] for i in ids_of(folder)]})
    frame.index += 5
    frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
    data = load(DataSettings(data=folder, labels=str(path)), folder)
    assert (data.labels == data.true_label).all()


@pytest.mark.parametrize("index", [["x", *"abcdefghij", "x"], ["", *"abcdefghijk"], [None, *"abcdefghijk"],
                                   list("abcdefghijkl")])  # fmt: skip
def test_an_index_that_does_not_name_each_sample_is_passed_over_with_a_note(folder, index):
    path = folder.parent / "l.parquet"
    pd.DataFrame({"label": [i[:3] for i in ids_of(folder)]}, index).to_parquet(path)
    data = load(DataSettings(data=folder, labels=str(path)), folder)
    assert (data.labels == data.true_label).all()
    note = "its index __index_level_0__ does not name each sample, so its rows are taken in the order of the samples."
    assert data.plan.notes[-1].endswith(note)


@pytest.mark.parametrize("name", [None, "nr", "path"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("option", ["targets", "labels"])
def test_the_one_column_beside_an_index_needs_no_name(folder, name, suffix, option):
    path, ids = folder.parent / f"t.{suffix}", ids_of(folder)
    frame = pd.DataFrame({"price": np.arange(12) % 2}, pd.Index(ids, name=name))
    frame.to_csv(path) if suffix == "csv" else frame.to_parquet(path)
    settings = DataSettings(data=folder, task="regression" if option == "targets" else "auto", **{option: str(path)})
    if (name, suffix) == ("nr", "csv"):  # which says of no column that it is an index
        with pytest.raises(DataError, match="holds nr, price: say which"):
            load(settings, folder)
        return
    data = load(settings, folder)
    assert (data.targets[:, 0] if option == "targets" else data.labels).tolist() == [0, 1] * 6


def test_labels_without_names_are_taken_in_order_and_it_is_said(tmp_path):
    folder = tmp_path / "photos"
    plant(folder, [f"{('cat', 'dog')[i % 2]}/photo {i}.png" for i in range(12)])
    ids = ids_of(folder)
    data = labelled(folder, pd.DataFrame({"id": range(len(ids)), "label": [i[:3] for i in ids]}))
    assert (data.labels == data.true_label).all()
    assert data.plan.notes[-1].endswith("it has no names, so its rows are taken in the order of the samples.")


def test_a_number_among_names_that_are_numbers_is_no_position(tmp_path):
    class_folders(tmp_path / "n", ("1", "2", "3"), 12)
    ids = ids_of(tmp_path / "n")
    with pytest.raises(DataError, match="expected one of the 3 classes 1, 2, 3"):
        labelled(tmp_path / "n", pd.DataFrame({"path": ids, "label": ["0", *("1" for _ in ids[1:])]}))
    data = labelled(tmp_path / "n", pd.DataFrame({"path": ids, "label": ["2", *("1" for _ in ids[1:])]}))
    assert [data.class_names[c] for c in data.labels[:2]] == ["2", "1"]


@pytest.mark.parametrize("name", ["l.npy", "l.csv"])
@pytest.mark.parametrize(("names", "values", "said"), [
    (range(12), range(12), "as a position, in ImageFolder's order of their text, 2 would be the class 10."),
    (range(1, 4), [1, 2, 1], "as a position 1 would be the class 2."),
    (range(1, 4), [1, 2, 3], None),
    (range(4), range(4), None),
])  # fmt: skip
def test_numbers_that_are_names_of_classes_and_could_be_positions_get_a_note(tmp_path, name, names, values, said):
    plant(tmp_path / "n", [f"{own}/{own}.png" for own in names])
    np.save(tmp_path / "l.npy", np.array(values))
    pd.DataFrame({"label": values}).to_csv(tmp_path / "l.csv", index=False)
    data = load(DataSettings(data=tmp_path / "n", labels=str(tmp_path / name)), tmp_path)
    assert [data.class_names[c] for c in data.labels] == [str(value) for value in values]
    notes = [note for note in data.plan.notes if "numbers are read as names of classes, not as positions" in note]
    assert len(notes) == (said is not None)
    assert all(note.endswith(str(said)) for note in notes)


def test_a_position_beside_names_that_are_numbers_is_refused_without_naming_it_as_possible(tmp_path):
    plant(tmp_path / "n", [f"{name}/{name}.png" for name in range(1, 13)])
    np.save(tmp_path / "l.npy", np.arange(12))
    with pytest.raises(DataError) as caught:
        load(DataSettings(data=tmp_path / "n", labels=str(tmp_path / "l.npy")), tmp_path)
    assert str(caught.value).endswith(
        "1, 2, 3, 4, 5, … (a number is a position only where no label is the name of a class), got '0' in row 0."
    )


@pytest.mark.parametrize("value", ["[0, 1]", "['a','b']", " [a,b] "])
def test_a_list_of_labels_as_text_is_several_labels(tmp_path, value):
    plant(tmp_path, ["0.png", "1.png"], {"t.csv": f'path,label\n0.png,a\n1.png,"{value}"\n'})
    with pytest.raises(DataError, match=r"got several \(row 1"):
        load(DataSettings(data=tmp_path / "t.csv"), tmp_path)


def test_rows_of_a_table_are_of_the_split_whose_folder_they_lie_in(tmp_path):
    names = [f"{split}/{i}.png" for split in ("train", "test") for i in range(4)]
    plant(
        tmp_path,
        names,
        {"metadata.csv": "file_name,label\n" + "\n".join(f"{n},{'ab'[i % 2]}" for i, n in enumerate(names))},
    )
    for split in ("train", "test"):
        assert set(load(DataSettings(data=tmp_path, split=split), tmp_path).ids) == {n for n in names if split in n}
    assert len(load(DataSettings(data=tmp_path, split="all"), tmp_path)) == 8


def test_arrays_have_labels_beside_them_and_splits_within(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 3))
    np.save(tmp_path / "X_train.npy", x)
    np.save(tmp_path / "y_train.npy", np.array([0, 1] * 3))
    assert load(DataSettings(data=tmp_path / "X_train.npy"), tmp_path).labels.tolist() == [0, 1] * 3
    np.savez(tmp_path / "a.npz", features=x, fine_labels=[0, 1] * 3, split=["train"] * 4 + ["test"] * 2)
    data = load(DataSettings(data=tmp_path / "a.npz", split="test"), tmp_path)
    assert (data.labels.tolist(), data.index.tolist()) == ([0, 1], [4, 5])


def test_one_name_is_no_label_of_two_images(folder):
    (folder / "dog" / "1.png").rename(folder / "dog" / "0.png")
    names = [i.rpartition("/")[2] for i in ids_of(folder)]
    with pytest.raises(DataError, match="its column path names 10 of the 12 samples"):
        labelled(folder, pd.DataFrame({"path": list(dict.fromkeys(names)), "label": "cat"}))


def test_what_is_said_of_another_labelling_of_data_without_labels_is_in_the_plan(tmp_path):
    plant(tmp_path / "d", [f"{i}.png" for i in range(6)])
    for values, said in (
        ([-1, 0, 1, 0, 1, 0], '"-1" is taken for a class, not for a missing label'),
        (["Cat", "cat", "dog", "dog", "dog", "dog"], "--merge-classes case joins them"),
        (["a ", "b", "a", "b", "a", "b"], "blanks around 1 label do not count"),
    ):
        np.save(tmp_path / "l.npy", np.array(values))
        notes = load(DataSettings(data=tmp_path / "d", labels=str(tmp_path / "l.npy")), tmp_path).plan.notes
        assert any(said in note for note in notes)


def test_what_is_said_of_another_labelling_of_labelled_data_is_in_the_plan(folder):
    data = labelled(folder, pd.DataFrame({"path": ids_of(folder), "label": [" cat", *["dog"] * 11]}))
    assert data.plan.notes[-1].endswith("second.csv:label: blanks around 1 label do not count.")


def test_samples_that_neither_labelling_gives_a_label_stand_apart_together(tmp_path):
    rows = "".join(f"{i}.png,{'ab'[i % 2] if i > 1 else ''},{i}\n" for i in range(8))
    plant(tmp_path, [f"{i}.png" for i in range(8)], {"t.csv": f"path,label,age\n{rows}"})
    more = pd.DataFrame({"path": [f"{i}.png" for i in range(8)], "label": [*"abab", "", "a", "", "b"]})
    more.to_csv(tmp_path / "l.csv", index=False)
    data = load(DataSettings(data=tmp_path / "t.csv", labels=f"{tmp_path / 'l.csv'}:label"), tmp_path)
    assert data.ids.tolist() == ["2.png", "3.png", "5.png", "7.png"]
    apart = data.unlabelled
    assert apart.ids.tolist() == ["0.png", "1.png", "4.png", "6.png"]
    assert (apart.source_index.tolist(), apart.metadata["age"].tolist()) == ([0, 1, 4, 6], ["0", "1", "4", "6"])
    assert [shown(apart.images.read(i)) for i in range(4)] == [0, 1, 4, 6]
    assert (apart.is_labelled, apart.unlabelled, apart.true_label) == (False, None, None)
    assert "4 samples without a label: left out of the fit, still shown" in data.plan.lines()


def test_a_wrong_value_of_another_labelling_is_named_by_its_row_in_the_file(folder):
    ids = ids_of(folder)[::-1]
    with pytest.raises(DataError, match=r"got 'cow' in row 1\."):
        labelled(folder, pd.DataFrame({"path": ids, "label": ["cat", "cow", *["dog"] * 10]}))


def test_targets_of_a_table_are_numbers(folder):
    ids, path = ids_of(folder), folder.parent / "t.csv"
    settings = DataSettings(data=folder, task="regression", targets=f"{path}:price")
    pd.DataFrame({"path": ids[::-1], "price": np.arange(12) / 2}).to_csv(path, index=False)
    assert load(settings, folder).targets[:, 0].tolist() == (np.arange(12)[::-1] / 2).tolist()
    pd.DataFrame({"path": ids, "price": ["1.5", "", *["2"] * 10]}).to_csv(path, index=False)
    with pytest.raises(DataError, match="expected a number as every target; sample 1 has none"):
        load(settings, folder)
    pd.DataFrame({"path": ids, "price": "cheap"}).to_csv(path, index=False)
    with pytest.raises(DataError, match=r"--targets .*: expected numbers of shape \(12,\)"):
        load(settings, folder)


@pytest.mark.parametrize("rows", ["{i}.png,{c}\n", "{c}\n", "{i},photos/{i}.png,{c}\n"])
def test_a_file_of_labels_without_a_header_is_refused_with_that_reason(tmp_path, rows):
    plant(tmp_path / "d", [f"{i}.png" for i in range(6)])
    (tmp_path / "l.csv").write_text("".join(rows.format(i=i, c="ab"[i % 2]) for i in range(6)))
    with pytest.raises(DataError, match=r"l\.csv: the first line is no header \(.*\): put names of columns above it"):
        load(DataSettings(data=tmp_path / "d", labels=str(tmp_path / "l.csv")), tmp_path)


def test_numbers_without_a_header_are_refused_with_a_hint_and_one_that_is_named_is_a_header(tmp_path):
    plant(tmp_path / "d", [f"{i}.png" for i in range(6)])
    labels = str(tmp_path / "l.csv")
    Path(labels).write_text("0\n1\n" * 3)
    with pytest.raises(DataError, match=r"expected 6 labels, .* got 5\. Its first line is taken for names"):
        load(DataSettings(data=tmp_path / "d", labels=labels), tmp_path)
    Path(labels).write_text("0\n" + "0\n1\n" * 3)
    assert load(DataSettings(data=tmp_path / "d", labels=labels), tmp_path).labels.tolist() == [0, 1] * 3
    Path(labels).write_text("cat\n" + "cat\nother\n" * 3)
    assert load(DataSettings(data=tmp_path / "d", labels=f"{labels}:cat"), tmp_path).labels.tolist() == [0, 1] * 3
