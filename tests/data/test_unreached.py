"""What breaks while data are read is told apart from what is wrong with them, wherever it breaks."""

import errno
import io
import json
import os
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, Settings
from lsi.data.sources import read_found
from lsi.data.sources.samples import Options
from lsi.data.trees import LocalTree, TarTree, ZipTree, open_tree
from lsi.data.trees.remote import RemoteTree
from lsi.errors import DataError, UnreachableError
from tests.data.memory_tree import MemoryTree

fsspec = pytest.importorskip("fsspec")
N = 60


class ClientPayloadError(Exception):
    """As a client of HTTP raises where a connection ends within an answer: no error of the system, by no such name."""


class BreakingFile(io.BytesIO):
    """A file of which one byte never arrives."""

    def __init__(self, content: bytes, broken: int | None, error: Exception) -> None:
        super().__init__(content)
        self.broken, self.error = broken, error

    def readinto(self, buffer: Any) -> int:
        if self.broken is not None and self.tell() <= self.broken < self.tell() + len(buffer):
            raise self.error
        return super().readinto(buffer)


@dataclass
class BreakingServer:
    """Files behind an address, as fsspec gives them; the byte `broken` of each never arrives."""

    files: dict[str, bytes] = field(repr=False)
    broken: int | None = None
    error: Exception = field(default_factory=lambda: ClientPayloadError("Response payload is not completed"))

    def invalidate_cache(self, path: str) -> None:
        """Keep nothing."""

    def isfile(self, path: str) -> bool:
        return path in self.files

    def find(self, root: str, detail: bool) -> dict[str, dict[str, Any]]:
        return {name: {"size": len(data), "ETag": "1"} for name, data in self.files.items() if name.startswith(root)}

    def cat_file(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        return self.files[path][start:end]

    def open(self, path: str, mode: str, block_size: int) -> BreakingFile:
        return BreakingFile(self.files[path], self.broken, self.error)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(shade).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = {f"{'ab'[i % 2]}/{i:02d}.png": png(i) + bytes(5000) for i in range(N)}  # more than is read at once


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in IMAGES.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in IMAGES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet() -> bytes:
    table = {"image": [{"bytes": data, "path": None} for data in IMAGES.values()], "label": [i % 2 for i in range(N)]}
    buffer = io.BytesIO()
    pq.write_table(pa.table(table), buffer, row_group_size=10)
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch) -> BreakingServer:
    files = {"d.zip": zipped(), "d.parquet": parquet(), "d.tar": tarred("w"), "d.tar.gz": tarred("w:gz")}
    files["d.tar.zst"] = pa.compress(files["d.tar"], codec="zstd", asbytes=True)
    server = BreakingServer({f"bucket/{name}": content for name, content in files.items()})
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda address: (server, address.partition("://")[2]))
    return server


@pytest.mark.parametrize("name", ["d.zip", "d.parquet"])
def test_images_behind_a_connection_that_breaks_are_read_at_the_next_start(server, tmp_path, name):
    def computed():
        data = DataSettings(data=Path(f"s3://bucket/{name}"))
        return pipeline.run(Settings(data, features=FeatureSettings("pixels")), tmp_path / "cache")

    server.broken = len(server.files[f"bucket/{name}"]) // 2
    with pytest.raises(UnreachableError, match="cannot be read: ClientPayloadError: Response payload"):
        computed()
    server.broken = None
    run = computed()
    assert len(run.scores) == N
    assert run.manifest["dataset"]["skipped"] == []


@pytest.mark.parametrize("name", ["d.zip", "d.tar", "d.tar.gz", "d.tar.zst"])
def test_an_archive_that_a_connection_breaks_in_is_not_called_damaged(server, name):
    server.broken = len(server.files[f"bucket/{name}"]) - 10
    with pytest.raises(UnreachableError, match="ClientPayloadError"):
        open_tree(f"s3://bucket/{name}")
    server.broken = None
    assert len(list(open_tree(f"s3://bucket/{name}").names())) == N


def test_members_of_an_archive_that_vanishes_while_it_is_read_are_not_called_damaged(server):
    server.broken, server.error = 100, FileNotFoundError("d.zip")
    tree = open_tree("s3://bucket/d.zip")
    with pytest.raises(UnreachableError, match="there is no file or folder of that name"):
        tree.read("a/00.png")


def test_a_place_that_an_open_file_does_not_have_is_no_fault_of_the_network(server):
    class Strict(BreakingFile):
        def seek(self, offset: int, whence: int = 0) -> int:
            if whence == 2 and offset < -len(self.getvalue()):
                raise ValueError("Seek before start of file")  # as fsspec's own files do
            return super().seek(offset, whence)

    server.files["bucket/cut.zip"] = b"PK\x03\x04cut"
    server.open = lambda path, *_, **__: Strict(server.files[path], None, server.error)  # type: ignore[method-assign]
    with pytest.raises(DataError, match="is it complete") as raised:
        open_tree("s3://bucket/cut.zip")
    assert not isinstance(raised.value, UnreachableError)


