"""Uploads are kept as they come; what is broken, too large or leads elsewhere is refused with a sentence."""

import io
import stat
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError, StorageError
from lsi.ui import uploads


def archive(names: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in names.items():
            packed.writestr(name, content)
        if link is not None:
            member = zipfile.ZipInfo(link)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(member, "/etc/passwd")
    return buffer.getvalue()


def tar(names: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            packed.addfile(member)
    return buffer.getvalue()


def with_field(content: bytes, offset: int, value: int) -> bytes:
    """Return a zip archive with a two-byte field of its first file changed, in both of its headers."""
    changed = bytearray(content)
    for signature, at in ((b"PK\3\4", offset), (b"PK\1\2", offset + 2)):
        place = changed.index(signature) + at
        changed[place : place + 2] = value.to_bytes(2, "little")
    return bytes(changed)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def array(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


FILES = {f"top/{c}/{i}.png": png() for c in "ab" for i in range(2)}
LOCKED, DEFLATE64 = with_field(archive(FILES), 6, 1), with_field(archive(FILES), 8, 9)


@pytest.mark.parametrize(
    ("name", "content", "kept"),
    [
        ("My flowers (2024).ZIP", archive(FILES), "My-flowers-2024.zip"),
        ("flowers.tar", tar(FILES), "flowers.tar"),
        ("../../evil.csv", b"path,label\n", "evil.csv"),
        ("C:\\data\\table.tsv", b"path\tlabel\n", "table.tsv"),
        ("рисунки.jsonl", b"{}\n", "data.jsonl"),
        ("arrays.npz", array(a=np.zeros(3)), "arrays.npz"),
        ("x.npy", b"\x93NUMPY", "x.npy"),
        ("train.parquet", b"PAR1", "train.parquet"),
        ("a.zip", archive({"x" * 300 + ".png": png()}), "a.zip"),
        ("a.zip", archive({"cat\\00.png": png()}), "a.zip"),
    ],
)
def test_an_upload_is_kept_as_it_comes_by_its_content(tmp_path, name, content, kept):
    path = uploads.store_upload(name, content, tmp_path)
    assert path.is_relative_to(tmp_path)
    assert (path.name, path.read_bytes()) == (kept, content)
    assert uploads.store_upload(f"other{path.suffix}", content, tmp_path) == path
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize(("name", "content"), [("a.zip", archive(FILES)), ("a.tar", tar(FILES))])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an open tar is closed by the collector
def test_an_archive_is_read_in_place(tmp_path, name, content):
    dataset = load(DataSettings(data=uploads.store_upload(name, content, tmp_path)), tmp_path)
    assert dataset.class_names == ("a", "b")
    assert dataset.images is not None
    assert dataset.images.source(0) == png()
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.exe", b"x", "Expected a file of type zip, tar, parquet, csv, tsv, jsonl, npz, npy, got 'a.exe'"),
        ("zip", b"x", "Expected a file of type"),
        ("a.csv", b"", "a.csv: the file is empty"),
        ("a.zip", b"no archive", "a.zip: the archive cannot be read"),
        ("a.zip", archive(FILES)[:300], "a.zip: the archive cannot be read"),
        ("a.tar", b"no archive" * 100, "a.tar: the archive cannot be read"),
        ("a.npz", b"no archive", "a.npz: the archive cannot be read"),
        ("a.zip", archive({"../out.png": png()}), "'../out.png' leads out of the archive"),
        ("a.zip", archive({"a\\..\\..\\out.png": png()}), "leads out of the archive"),
        ("a.zip", archive({"/etc/out.png": png()}), "'/etc/out.png' leads out of the archive"),
        ("a.zip", archive({"C:\\out.png": png()}), "leads out of the archive"),
        ("a.tar", tar({"../out.png": png()}), "'../out.png' leads out of the archive"),
        ("a.zip", archive({"a.png": png()}, link="b.png"), "'b.png' is a link; pack the files themselves"),
        ("a.tar", tar({"a.png": png()}, link="b.png"), "'b.png' is a link"),
        ("a.zip", LOCKED, "a.zip: top/a/0.png is protected by a password"),
        ("a.zip", DEFLATE64, "a.zip: top/a/0.png is packed with Deflate64"),
    ],
)
def test_what_cannot_be_read_in_place_is_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        uploads.store_upload(name, content, tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.zip", archive({f"{i}.png": png() for i in range(4)})), ("a.tar", tar({f"{i}.png": png() for i in range(4)}))],
)
def test_the_number_of_files_is_bounded(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    with pytest.raises(DataError, match=r"at most 3 files, and '3\.png' is one more"):
        uploads.store_upload(name, content, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "member"),
    [
        ("a.zip", archive({"a.png": b"", "b.png": b"\0" * 2**21}), "b.png"),
        ("a.tar", tar({"a.png": b"", "b.png": b"\0" * 2**21}), "b.png"),
        ("a.npz", array(small=np.zeros(3), large=np.zeros(2**18)), "large.npy"),
    ],
)
def test_the_unpacked_size_is_bounded(tmp_path, monkeypatch, name, content, member):
    monkeypatch.setattr(uploads, "MOST_BYTES", 2**20)
    with pytest.raises(DataError, match=f"GiB unpacked; up to '{member}' there are"):
        uploads.store_upload(name, content, tmp_path)


def test_an_upload_that_finds_no_room_is_a_sentence(tmp_path, monkeypatch):
    def full(*_given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StorageError, match=r"^a\.csv cannot be kept: No space left on device\.$"):
        uploads.store_upload("a.csv", b"path,label", tmp_path)
