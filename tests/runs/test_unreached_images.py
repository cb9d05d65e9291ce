"""An image that cannot be reached just now is neither one that has changed nor one that is gone."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.compute import pipeline, queries
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data.fetched import FetchedImages
from lsi.errors import UnreachableError
from lsi.export.images import write_images
from lsi.export.selection import Selection
from lsi.export.web.site import write_site
from lsi.hashing import fingerprint
from lsi.runs.run import Run

N = 24


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def computed(data: Path) -> Run:
    settings = Settings(DataSettings(data=data), features=FeatureSettings("pixels"))
    return pipeline.run(settings, data.parent / "cache")


def everything(run: Run) -> Selection:
    return Selection(np.arange(len(run.scores)), np.array([], dtype=int), {})


@pytest.fixture
def folder(tmp_path) -> Path:
    for i in range(N):
        path = tmp_path / "d" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(i))
    return tmp_path / "d"


def test_a_share_that_fails_changes_no_image(folder, tmp_path, monkeypatch):
    run, stat = computed(folder), os.stat
    position = run.scores["id"].tolist().index("b/07.png")

    def refused(path: Any, *rest: Any, **options: Any) -> os.stat_result:
        if str(path).endswith("07.png"):
            raise OSError(errno.EHOSTDOWN, "Host is down")
        return stat(path, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refused)
        images = Run(run.folder).images
        assert images is not None
        assert images.changes() == {}
        for ask in (images.read, images.native, images.source, images.stamp):
            with pytest.raises(UnreachableError, match=r"b/07\.png cannot be reached \(Host is down\)"):
                ask(position)
        with pytest.raises(UnreachableError, match=r"b/07\.png cannot be reached"):
            write_images(Run(run.folder), everything(run), tmp_path / "out", "copy")
        assert not (tmp_path / "out").exists()
        nothing = pd.DataFrame({"action": [], "label": []})
        with pytest.raises(UnreachableError, match=r"b/07\.png cannot be reached"):
            write_site(Run(run.folder), tmp_path / "site", positions=None, decisions=nothing, remarks=[])
        html = queries.report_of_run(Run(run.folder), None, nothing)
        assert "b/07.png cannot be reached" in html
        assert "have changed since this run" not in html
    assert images.read(position).size == (8, 8)


def parquet(path: Path, numbers: list[int]) -> None:
    rows = [{"bytes": png(i), "path": None} for i in numbers]
    pq.write_table(pa.table({"image": rows, "label": [i % 2 for i in numbers]}), path)


def test_a_row_that_cannot_be_reached_is_no_row_that_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "d.parquet"
    parquet(path, list(range(N)))
    run = computed(path)
    parquet(path, [N, *range(N - 1)])  # one more in front, the last one taken out
    images, checksum, asked = run.images, FetchedImages.checksum, []
    assert images is not None

    def refused(self: FetchedImages, index: int) -> str:
        asked.append(index)
        found = checksum(self, index)
        if found == fingerprint(png(5)):
            raise UnreachableError("d.parquet: cannot be read")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FetchedImages, "checksum", refused)
        assert [images.checksum(i) == fingerprint(png(i)) for i in range(N)] == [True] * N
        assert np.array_equal(np.asarray(images.read(9)), np.asarray(Image.open(io.BytesIO(png(9)))))
        asked.clear()
        assert images.read(11).size == (8, 8)
        assert asked == [11]  # where the others lie is known
        for position in (5, N - 1):  # which may be the row that cannot be reached
            with pytest.raises(UnreachableError, match="cannot be read"):
                images.read(position)
        assert images.changes() == {}
        with pytest.raises(UnreachableError, match="cannot be read"):
            write_images(run, everything(run), tmp_path / "out", "huggingface")
    assert np.array_equal(np.asarray(images.read(5)), np.asarray(Image.open(io.BytesIO(png(5)))))
    assert images.changes() == {N - 1: "has changed since this run"}


def test_data_that_cannot_be_read_any_more_say_why(tmp_path):
    path = tmp_path / "d.parquet"
    parquet(path, list(range(20)))
    run = computed(path)
    path.write_bytes(b"PAR1 nothing else")
    said = Run(run.folder).images.changes()
    assert len(said) == 20
    assert all("is not found, for the data cannot be read any more: " in reason for reason in said.values())
    path.unlink()
    assert set(Run(run.folder).images.changes().values()) == {"is no longer there"}
