import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import load
from lsi.errors import DataError
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


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_archive_of_class_folders_is_a_dataset(tmp_path):
    content = archive(
        {f"top/{c}/{i}.png": png() for c in "ab" for i in range(2)} | {"__MACOSX/x": b"", "top/note.md": b"x"}
    )
    where = uploads.store_upload("set.zip", content, tmp_path)
    dataset = load(DataSettings(data=where), tmp_path)
    assert dataset.class_names == ("a", "b")
    assert uploads.store_upload("set.zip", content, tmp_path) == where
    assert not list(tmp_path.rglob("note.md"))


def test_a_manifest_in_an_archive_comes_first(tmp_path):
    content = archive({"set/1.png": png(), "set/list.csv": b"path,label\n1.png,a\n"})
    assert uploads.store_upload("set.ZIP", content, tmp_path).name == "list.csv"


def test_tables_and_arrays_are_kept_by_content(tmp_path):
    path = uploads.store_upload("../../evil.csv", b"path,label\n", tmp_path)
    assert path.is_relative_to(tmp_path)
    assert path.read_bytes() == b"path,label\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.exe", b"", "Expected a file of type zip, npz, parquet, csv, got 'a.exe'"),
        ("a.zip", b"no archive", "cannot be read"),
        ("a.zip", archive({"../out.png": png()}), "leads out of it"),
        ("a.zip", archive({"/etc/out.png": png()}), "leads out of it"),
        ("a.zip", archive({"a.png": png()}, link="b.png"), "holds a link"),
        ("a.zip", archive({"readme.txt": b"x"}), "no images, CSV or Parquet"),
    ],
)
def test_what_is_no_data_is_refused(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        uploads.store_upload(name, content, tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_archives_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    with pytest.raises(DataError, match="at most 3 files, got 4"):
        uploads.store_upload("a.zip", archive({f"{i}.png": png() for i in range(4)}), tmp_path)
    monkeypatch.setattr(uploads, "MOST_BYTES", 2**20)
    with pytest.raises(DataError, match="GiB unpacked"):
        uploads.store_upload("a.zip", archive({"a.png": b"\0" * 2**21}), tmp_path)
