"""Ready vectors find their samples, whatever the order of the file, and say what did not join."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsi.errors import DataError
from lsi.features.class_probabilities import FLOOR
from lsi.features.joined import Joined, Source, join_embeddings, join_probabilities

IDS = np.array(["cat/00.png", "cat/01.png", "dog/00.png", "dog/02.png"])
VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
ALL = np.arange(4)
SHUFFLED = np.array([2, 0, 3, 1])
CLASSES = ("cat", "dog")
PROBABILITIES = np.array([[0.9, 0.1], [1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])


def npz(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def lists_as_csv(path: Path, brackets: str = "json") -> Path:
    texts = [str(v.tolist()) if brackets == "json" else str(v) for v in VECTORS[SHUFFLED]]
    pd.DataFrame({"Path ": IDS[SHUFFLED], "embedding": texts, "label": 1}).to_csv(path, index=False)
    return path


def columns_as_csv(path: Path, **options) -> Path:
    frame = pd.DataFrame(VECTORS[SHUFFLED], columns=["f0", "f1", "f2"])
    frame.insert(0, "file_name", IDS[SHUFFLED])
    frame.assign(label=[1, 0, 1, 0], note="text").to_csv(path, index=False, **options)
    return path


def parquet(path: Path, **columns) -> Path:
    pq.write_table(pa.table({"id": IDS[SHUFFLED].tolist(), **columns}), path, row_group_size=2)
    return path


def beside(folder: Path, suffix: str) -> Path:
    np.save(folder / "v.npy", VECTORS[SHUFFLED])
    if suffix == "npy":
        np.save(folder / "v_ids.npy", IDS[SHUFFLED])
    else:
        (folder / "v_ids.txt").write_text("\n".join(IDS[SHUFFLED]) + "\n")
    return folder / "v.npy"


def structured(path: Path) -> Path:
    rows = np.zeros(4, dtype=[("id", "U20"), ("embedding", "f4", 3)])
    rows["id"], rows["embedding"] = IDS[SHUFFLED], VECTORS[SHUFFLED]
    np.save(path, rows)
    return path


FORMS = {
    "npz": lambda f: npz(f / "v.npz", ids=IDS[SHUFFLED], embeddings=VECTORS[SHUFFLED]),
    "npz with keys and features in bytes": lambda f: npz(f / "v.npz", keys=IDS[SHUFFLED].astype("S20"),
                                                         features=VECTORS[SHUFFLED]),
    "npz by key": lambda f: f"{npz(f / 'v.npz', id=IDS[SHUFFLED], other=VECTORS, mine=VECTORS[SHUFFLED])}:mine",
    "npz whose only matrix has another name": lambda f: npz(f / "v.npz", id=IDS[SHUFFLED], z=VECTORS[SHUFFLED]),
    "npy with ids in .npy": lambda f: beside(f, "npy"),
    "npy with ids in .txt": lambda f: beside(f, "txt"),
    "structured npy": lambda f: structured(f / "v.npy"),
    "csv of lists": lambda f: lists_as_csv(f / "v.csv"),
    "csv of printed arrays": lambda f: lists_as_csv(f / "v.csv", "numpy"),
    "csv of columns": lambda f: columns_as_csv(f / "v.csv"),
    "csv of columns by the start of their names": lambda f: f"{columns_as_csv(f / 'v.csv')}:f",
    "csv with semicolons and a BOM": lambda f: columns_as_csv(f / "v.csv", sep=";", encoding="utf-8-sig"),
    "tsv": lambda f: columns_as_csv(f / "v.tsv", sep="\t"),
    "parquet of lists": lambda f: parquet(f / "v.parquet", embedding=VECTORS[SHUFFLED].tolist()),
    "parquet of lists of fixed size": lambda f: parquet(
        f / "v.parquet", vector=pa.FixedSizeListArray.from_arrays(pa.array(VECTORS[SHUFFLED].ravel()), 3)),
    "parquet of columns": lambda f: parquet(f / "v.parquet", image=[{"bytes": b"x"}] * 4, label=[1, 0, 1, 0],
                                            **{f"v{i}": VECTORS[SHUFFLED][:, i] for i in range(3)}),
    "parquet by column": lambda f: f"{parquet(f / 'v.parquet', a=VECTORS.tolist(), b=VECTORS[SHUFFLED].tolist())}:b",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_gives_the_vectors_in_the_order_of_the_samples(tmp_path, form):
    joined = join_embeddings(str(FORMS[form](tmp_path)), IDS, ALL)
    np.testing.assert_allclose(joined.values, VECTORS, rtol=1e-6)
    assert joined.has_vector.all()
    assert not any("left out:" in n and "samples" in n for n in joined.notes)


def test_columns_that_are_used_and_left_out_are_named(tmp_path):
    notes = join_embeddings(str(columns_as_csv(tmp_path / "v.csv")), IDS, ALL).notes
    assert notes == ("the 3 columns f0 … f2 of v.csv are the vectors; numbers left out: label",)


def test_a_file_without_ids_is_taken_in_order_and_says_so(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    joined = join_embeddings(str(tmp_path / "v.npy"), IDS, np.array([1, 3]))
    np.testing.assert_array_equal(joined.values, VECTORS[[1, 3]])
    assert joined.notes == ("v.npy names no samples: its 4 rows are taken in the order of the data",)


def test_missing_and_surplus_rows_are_counted_and_named(tmp_path):
    keys = ["dog/02.png", "bird/00.png", "cat/00.png", "bird/01.png"]
    path = npz(tmp_path / "v.npz", ids=keys, embeddings=VECTORS)
    joined = join_embeddings(str(path), IDS, ALL)
    np.testing.assert_array_equal(joined.has_vector, [True, False, False, True])
    np.testing.assert_array_equal(joined.values, [VECTORS[2], np.zeros(3), np.zeros(3), VECTORS[0]])
    assert joined.notes == (
        "2 of 4 rows of v.npz belong to no sample: bird/00.png, bird/01.png",
        "2 of 4 samples have no embedding in v.npz and are left out: cat/01.png, dog/00.png",
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("are_names", [True, False])
def test_texts_of_any_name_join_vectors_where_they_name_the_samples(tmp_path, suffix, are_names):
    path, order = tmp_path / f"v.{suffix}", SHUFFLED if are_names else ALL
    names = IDS[order] if are_names else np.array(["a cat", "01", "a dog", "x"])
    frame = pd.DataFrame(VECTORS[order], columns=["f0", "f1", "f2"]).assign(id_code=names, site="a", score=[3, 1, 2, 0])
    if suffix == "npz":
        np.savez(path, embeddings=VECTORS[order], id_code=names, site=["a"] * 4)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    joined = join_embeddings(str(path) if suffix == "npz" else f"{path}:f", IDS, ALL)
    np.testing.assert_allclose(joined.values, VECTORS, rtol=1e-5)
    assert any("names no samples" in note for note in joined.notes) != are_names


def test_rows_of_samples_outside_a_subset_are_no_surplus(tmp_path):
    path = npz(tmp_path / "v.npz", ids=IDS, embeddings=VECTORS)
    assert join_embeddings(str(path), IDS, np.array([2])).notes == ()


def test_rows_without_names_are_those_of_the_source_where_its_order_is_another(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    joined = join_embeddings(str(tmp_path / "v.npy"), IDS, ALL, Source(SHUFFLED, 4))
    np.testing.assert_array_equal(joined.values, VECTORS[SHUFFLED])
    assert joined.notes == ("v.npy names no samples: its 4 rows are taken in the order of the source's rows",)
    outside = join_embeddings(str(tmp_path / "v.npy"), IDS, ALL, Source(ALL + 3, 4))  # rows of several sources
    np.testing.assert_array_equal(outside.values, VECTORS)


def test_rows_of_samples_without_a_label_belong_to_a_sample(tmp_path):
    source = Source(ALL[:2], 4, other_ids=IDS[2:])
    path = npz(tmp_path / "v.npz", ids=["x.png", *IDS[1:]], embeddings=VECTORS)
    notes = join_embeddings(str(path), IDS[:2], ALL[:2], source).notes
    assert notes[0] == "1 of 4 rows of v.npz belong to no sample: x.png"
    path = npz(tmp_path / "v.npz", ids=["cat/00.png", "0.png"], embeddings=VECTORS[:2])
    source = Source(ALL[:2], 3, other_ids=np.array(["b/0.png"]))  # 0.png may be either's
    assert join_embeddings(str(path), np.array(["cat/00.png", "a/0.png"]), ALL[:2], source).has_vector.sum() == 1


@pytest.mark.parametrize(
    ("ids", "keys", "rows", "note"),
    [
        (["a/0.png", "a/1.png"], ["/data/set/a/1.png", "/data/set/a/0.png"], [1, 0], "by the end of their path"),
        (["train/a/0.png", "train/a/1.png"], ["1.png", "0.png"], [1, 0], "by the end of their path"),
        (["a/0.png", "a/1.png"], ["a\\1.png", ".\\a\\0.png"], [1, 0], "by the end of their path"),
        (["a/0.png", "a/1.jpg"], ["1", "0"], [1, 0], "by their name without suffix"),
        (["a/0.png", "a/1.jpg"], ["x/a/1.npy", "x/a/0.npy"], [1, 0], "by their name without suffix"),
        (["000000", "000017"], [17, 0], [1, 0], "by number"),
        (["000000", "000017"], [17.0, 0.0], [1, 0], "by number"),
        (["a/0.png", "b/0.png"], ["0.png", "b/0.png"], [-1, 1], "belong to no sample: 0.png"),
        (["a/0.png", "a/0.jpg", "a/1.png"], ["0", "1"], [-1, -1, 1], "belong to no sample: 0"),
        (["0.png", "1.png"], ["train/0.png", "test/0.png", "test/1.png"], [-1, 2], "belong to no sample"),
        (["train/0.png", "train/1.png"], ["test/0.png", "train/1.png"], [-1, 1], "belong to no sample: test/0.png"),
    ],
)
def test_paths_are_joined_by_their_end_where_nobody_else_has_it(tmp_path, ids, keys, rows, note):
    values = np.arange(1.0, len(keys) + 1)[:, None].repeat(2, axis=1)
    path = npz(tmp_path / "v.npz", ids=np.array(keys), embeddings=values)
    joined = join_embeddings(str(path), np.array(ids), np.arange(len(ids)))
    np.testing.assert_array_equal(joined.values[:, 0], np.array(rows) + 1)
    assert any(note in n for n in joined.notes)


MNIST = [f"{digit}/{i}.png" for digit in "01" for i in sorted(map(str, range(24))) if int(i) % 2 == int(digit)]


def numbered_file(file: Path, names: list[str], **columns) -> Path:
    """Write vectors that begin with the number in a sample's name, and other columns."""
    values = [[float(Path(name).stem), 0.5] for name in names]
    return parquet_of(file, pd.DataFrame({**columns, "embedding": values}))