def test_a_file_that_is_closed_closes_what_the_server_gave(server):
    given: list[BreakingFile] = []
    opened = server.open
    server.open = lambda *a, **k: given.append(opened(*a, **k)) or given[-1]  # type: ignore[method-assign]
    with RemoteTree("s3://bucket").open("d.tar") as file:
        assert file.read(4) == server.files["bucket/d.tar"][:4]
    assert given[0].closed


class FailingDisk(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, *_: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("kind", [ZipTree, TarTree])
def test_an_archive_on_a_disk_that_fails_is_not_called_damaged(kind):
    with pytest.raises(UnreachableError, match="the archive cannot be read"):
        kind("d", FailingDisk(bytes(1000)))


def test_a_folder_on_a_disk_that_fails_is_not_called_empty(tmp_path, monkeypatch):
    def refused(*_: Any) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refused)
        patch.setattr(Path, "is_file", refused)
        for ask in (lambda t: list(t.names()), lambda t: t.has("a.png")):
            with pytest.raises(UnreachableError, match="cannot be read"):
                ask(LocalTree(tmp_path))
    assert not LocalTree(tmp_path).has("a" * 5000)


@dataclass
class PartlyReached(MemoryTree):
    """A tree of which one file cannot be reached."""

    unreached: str = ""

    def read(self, name: str) -> bytes:
        if name == self.unreached:
            raise UnreachableError(f"{name}: cannot be reached")
        return super().read(name)


FOLDERS = {f"{name}/{i}.png": png(i) for name in ("cat", "dog") for i in range(3)}
FLAT = {f"{i}.png": png(i) for i in range(6)}
TABLE = ("image,label\n" + "".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6))).encode()
WEB = {f"{i}.{end}": png(i) if end == "png" else b'{"label": "a"}' for i in range(4) for end in ("png", "json")}
COCO = json.dumps(
    {
        "images": [{"id": 0, "file_name": "0.png", "width": 8, "height": 8}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [0, 0, 4, 4]}],
        "categories": [{"id": 0, "name": "x"}],
    }
).encode()
YOLO = {"images/0.png": png(0), "labels/0.txt": b"0 0.5 0.5 0.5 0.5\n", "data.yaml": b"names: [x]\n"}


def columns(n: int) -> bytes:
    buffer = io.BytesIO()
    frame = {"image": [{"bytes": png(i), "path": None} for i in range(n)], "label": [i % 2 for i in range(n)]}
    pq.write_table(pa.table(frame), buffer)
    return buffer.getvalue()


SHARDS = {f"data/{split}-00000-of-00001.parquet": columns(4) for split in ("train", "test")}
LAYOUTS = {
    "a table beside class folders": (FOLDERS | {"t.csv": b"image,site\ncat/0.png,x\n"}, "t.csv", False),
    "one of two tables": (FLAT | {"train.csv": TABLE, "test.csv": TABLE}, "test.csv", False),
    "a file without a suffix": (FOLDERS | {"cat/9": png(9)}, "cat/9", False),
    "a table beside texts of images": (
        {f"{i}.png": png(i) for i in range(4)} | {f"{i}.txt": b"a" for i in range(4)} | {"labels.csv": TABLE},
        "labels.csv",
        False,
    ),
    "the JSON of an image": (WEB, "2.json", False),
    "columns beside images": (FLAT | SHARDS, "data/test-00000-of-00001.parquet", False),
    "another split": (SHARDS, "data/test-00000-of-00001.parquet", False),
    "what the Hub says of columns": (SHARDS | {"data/dataset_info.json": b"{}"}, "data/dataset_info.json", False),
    "a second file of boxes": (FLAT | {"instances_x.json": COCO, "more.json": COCO}, "more.json", True),
    "a file of boxes": (FLAT | {"instances_x.json": COCO}, "instances_x.json", True),
    "a second description": (YOLO | {"other/data.yaml": b"names: [y]\n"}, "other/data.yaml", True),
}


@pytest.mark.parametrize(("files", "unreached", "boxes"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_not_concluded_without_a_file_that_cannot_be_reached(files, unreached, boxes):
    options = Options(boxes=boxes)
    with pytest.raises(UnreachableError, match="cannot be reached"):
        read_found(PartlyReached(dict(files), unreached=unreached), options, "d")
    read_found(PartlyReached(dict(files)), options, "d")
