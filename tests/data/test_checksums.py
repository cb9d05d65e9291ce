import os
import time

import numpy as np
import pytest

from lsi.data.checksums import Checksums
from lsi.data.images import ArrayImages, FileImages
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
