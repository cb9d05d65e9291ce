"""Folders and archives as trees of files: what is listed, what is left out with a number, and what is refused."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from lsi.data.trees import LocalTree, address_of, is_archive, is_junk, local_path, members, open_tree
from lsi.data.trees.filenames import expand_braces, redacted, suffix_of, without_junk
from lsi.errors import DataError, UsageError

PETS = {"cat/0.png": b"tabby", "cat/1.png": b"siamese", "dog/0.png": b"poodle"}


def write_zip(path: Path, files: dict[str, bytes] = PETS, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: dict[str, bytes] = PETS, kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))


def content_of(tree) -> dict[str, bytes]:
    return {name: tree.read(name) for name in tree.names()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in PETS.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "pets"


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, path: folder,
        lambda folder, path: Path(f"file://{folder}"),
        lambda folder, path: write_zip(path / "x.zip"),
        lambda folder, path: write_zip(path / "X.ZIP", method=zipfile.ZIP_STORED),
        lambda folder, path: write_zip(path / "x.zip", method=zipfile.ZIP_BZIP2),
        lambda folder, path: write_zip(path / "x.zip", method=zipfile.ZIP_LZMA),
        lambda folder, path: write_tar(path / "x.tar"),
        lambda folder, path: write_tar(path / "x.tar", kind=tarfile.GNU_FORMAT),
        lambda folder, path: write_tar(path / "x.tar", kind=tarfile.USTAR_FORMAT),
        lambda folder, path: packed(path / "x.tar.gz", gzip.compress),
        lambda folder, path: packed(path / "x.tar.bz2", bz2.compress),
        lambda folder, path: packed(path / "x.tar.xz", lzma.compress),
        lambda folder, path: packed(path / "x.tar.zst", zstd),
        lambda folder, path: packed(path / "two_frames.tar.zst", lambda data: zstd(data[:700]) + zstd(data[700:])),
        lambda folder, path: packed(path / "gzip_inside.tar", gzip.compress),
        lambda folder, path: write_tar(path / "tar_inside.tar.gz"),
        lambda folder, path: write_zip(path / "zip_inside.tar"),
        lambda folder, path: write_tar(path / "tar_inside.zip"),
        lambda folder, path: packed(path / "tar_gz_inside.zip", gzip.compress),
    ],
)
def test_every_kind_of_place_gives_the_same_files(folder, tmp_path, write):
    tree = open_tree(write(folder, tmp_path))
    assert content_of(tree) == PETS
    assert tree.left_out() == {}
    assert [tree.has(name) for name in ("cat/0.png", "cat", "cat/7.png")] == [True, False, False]
    with tree.open("dog/0.png") as file:
        assert file.read() == b"poodle"
    assert tree.stamp("dog/0.png") is not None
    assert tree.stamp("dog/9.png") is None
    with pytest.raises(DataError, match=r"9\.png"):
        tree.read("dog/9.png")


def packed(path: Path, pack) -> Path:
    plain = write_tar(path.with_suffix(".plain"))
    path.write_bytes(pack(plain.read_bytes()))
    return path


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.skipif(shutil.which("tar") is None or shutil.which("zip") is None, reason="no tar and zip here")
@pytest.mark.parametrize(
    "command",
    [["zip", "-qry", "x.zip", "pets"], ["tar", "cf", "x.tar", "pets"], ["tar", "czhf", "x.tgz", "./pets"]],
)
def test_what_the_usual_programs_write_is_read_back(folder, tmp_path, command):
    (folder / "cat" / "twin.png").hardlink_to(folder / "cat" / "0.png")
    (folder / "cat" / "link.png").symlink_to("../dog/0.png")
    (folder / "cat" / "naïve 猫.png").write_bytes(b"accent")
    (folder / "nothing").mkdir()
    subprocess.run(command, cwd=tmp_path, check=True)
    found = content_of(open_tree(tmp_path / command[2]))
    expected = PETS | {"cat/twin.png": b"tabby", "cat/link.png": b"poodle", "cat/naïve 猫.png": b"accent"}
    assert found == {f"pets/{name}": content for name, content in expected.items()}


def test_links_are_followed_and_cycles_are_not(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "9.png").write_bytes(b"linked")
    (folder / "cat" / "more").symlink_to(outside)
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "cat" / "here").symlink_to(".")
    (folder / "self").symlink_to("self")
    (folder / "dangling.png").symlink_to("nowhere.png")
    tree = LocalTree(folder)
    assert set(tree.names()) == {*PETS, "cat/more/9.png", "self", "dangling.png"}
    assert tree.left_out() == {"links that lead back to a folder above them": 2}
    for name in ("self", "dangling.png"):
        assert not tree.has(name)
        with pytest.raises(DataError, match=rf"{name}: cannot be read \("):
            tree.read(name)


def test_own_files_of_a_folder_come_before_its_subfolders(folder):
    (folder / "zebra.png").write_bytes(b"")
    assert list(LocalTree(folder).names()) == ["zebra.png", "cat/0.png", "cat/1.png", "dog/0.png"]


def test_named_pipes_and_devices_are_never_opened(folder):
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "null.png").symlink_to("/dev/null")
    tree = LocalTree(folder)
    assert set(tree.names()) == set(PETS)
    assert tree.left_out() == {"named pipes, sockets or devices": 2}
    for name in ("cat/pipe.png", "cat/null.png", "cat"):
        assert not tree.has(name)
        with pytest.raises(DataError, match="expected a regular file"):
            tree.open(name)


def test_a_folder_that_cannot_be_read_is_named_and_junk_is_passed_over(folder, monkeypatch):
    (folder / "lost+found").mkdir()
    listing = os.scandir

    def scandir(path):
        if str(path).endswith(("lost+found", "dog")):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr("lsi.data.trees.local.os.scandir", scandir)
    with pytest.raises(DataError, match=r"pets/dog: the folder cannot be read \(Permission denied\)"):
        list(LocalTree(folder).names())
    (folder / "dog").rename(folder / "__MACOSX")
    assert set(LocalTree(folder).names()) == {"cat/0.png", "cat/1.png", "__MACOSX/0.png"}


def test_names_that_are_no_utf8_are_read_and_shown(folder, tmp_path):
    name = os.fsdecode(b"cat/caf\xe9.png")
    (folder / name).write_bytes(b"espresso")
    subprocess.run(["tar", "cf", tmp_path / "x.tar", "-C", folder, "."], check=True)
    for tree in (LocalTree(folder), open_tree(tmp_path / "x.tar")):
        assert content_of(tree)[name] == b"espresso"
        with pytest.raises(DataError, match=r"caf\\xe9\.gif"):
            tree.read(os.fsdecode(b"cat/caf\xe9.gif"))


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "nul\0byte.png", "../pets/none.png"])
def test_names_that_no_file_can_have_are_not_there(folder, name):
    tree = LocalTree(folder)
    assert not tree.has(name)
    assert tree.stamp(name) is None
    with pytest.raises(DataError):
        tree.read(name)


LONG = "deep/" + "ä" * 200 + "/" + "b" * 300 + ".png"


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_names_in_archives_may_be_long_double_or_lead_out(tmp_path, write, recwarn):
    files = {"./cat/0.png": b"0", "../evil.png": b"1", "/etc/evil.png": b"2", "C:/evil.png": b"3",
             "a/../../evil.png": b"4", LONG: b"5", "__MACOSX/._0.png": b"6", "x/__MACOSX/._0.png": b"7"}  # fmt: skip
    path = write(tmp_path / ("x.zip" if write is write_zip else "x.tar"), files)
    tree = open_tree(path)
    assert content_of(tree) == {
        "cat/0.png": b"0", LONG: b"5", "__MACOSX/._0.png": b"6", "x/__MACOSX/._0.png": b"7"
    }  # fmt: skip
    assert list(without_junk(tree.names())) == ["cat/0.png", LONG]
    assert tree.left_out() == {"members whose names lead out of the archive": 4}


def test_the_last_of_several_members_of_one_name_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("./a.png", b"old")
        archive.writestr("././a.png", b"older")
        archive.writestr("a.png", b"new")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, content in (("a.png", b"old"), ("./a.png", b"older"), ("a.png", b"new")):
            add(archive, name, content)
    for name in ("x.zip", "x.tar"):
        tree = open_tree(tmp_path / name)
        assert content_of(tree) == {"a.png": b"new"}
        assert tree.left_out() == {"older members of the same name": 2}


def test_backslashes_of_powershell_are_folders(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"cat\\": b"", "cat\\0.png": b"0", "..\\evil.png": b"1"})
    tree = open_tree(path)
    assert content_of(tree) == {"cat/0.png": b"0"}
    assert tree.left_out() == {"members whose names lead out of the archive": 1}
    for name in ("y.zip", "y.tar"):  # elsewhere a backslash is a letter
        write = write_zip if name.endswith("zip") else write_tar
        assert content_of(open_tree(write(tmp_path / name, {"cat/a\\b.png": b"0"}))) == {"cat/a\\b.png": b"0"}


def test_utf8_names_without_a_flag_are_read_as_utf8(tmp_path):
    name = "猫/ä.png"
    data = write_zip(tmp_path / "x.zip", {name: b"0"}).read_bytes()
    flagged, plain = struct.pack("<H", 0x800), struct.pack("<H", 0)
    assert data.count(flagged) >= 2
    (tmp_path / "macos.zip").write_bytes(data.replace(b"\x14\x00" + flagged, b"\x14\x00" + plain))
    assert content_of(open_tree(tmp_path / "macos.zip")) == {name: b"0"}
    latin = data.replace("猫/ä.png".encode(), b"caf\xe9-old.p")
    (tmp_path / "bad.zip").write_bytes(latin[: len(data)])
    with pytest.raises(DataError, match=r"bad\.zip: the archive cannot be read \(a name in it is no UTF-8\)"):
        open_tree(tmp_path / "bad.zip")


def test_zip64_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, archive.open("a.png", "w", force_zip64=True) as file:
        file.write(b"content")
    assert content_of(open_tree(tmp_path / "x.zip")) == {"a.png": b"content"}


def patched(path: Path, **fields: int) -> Path:
    """Change fields of the first member of a zip, in its own header and in the directory."""
    places = {"flags": (6, 8, "<H"), "method": (8, 10, "<H"), "size": (22, 24, "<I"), "crc": (14, 16, "<I")}
    data = bytearray(path.read_bytes())
    for field, value in fields.items():
        local, central, form = places[field]
        struct.pack_into(form, data, local, value)
        struct.pack_into(form, data, data.index(b"PK\x01\x02") + central, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flags": 1}, r"x\.zip: cat/0\.png is protected by a password: unpack the archive first"),
        ({"method": 9}, r"x\.zip: cat/0\.png is packed with Deflate64, which Python cannot unpack"),
        ({"method": 99, "flags": 1}, r"cat/0\.png is packed with AES encryption"),
        ({"method": 21}, r"cat/0\.png is packed with method 21"),
    ],
)
def test_what_cannot_be_unpacked_is_refused_at_once(tmp_path, fields, message):
    with pytest.raises(DataError, match=message):
        open_tree(patched(write_zip(tmp_path / "x.zip"), **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crc": 7}, r"x\.zip: cat/0\.png cannot be unpacked \(its size or checksum is wrong"),
        ({"size": 2**31 + 5}, r"x\.zip: cat/0\.png unpacks to 2\.0 GiB, more than the 2\.0 GiB of one file"),
        ({"size": 500}, r"x\.zip: cat/0\.png cannot be unpacked \(its size or checksum is wrong"),
    ],
)
def test_a_damaged_member_is_named_when_it_is_read(tmp_path, fields, message):
    tree = open_tree(patched(write_zip(tmp_path / "x.zip"), **fields))
    assert tree.read("dog/0.png") == b"poodle"
    with pytest.raises(DataError, match=message):
        tree.read("cat/0.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_hides_its_size_is_not_unpacked_beyond_it(tmp_path, method):
    import tracemalloc

    path = patched(write_zip(tmp_path / "x.zip", {"bomb.png": bytes(60_000_000)}, method), size=10)
    tree = open_tree(path)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.png cannot be unpacked \(its size or checksum is wrong"):
        tree.read("bomb.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


@pytest.mark.parametrize("pack", [None, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_an_archive_may_not_unpack_to_more_than_is_allowed(tmp_path, pack, monkeypatch):
    path = write_tar(tmp_path / "x.tar", {"bomb.png": bytes(3_000_000)})
    if pack is not None:
        path.write_bytes(pack(path.read_bytes()))
    assert len(open_tree(path, most=4_000_000).read("bomb.png")) == 3_000_000
    with pytest.raises(DataError, match=r"x\.tar: the archive unpacks to .*more than the 1\.0 MiB allowed"):
        open_tree(path, most=2**20)
    with pytest.raises(DataError, match=r"y\.zip: the archive unpacks to 2\.9 MiB, more than the 1\.0 MiB allowed"):
        open_tree(write_zip(tmp_path / "y.zip", {"bomb.png": bytes(3_000_000)}), most=2**20)
    monkeypatch.setattr(members, "_SPARE_DISK", 2**62)
    if pack is not None:
        with pytest.raises(DataError, match="is too small to unpack the archive"):
            open_tree(path)


def test_a_tar_holds_links_devices_and_sparse_files(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        add(archive, "cat/0.png", b"tabby")
        add(archive, "cat/hard.png", type=tarfile.LNKTYPE, linkname="cat/0.png")
        add(archive, "dog/soft.png", type=tarfile.SYMTYPE, linkname="../cat/hard.png")
        add(archive, "dog/out.png", type=tarfile.SYMTYPE, linkname="../../etc/passwd")
        add(archive, "dog/loop.png", type=tarfile.SYMTYPE, linkname="loop.png")
        add(archive, "dog/folder", type=tarfile.SYMTYPE, linkname="../cat")
        add(archive, "dev/null", type=tarfile.CHRTYPE)
        add(archive, "dev/pipe", type=tarfile.FIFOTYPE)
        add(archive, "empty", type=tarfile.DIRTYPE)
    tree = open_tree(tmp_path / "x.tar")
    assert content_of(tree) == dict.fromkeys(("cat/0.png", "cat/hard.png", "dog/soft.png"), b"tabby")
    assert tree.left_out() == {"links that lead to no file in the archive": 3, "devices, pipes and sparse files": 2}


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar here")
def test_sparse_files_of_a_tar_are_counted(tmp_path):
    with (tmp_path / "hole.png").open("wb") as file:
        file.seek(2_000_000)
        file.write(b"end")
    (tmp_path / "0.png").write_bytes(b"plain")
    subprocess.run(["tar", "-cSf", "x.tar", "hole.png", "0.png"], cwd=tmp_path, check=True)
    tree = open_tree(tmp_path / "x.tar")
    assert content_of(tree) == {"0.png": b"plain"}
    assert tree.left_out() == {"devices, pipes and sparse files": 1}


def test_links_and_pipes_in_a_zip_are_told_from_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("cat/0.png", b"tabby")
        for name, kind, content in (("dog/l.png", stat.S_IFLNK, b"../cat/0.png"), ("dog/o.png", stat.S_IFLNK, b"/etc"),
                                    ("pipe", stat.S_IFIFO, b"")):  # fmt: skip
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, (kind | 0o644) << 16
            archive.writestr(member, content)
    tree = open_tree(tmp_path / "x.zip")
    assert content_of(tree) == {"cat/0.png": b"tabby", "dog/l.png": b"tabby"}
    assert tree.left_out() == {"links that lead to no file in the archive": 1, "devices, pipes and sparse files": 1}


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.tar.zst"])
def test_a_truncated_archive_is_refused_or_ends_where_it_ends(tmp_path, name):
    files = {f"{i}.png": random.Random(i).randbytes(3_000) for i in range(20)}
    if name == "x.zip":
        data = write_zip(tmp_path / name, files).read_bytes()
    else:
        pack = {"tar": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}
        data = pack[name.rpartition(".")[2]](write_tar(tmp_path / name, files).read_bytes())
    for size in (0, 1, 3, 100, 511, 1000, 20_000, len(data) // 2, 50_000):
        (tmp_path / name).write_bytes(data[:size])
        with pytest.raises(DataError, match=rf"{name}: the archive cannot be read"):
            open_tree(tmp_path / name)


def test_a_damaged_header_in_a_tar_is_no_end(tmp_path):
    path = write_tar(tmp_path / "x.tar")
    data = bytearray(path.read_bytes())
    data[1024 + 148] ^= 0xFF  # the checksum of the second header
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x\.tar: the archive is damaged after 1 file"):
        open_tree(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.zip", b"<!DOCTYPE html><html>404</html>" * 40),
        ("x.tar", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
        ("x.tar.gz", b"Rar!\x1a\x07\x00" + bytes(2000)),
        ("x.zip", b"PK\x03\x04" + b"z" * 3000),
    ],
)
def test_what_is_no_archive_says_so(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: the archive cannot be read \(.+\)"):
        open_tree(tmp_path / name)


def test_what_is_not_there_or_no_file_says_so(tmp_path):
    with pytest.raises(DataError, match=r"none\.zip: no such file or folder"):
        open_tree(tmp_path / "none.zip")
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(DataError, match=r"pipe\.zip: expected a folder or a regular file"):
        open_tree(tmp_path / "pipe.zip")


@pytest.mark.parametrize("write", [write_zip, write_tar, lambda path: packed(path, gzip.compress)])
def test_many_threads_may_read_one_archive(tmp_path, write):
    files = {f"{i}.png": random.Random(i).randbytes(2_000) for i in range(50)}
    path = tmp_path / "x.any"
    (write_zip if write is write_zip else write_tar)(path, files)
    if write not in (write_zip, write_tar):
        path.write_bytes(gzip.compress(path.read_bytes()))
    tree = open_tree(path)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            names = list(files) * 20
            assert list(pool.map(tree.read, names)) == [files[name] for name in names]
    finally:
        sys.setswitchinterval(interval)


def test_thousands_of_shards_may_be_open_at_once(tmp_path):
    import resource

    paths = [write_tar(tmp_path / f"{i}.tar", {"a.png": b"%d" % i}) for i in range(40)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 64  # noqa: PTH208
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 20, limits[1]))
    try:
        trees = [open_tree(path) for path in paths]
        assert [tree.read("a.png") for tree in trees] == [b"%d" % i for i in range(40)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_stamp_changes_with_the_content(tmp_path, folder):
    def stamps() -> list:
        return [tree.stamp("cat/0.png") for tree in map(open_tree, (folder, tmp_path / "x.zip", tmp_path / "x.tar"))]

    write_zip(tmp_path / "x.zip")
    write_tar(tmp_path / "x.tar")
    before = stamps()
    assert stamps() == before
    changed = PETS | {"cat/0.png": b"other"}
    write_zip(tmp_path / "x.zip", changed)
    write_tar(tmp_path / "x.tar", changed)
    (folder / "cat" / "0.png").write_bytes(b"other")
    for path in (tmp_path / "x.tar", folder / "cat" / "0.png"):
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert all(old != new for old, new in zip(before, stamps(), strict=True))


@pytest.mark.parametrize(
    ("name", "expected"),
    [(".DS_Store", True), ("._0.png", True), ("__MACOSX", True), ("Thumbs.db", True), ("@eaDir", True), ("cat", False),
     ("..x", True), ("my.folder", False)],
)  # fmt: skip
def test_junk_is_known_by_its_name(name, expected):
    assert is_junk(name) is expected


@pytest.mark.parametrize(
    ("path", "address", "local"),
    [
        ("s3://bucket/a b/c", "s3://bucket/a b/c", None),
        (str(Path("s3://bucket/x")), "s3://bucket/x", None),
        ("HTTPS://host/x.zip", "https://host/x.zip", None),
        ("file:///tmp/x", None, "/tmp/x"),
        (str(Path("FILE:///tmp/x")), None, "/tmp/x"),
        ("/tmp/x", None, "/tmp/x"),
        ("C:/x", None, "C:/x"),
        ("a:b/c", None, "a:b/c"),
    ],
)
def test_addresses_are_told_from_paths(path, address, local):
    assert address_of(path) == address
    assert local is None or local_path(path) == Path(local)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a/b.c/x.PNG", ".png"),
        ("x.tar.gz", ".gz"),
        (".hidden", ""),
        ("a.b/x", ""),
        ("x.", ""),
        ("", ""),
        ("x..y", ".y"),
    ],
)
def test_suffixes_are_those_of_pathlib(name, suffix):
    assert suffix_of(name) == suffix == Path(name).suffix.lower()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("plain.tar", ["plain.tar"]),
        ("t-{008..011}.tar", ["t-008.tar", "t-009.tar", "t-010.tar", "t-011.tar"]),
        ("t-{9..11}.tar", ["t-9.tar", "t-10.tar", "t-11.tar"]),
        ("t-{2..0}.tar", ["t-2.tar", "t-1.tar", "t-0.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("odd{name}.tar", ["odd{name}.tar"]),
        ("a{,b}.tar", ["a.tar", "ab.tar"]),
    ],
)
def test_braces_are_expanded_as_a_shell_does(pattern, expected):
    assert expand_braces(pattern) == expected


def test_a_pattern_for_too_many_names_is_refused():
    with pytest.raises(UsageError, match="stands for more than 100,000 names"):
        expand_braces("t-{0..999999999}.tar")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ftp://me:secret@host/x", "ftp://…@host/x"),
        ("https://host/x.zip?X-Amz-Signature=abc&y", "https://host/x.zip?…"),
        ("s3://bucket/what?.png", "s3://bucket/what?.png"),
    ],
)
def test_passwords_and_signatures_are_never_shown(text, expected):
    assert redacted(text) == expected


def test_archives_are_known_by_their_suffix():
    assert all(is_archive(name) for name in ("X.ZIP", "a.tar.zst", "a.tgz", "b/c.Tar"))
    assert not any(is_archive(name) for name in ("a.gz", "tar", "a.csv", "zip"))