def parquet_of(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["path", "file_name", "image"])
@pytest.mark.parametrize("first", [0, 1])
def test_paths_count_before_a_column_that_counts_rows(tmp_path, name, first):
    rows = np.random.default_rng(0).permutation(MNIST).tolist()
    path = numbered_file(tmp_path / "v.parquet", rows, id=np.arange(first, first + 24), **{name: rows})
    joined = join_embeddings(str(path), np.array(MNIST), np.arange(24))
    assert joined.values[:, 0].tolist() == [float(Path(n).stem) for n in MNIST]
    assert joined.notes == (f"v.parquet is joined by its column {name}, not by id",)


@pytest.mark.parametrize("rows", [MNIST, sorted(MNIST, key=lambda n: int(Path(n).stem))])
def test_a_column_that_counts_rows_and_gives_names_in_another_order_is_refused(tmp_path, rows):
    path = numbered_file(tmp_path / "v.parquet", rows, id=np.arange(24))
    with pytest.raises(DataError, match="its column id counts its own rows and also gives the numbers in the samples'"):
        join_embeddings(str(path), np.array(MNIST), np.arange(24))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("form", ["{:06d}", "img_{}.png"])
def test_a_column_that_counts_rows_leaves_their_order(tmp_path, first, form):
    path = numbered_file(tmp_path / "v.parquet", [f"{i}.png" for i in range(24)], id=np.arange(first, first + 24))
    joined = join_embeddings(str(path), np.array([form.format(i) for i in range(24)]), np.arange(24))
    assert joined.values[:, 0].tolist() == list(range(24))


