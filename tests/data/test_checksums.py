import io
import os
import tarfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsi.config import DataSettings
from lsi.data import checksums, load
from lsi.data.checksums import Checksums
from lsi.data.crops import CroppedImages
from lsi.data.fetched import FetchedImages
from lsi.data.images import ArrayImages, FileImages
from lsi.data.trees import open_tree
from tests.data.trees import TWO, as_bytes_name, plant

OLD = 1_000_000_000_000_000_000  # a time of change long ago, in nanoseconds


@pytest.fixture
def images(tmp_path):
    root = plant(tmp_path / "d", [*TWO, as_bytes_name(b"caf\xe9.png")])
    paths = sorted(p for p in root.rglob("*") if p.is_file())
    for path in paths:
        os.utime(path, ns=(OLD, OLD))
    return FileImages(paths)


def test_a_second_look_reads_no_file(images, tmp_path, monkeypatch):
    first = Checksums.read(tmp_path / "c" / "known.parquet").of(images)
    assert first == tuple(FileImages(images.paths).checksum(i) for i in range(len(images)))
    odd = [i for i, path in enumerate(images.paths) if "caf" in path.name]
    monkeypatch.setattr(
        FileImages, "checksum", lambda self, i: first[i] if i in odd else pytest.fail("a file was read again")
    )
    assert Checksums.read(tmp_path / "c" / "known.parquet").of(FileImages(images.paths)) == first


def test_a_file_that_changed_is_read_again(images, tmp_path):
    path = tmp_path / "known.parquet"
    first = Checksums.read(path).of(images)
    images.paths[2].write_bytes(b"another content")
    second = Checksums.read(path).of(FileImages(images.paths))
    assert [i for i in range(len(images)) if first[i] != second[i]] == [2]


def test_a_file_that_takes_the_name_of_another_of_its_size_and_time_is_read_again(images, tmp_path):
    one, other = images.paths[2:4]
    other.write_bytes(one.read_bytes()[:-1] + b"x")
    os.utime(other, ns=(OLD, OLD))
    path = tmp_path / "known.parquet"
    first = Checksums.read(path).of(images)
    other.rename(one)
    assert Checksums.read(path).of(FileImages([one])) == first[3:4] != first[2:3]


@pytest.mark.parametrize("link", ["folder", "0.bmp"])
def test_a_link_that_leads_elsewhere_now_is_read_again(tmp_path, monkeypatch, link):
    """Also where files are alike in size and in both their times, as where all were given away at once."""
    monkeypatch.setattr(checksums, "_times_of", lambda place: (OLD, OLD))
    known, found = Checksums(tmp_path / "k"), []
    for folder, value in (("v1", b"one!"), ("v2", b"two!")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.bmp").write_bytes(value)
        os.utime(tmp_path / folder / "0.bmp", ns=(OLD, OLD))
        (tmp_path / link).unlink(missing_ok=True)
        (tmp_path / link).symlink_to(tmp_path / folder / (link if link == "0.bmp" else ""))
        path = tmp_path / link if link == "0.bmp" else tmp_path / link / "0.bmp"
        found += known.of(FileImages([path]))
    assert found == [FileImages([tmp_path / v / "0.bmp"]).checksum(0) for v in ("v1", "v2")]


def _tar(path, content):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cat/0.png")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def _member(path):
    return FetchedImages(
        ["0"], lambda _: open_tree(path).read("cat/0.png"), lambda _: open_tree(path).stamp("cat/0.png")
    )


def _npy(path, content):
    np.save(path, np.frombuffer(content, np.uint8).reshape(1, 1, -1))


def _parquet(path, *rows):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = [{"bytes": row, "path": None} for row in rows]
    table = pa.table({"image": pa.array(values, kind), "label": range(len(rows))})
    pq.write_table(table, path, compression="none", use_dictionary=False, write_statistics=False)


def _column(path):
    images = load(DataSettings(data=path), path.parent).images
    assert images is not None
    return images


def _box(path):
    return CroppedImages(FileImages([path]), np.array([[0, 0, 1, 1]], float), np.zeros(1, int), ["0"])


@pytest.mark.parametrize(
    ("name", "write", "opened"),
    [
        ("d.tar", _tar, _member),
        ("d.npy", _npy, lambda path: ArrayImages(np.load(path), file=path)),
        ("d.parquet", lambda path, content: _parquet(path, content, b"four"), _column),
        ("a#b.png", lambda path, content: path.write_bytes(content), _box),
    ],
)
def test_what_lies_in_a_file_that_another_of_its_size_and_time_replaced_is_read_again(tmp_path, name, write, opened):
    path, known, found = tmp_path / name, Checksums(tmp_path / "k"), []
    for value in (b"one!", b"two!"):
        new = tmp_path / f"new{path.suffix}"
        write(new, value)
        os.utime(new, ns=(OLD, OLD))
        new.replace(path)
        images = opened(path)
        found.append(known.of(images)[0])
        assert len(known.known) == len(images)
    assert found[0] != found[1] == opened(path).checksum(0)


@pytest.mark.parametrize("replaced", ["d.parquet", "1.png"])
def test_a_photograph_that_a_row_names_is_read_again_where_it_or_its_table_was_replaced(tmp_path, replaced):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": b"zero", "path": None}, {"bytes": None, "path": "1.png"}]
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0, 1]}), tmp_path / "d.parquet")
    (tmp_path / "1.png").write_bytes(b"one!")
    for name in ("d.parquet", "1.png"):
        os.utime(tmp_path / name, ns=(OLD, OLD))
    known, images = Checksums(tmp_path / "k"), _column(tmp_path / "d.parquet")
    before = known.of(images)
    assert len(known.known) == 2
    unread = FetchedImages(["0", "1"], lambda _: None, images.stamp)
    assert known.of(unread) == before
    content = b"two!" if replaced == "1.png" else (tmp_path / replaced).read_bytes().replace(b"zero", b"null")
    (tmp_path / "new").write_bytes(content)
    os.utime(tmp_path / "new", ns=(OLD, OLD))
    (tmp_path / "new").replace(tmp_path / replaced)
    (tmp_path / "k").unlink()
    images = _column(tmp_path / "d.parquet")
    known.of(images)
    assert [c[2] for c in known.known.values()] == [images.checksum(0), images.checksum(1)]
    assert known.known[images.stamp(1)[0]][1] > OLD + 1


def test_a_file_written_just_now_is_read_after_a_tick_and_one_of_the_future_is_read_again(images, tmp_path):
    path = tmp_path / "known.parquet"
    os.utime(images.paths[0])
    future = time.time_ns() + 3_600_000_000_123
    os.utime(images.paths[1], ns=(future, future))
    known = Checksums.read(path)
    known.of(images)
    assert time.time_ns() > images.paths[0].stat().st_mtime_ns + 100_000_000
    assert str(images.paths[0]) in known.known
    assert str(images.paths[1]) not in known.known
    images.paths[1].write_bytes(images.paths[1].read_bytes()[:-1] + b"x")
    os.utime(images.paths[1], ns=(future, future))
    again = FileImages(images.paths)
    assert Checksums.read(path).of(again)[1] == FileImages(images.paths).checksum(1) != images.checksum(1)


def test_a_damaged_record_and_images_in_memory_are_no_trouble(images, tmp_path):
    (tmp_path / "known.parquet").write_bytes(b"no")
    assert len(Checksums.read(tmp_path / "known.parquet").of(images)) == len(images)
    pixels = ArrayImages(np.zeros((2, 3, 3), np.uint8))
    assert Checksums.read(tmp_path / "other.parquet").of(pixels) == (pixels.checksum(0), pixels.checksum(1))
