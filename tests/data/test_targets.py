"""What is a target to predict: numbers, and neither dates nor durations."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError

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