def test_a_column_that_counts_the_rows_of_the_source_joins_a_split_of_it(tmp_path):
    path = numbered_file(tmp_path / "v.parquet", [f"{i}.png" for i in range(24)], id=np.arange(24))
    ids = np.array([f"{i:06d}" for i in range(5, 24, 3)])
    source = Source(np.arange(5, 24, 3), 24)
    assert join_embeddings(str(path), ids, np.arange(7), source).values[:, 0].tolist() == list(range(5, 24, 3))


def test_a_column_of_ids_that_names_more_samples_counts(tmp_path):
    frame = pd.DataFrame({"path": ["x.png", *IDS[1:]], "id": IDS, "name": ["a", "a", "b", "b"]})
    path = parquet_of(tmp_path / "v.parquet", frame.assign(embedding=VECTORS.tolist()))
    np.testing.assert_allclose(join_embeddings(str(path), IDS, ALL).values, VECTORS)


def test_numbers_that_name_samples_are_no_part_of_a_vector(tmp_path):
    frame = pd.DataFrame(VECTORS, columns=["f0", "f1", "f2"]).assign(image_id=[7, 8, 9, 10], path=IDS)
    frame.to_csv(tmp_path / "v.csv", index=False)
    np.testing.assert_allclose(join_embeddings(str(tmp_path / "v.csv"), IDS, ALL).values, VECTORS, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_paths_in_the_index_of_a_dataframe_join(tmp_path, suffix):
    path = saved(pd.DataFrame(VECTORS[SHUFFLED], IDS[SHUFFLED], ["f0", "f1", "f2"]), tmp_path / f"v.{suffix}")
    np.testing.assert_allclose(join_embeddings(str(path), IDS, ALL).values, VECTORS, rtol=1e-6)
    path = saved(pd.DataFrame({"index": IDS[SHUFFLED], "e": VECTORS[SHUFFLED].tolist()}), tmp_path / f"w.{suffix}")
    np.testing.assert_allclose(join_embeddings(str(path), IDS, ALL).values, VECTORS, rtol=1e-6)


def test_a_column_of_paths_counts_before_an_index_of_text(tmp_path):
    path = saved(pd.DataFrame({"path": IDS, "embedding": VECTORS.tolist()}, IDS[SHUFFLED]), tmp_path / "v.parquet")
    np.testing.assert_allclose(join_embeddings(str(path), IDS, ALL).values, VECTORS)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_numbers_in_the_index_of_a_dataframe_are_no_part_of_a_vector(tmp_path, suffix):
    frame, path = pd.DataFrame(VECTORS, [7, 8, 19, 1000], ["f0", "f1", "f2"]), tmp_path / f"v.{suffix}"
    saved(frame, path)
    if suffix == "csv":  # saved twice: its columns are "Unnamed: 0.1", "Unnamed: 0" and ""
        for _ in range(2):
            pd.read_csv(path).to_csv(path)
    np.testing.assert_allclose(join_embeddings(str(path), IDS, ALL).values, VECTORS, rtol=1e-6)


@pytest.mark.parametrize("index", [list("aabc"), ["a", "", "b", "c"], list("abcd")])
def test_an_index_of_text_that_names_no_sample_leaves_the_order_with_a_note(tmp_path, index):
    path = saved(pd.DataFrame({"embedding": VECTORS.tolist()}, index), tmp_path / "v.parquet")
    joined = join_embeddings(str(path), IDS, ALL)
    np.testing.assert_allclose(joined.values, VECTORS)
    assert joined.notes[0] == "the index __index_level_0__ of v.parquet does not name each sample and is passed over"


def test_columns_without_a_name_are_part_of_a_vector(tmp_path):
    (tmp_path / "v.csv").write_text(
        "id,,\n" + "".join(f"{i},{v[0]},{v[1]}\n" for i, v in zip(IDS, VECTORS, strict=True))
    )
    np.testing.assert_allclose(join_embeddings(str(tmp_path / "v.csv"), IDS, ALL).values, VECTORS[:, :2], rtol=1e-6)


def saved(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path)
    return path


@given(st.permutations(range(6)), st.integers(1, 6), st.booleans())
def test_any_order_and_any_part_of_a_file_joins_to_the_right_samples(tmp_path_factory, order, count, is_rooted):
    ids = np.array([f"{'ab'[i % 2]}/{i // 2}.png" for i in range(6)])
    values = np.arange(1.0, 7)[:, None] * np.ones(2)
    rows = np.array(order[:count])
    keys = [("/somewhere/" if is_rooted else "") + ids[i] for i in rows]
    path = npz(tmp_path_factory.mktemp("v") / "v.npz", ids=np.array(keys), embeddings=values[rows])
    joined = join_embeddings(str(path), ids, np.arange(6))
    np.testing.assert_array_equal(np.flatnonzero(joined.has_vector), np.sort(rows))
    np.testing.assert_array_equal(joined.values[joined.has_vector], values[np.sort(rows)])


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_text(content, encoding=encoding)
    return path


def array(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


ONE_ROW = "id,v0\na,1"
NAN = np.where(np.arange(12).reshape(4, 3) == 7, np.nan, VECTORS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: "none.npz", "--embeddings: no such file: none.npz"),
        (lambda f: "none.npz:key", "--embeddings: no such file: none.npz"),
        (lambda f: text(f / "v.json", "[]"), "expected a file of the kinds .npy, .*got .*v.json"),
        (lambda f: text(f / "v.npz", "[]"), "v.npz: not readable as arrays without pickles"),
        (lambda f: npz(f / "v.npz", ids=IDS.astype(object), embeddings=VECTORS), "save ids with np.array"),
        (lambda f: text(f / "v.parquet", "[]"), "v.parquet: not readable as Parquet"),
        (lambda f: text(f / "v.csv", "id,a\n\"x"), "v.csv: not readable as a table"),
        (lambda f: text(f / "v.csv", "id,a\ncaf\xe9,1", "latin-1"), "v.csv: expected UTF-8 text: save the table"),
        (lambda f: text(f / "v.csv", "0.5,1.5\n2.5,1.0"), "expected a first line with the names of .*got 0.5,1.5"),
        (lambda f: text(f / "v.csv", "id,label\na,1"), "a column of lists or columns of numbers, got id, label"),
        (lambda f: f"{text(f / 'v.csv', ONE_ROW)}:w", "or columns of numbers called w…, got id, v0"),
        (lambda f: text(f / "v.csv", "id,embedding\na,\"[1, 2]\"\nb,\"[1, x]\""),
         r"v.csv, row 2: expected a list of numbers in column embedding, got \[1, x\]"),
        (lambda f: text(f / "v.csv", "id,embedding\na,\"[1, 2]\"\nb,\"[1]\""),
         "v.csv, row 2: expected 2 numbers in column embedding, got 1"),
        (lambda f: parquet(f / "v.parquet", embedding=[[1.0], [2.0], None, [3.0]]),
         "v.parquet, row 3: expected 1 numbers in column embedding, got nothing"),
        (lambda f: parquet(f / "v.parquet", a=[[1.0]] * 4, b=[[1.0]] * 4), "the columns a, b hold lists: say which"),
        (lambda f: npz(f / "v.npz", ids=IDS, a=VECTORS, b=VECTORS), "it holds ids, a, b: say which are the vectors"),
        (lambda f: f"{npz(f / 'v.npz', ids=IDS, a=VECTORS)}:b", "it holds ids, a: say which are the vectors"),
        (lambda f: f"{array(f / 'v.npy', VECTORS)}:b", "an .npy file holds one array; leave :b out"),
        (lambda f: array(f / "v.npy", VECTORS[:, 0]), r"expected numbers of shape \(samples, embeddings\), got"),
        (lambda f: array(f / "v.npy", IDS[:, None]), "expected numbers of shape .*, got <U10"),
        (lambda f: array(f / "v.npy", VECTORS[:3]), "it names no samples and holds 3 rows, and"),
        (lambda f: npz(f / "v.npz", ids=IDS[:3], embeddings=VECTORS), "expected 4 ids, one a row of .*got 3"),
        (lambda f: npz(f / "v.npz", ids=["a", "b", "", "c"], embeddings=VECTORS), "row 3: expected an id, got"),
        (lambda f: npz(f / "v.npz", ids=["a", "b", "c", "b"], embeddings=VECTORS), "row 4: the id 'b' is also"),
        (lambda f: npz(f / "v.npz", ids=list("abcd"), embeddings=VECTORS),
         "none of its ids is one of the data's: it has 'a', 'b', 'c', the data 'cat/00.png'"),
        (lambda f: npz(f / "v.npz", ids=IDS, embeddings=NAN), "v.npz, row 3: expected finite numbers for dog/00.png"),
        (lambda f: text(f / "v.csv", "id,v0,v1\ncat/00.png,1,\n"), "v.csv, row 1: expected finite numbers for cat"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_named(tmp_path, make, message):
    with pytest.raises(DataError, match=message):
        join_embeddings(str(make(tmp_path)), IDS, ALL)


def test_ids_beside_an_array_are_text(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    (tmp_path / "v_ids.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match=r"v_ids.txt: expected ids as UTF-8 text, a line each"):
        join_embeddings(str(tmp_path / "v.npy"), IDS, ALL)


def joined_probabilities(path: Path | str, class_names=CLASSES) -> Joined:
    return join_probabilities(str(path), IDS, ALL, class_names)


EXPECTED = np.log(np.maximum(PROBABILITIES, FLOOR))


def test_the_logarithm_of_probabilities_is_clipped_so_that_it_is_finite(tmp_path):
    joined = joined_probabilities(npz(tmp_path / "p.npz", ids=IDS[SHUFFLED], probabilities=PROBABILITIES[SHUFFLED]))
    np.testing.assert_allclose(joined.values, EXPECTED)
    assert joined.values[1, 1] == pytest.approx(np.log(1e-6))
    assert joined.notes == ("the columns of p.npz are taken in the order of the classes: cat, dog",)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_columns_that_are_called_like_the_classes_are_put_in_their_order(tmp_path, kind):
    path = tmp_path / f"p.{kind}"
    frame = pd.DataFrame(PROBABILITIES[SHUFFLED][:, ::-1], columns=["dog", "cat"]).assign(id=IDS[SHUFFLED], epoch=7)
    if kind == "npz":
        npz(path, ids=IDS[SHUFFLED], pred_probs=PROBABILITIES[SHUFFLED][:, ::-1], classes=["dog", "cat"])
    else:
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    joined = joined_probabilities(path)
    np.testing.assert_allclose(joined.values, EXPECTED)
    assert joined.notes == (f"the columns of p.{kind} are joined to the classes by name",)


def test_a_class_may_be_called_like_a_column_of_ids(tmp_path):
    frame = pd.DataFrame(PROBABILITIES, columns=["file", "label"]).assign(path=IDS)
    frame.to_csv(tmp_path / "p.csv", index=False)
    np.testing.assert_allclose(joined_probabilities(tmp_path / "p.csv", ("file", "label")).values, EXPECTED)


def test_rounded_rows_are_made_to_sum_to_one(tmp_path):
    path = npz(tmp_path / "p.npz", ids=IDS, probs=PROBABILITIES.astype(np.float16) * np.float16(0.99))
    np.testing.assert_allclose(np.exp(joined_probabilities(path).values).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("columns", [["p0", "p1", "p2"], ["cat", "cow", "dog"]])
def test_columns_of_classes_without_samples_are_left_out(tmp_path, columns):
    values = np.array([[0.45, 0.5, 0.05], [0.5, 0.5, 0], [0.25, 0, 0.75], [0, 1, 0]])
    pd.DataFrame(values, columns=columns).assign(id=IDS).to_parquet(tmp_path / "p.parquet")
    joined = join_probabilities(str(tmp_path / "p.parquet"), IDS, ALL, ("cat", "cow", "dog"), None, CLASSES)
    np.testing.assert_allclose(joined.values, EXPECTED)  # the last row says nothing of cat and dog
    assert joined.notes[-1] == "the columns of classes without samples are left out: cow"


@pytest.mark.parametrize("columns", [["p0", "p1"], ["cat", "dog"]])
def test_probabilities_of_the_classes_that_have_samples_will_do(tmp_path, columns):
    pd.DataFrame(PROBABILITIES, columns=columns).assign(id=IDS).to_parquet(tmp_path / "p.parquet")
    joined = join_probabilities(str(tmp_path / "p.parquet"), IDS, ALL, ("cat", "cow", "dog"), None, CLASSES)
    np.testing.assert_allclose(joined.values, EXPECTED)
    with pytest.raises(DataError, match=r"expected a column for each of the 3 classes, got none for cow|expected 3 c"):
        join_probabilities(str(tmp_path / "p.parquet"), IDS, ALL, ("cat", "cow", "dog"), None, ("cat", "cow", "dog"))


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        (None, PROBABILITIES * 8 - 4, r"a row from -3.2 to 3.2 with sum 0 for cat/00.png: if these are logits"),
        (None, np.log(PROBABILITIES + 0.01), "if these are logits, give their softmax"),
        (None, PROBABILITIES * 100, "from 0 to 1 that sum to 1, got a row from 10 to 90 with sum 100"),
        (None, PROBABILITIES * 0, "with sum 0 for cat/00.png"),
        (None, np.where(PROBABILITIES == 1, np.nan, PROBABILITIES), "row 2: expected finite numbers for cat/01.png"),
        (None, np.full((4, 3), 1 / 3), "expected 2 columns of probabilities, one for each class of the data, got 3"),
        (["cat", "bird"], PROBABILITIES, "expected a column for each of the 2 classes, got none for dog"),
        (["cat", "dog", "bird"], np.full((4, 3), 1 / 3), "with sum 0.6667 .*; numbers left out: bird"),
    ],
)  # fmt: skip
def test_what_are_no_probabilities_of_the_classes_is_named(tmp_path, columns, values, message):
    frame = pd.DataFrame(values, columns=columns or [f"p{i}" for i in range(values.shape[1])])
    frame.assign(id=IDS).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match=message):
        joined_probabilities(tmp_path / "p.parquet")


def test_paths_come_before_images_that_are_numbers(tmp_path):
    ids = np.array(["0.png", "1.png", "10.png", "2.png"])
    frame = pd.DataFrame({"image": [0, 1, 2, 10], "path": ids[SHUFFLED], "f0": SHUFFLED, "f1": 0.5})
    frame.to_csv(tmp_path / "v.csv", index=False)
    assert join_embeddings(str(tmp_path / "v.csv"), ids, ALL).values[:, 0].tolist() == [0, 1, 2, 3]
