"""What is a target to predict: numbers, and neither dates nor durations."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError
from tests.data.trees import plant

KINDS = [*(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")), pa.timestamp("us", tz="UTC"), pa.date32(),
         pa.date64(), pa.time32("s"), pa.duration("s")]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [7200, None])
def test_dates_and_durations_in_columns_are_no_targets(tmp_path, kind, first):
    numbers = pa.array([first, 7200], pa.int32() if kind in (pa.date32(), pa.time32("s")) else pa.int64())
    pq.write_table(pa.table({"text": ["a", "b"], "when": numbers.cast(kind)}), tmp_path / "d.parquet")
    settings = DataSettings(data=tmp_path / "d.parquet", task="regression", targets="when")
    with pytest.raises(DataError, match="expected a number in column when, row 0, got"):
        load(settings, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["{}.png", "a/{}.png"])
def test_dates_and_durations_in_parquet_beside_images_are_no_targets(tmp_path, kind, name):
    plant(tmp_path, [name.format(i) for i in range(2)] + ["b/2.png"] * name.startswith("a"))
    numbers = pa.array([0, 7200], pa.int32() if kind in (pa.date32(), pa.time32("s")) else pa.int64())
    table = pa.table({"path": [name.format(i) for i in range(2)], "when": numbers.cast(kind)})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"expected a number in column when|no such file: when"):
        load(DataSettings(data=tmp_path, task="regression", targets="when"), tmp_path)


@pytest.mark.parametrize("kind", ["M8[D]", "m8[s]", "M8[ns]"])
@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_dates_and_durations_in_arrays_are_no_targets(tmp_path, kind, shape):
    np.savez(tmp_path / "d.npz", features=np.eye(2), when=np.array([1, 2]).astype(kind).reshape(shape))
    settings = DataSettings(data=tmp_path / "d.npz", task="regression", targets="when")
    with pytest.raises(DataError, match="expected a number in column when, row 0, got"):
        load(settings, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_dates_and_durations_of_a_file_of_their_own_are_no_targets(tmp_path, kind):
    np.savez(tmp_path / "d.npz", features=np.eye(2), ids=["a", "b"])
    numbers = pa.array([0, 7200], pa.int32() if kind in (pa.date32(), pa.time32("s")) else pa.int64())
    pq.write_table(pa.table({"id": ["b", "a"], "when": numbers.cast(kind)}), tmp_path / "t.parquet")
    settings = DataSettings(data=tmp_path / "d.npz", task="regression", targets=f"{tmp_path / 't.parquet'}:when")
    with pytest.raises(DataError, match=r"--targets .*: expected numbers of shape \(2,\)"):
        load(settings, tmp_path)


def test_a_column_that_is_kept_beside_class_folders_may_be_the_target(tmp_path):
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(4)]
    plant(tmp_path, names, {"m.csv": "file_name,age\n" + "".join(f"{n},{i / 2}\n" for i, n in enumerate(names))})
    settings = DataSettings(data=tmp_path, task="regression", targets="age")
    data = load(settings, tmp_path)
    assert dict(zip(map(str, data.ids), data.targets[:, 0], strict=True)) == {n: i / 2 for i, n in enumerate(names)}
    assert (data.target_names, list(data.metadata)) == (("age",), ["age"])
    (tmp_path / "m.csv").write_text("file_name,age\n" + "".join(f"{n},1\n" for n in names[:3]))
    with pytest.raises(DataError, match="expected a number in column age, row 3, got 'None'"):
        load(settings, tmp_path)
    with pytest.raises(DataError, match="no such file: size; columns by name need data with columns"):
        load(DataSettings(data=tmp_path, task="regression", targets="size"), tmp_path)
