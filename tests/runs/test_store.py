import json
import multiprocessing
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsi.errors import StorageError
from lsi.files import atomic, on_network, save_array, write_json
from lsi.hashing import fingerprint, key
from lsi.runs.store import SEAL, Entry, Store


def write(entry: Entry) -> list[str]:
    save_array(entry.path("a.npy"), np.arange(100))
    entry.path("b.txt").write_text("hello")
    return ["a.npy", "b.txt"]


def spoil(entry: Entry, name: str, how: str) -> None:
    path = entry.path(name)
    data = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "flipped":
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "flipped in the middle":
            middle = len(data) // 2
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :])
        case "emptied":
            path.write_bytes(b"")
        case "removed":
            path.unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "flipped in the middle", "emptied", "removed"])
@pytest.mark.parametrize("name", ["a.npy", "b.txt", SEAL])
def test_a_damaged_file_is_a_logged_miss(tmp_path, name, how, caplog):
    store, calls = Store(tmp_path), []
    entry = store.get("kind", "name", write)
    spoil(entry, name, how)
    again = store.get("kind", "name", lambda e: calls.append(1) or write(e))
    assert calls == [1]
    assert again.is_complete()
    assert (how == "removed" and name == SEAL) or "computing it again" in caplog.text
    np.testing.assert_array_equal(np.load(again.path("a.npy")), np.arange(100))


def test_a_sealed_entry_is_not_computed_again(tmp_path):
    store = Store(tmp_path)
    store.get("kind", "name", write)
    store.get("kind", "name", lambda e: pytest.fail("computed again"))


def test_a_seal_that_lists_other_files_is_refused(tmp_path):
    entry = Store(tmp_path).get("kind", "name", write)
    seal = json.loads(entry.path(SEAL).read_text())
    del seal["files"]["a.npy"]
    entry.path(SEAL).write_text(json.dumps(seal))
    assert not entry.is_complete()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def stopped_half_way() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_who_may_read_a_file_is_what_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == mode


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    words = r"cannot be written \({}\)\. Name another cache with --cache or LSI_CACHE\."
    with pytest.raises(StorageError, match=words.format("Not a directory")):
        Store(tmp_path / "file" / "cache").get("kind", "name", write)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # of another user; root may write anywhere
    with pytest.raises(StorageError, match=words.format("Permission denied")):
        Store(tmp_path).get("kind", "name", write)


def _slow(root: str, log: str) -> None:
    def compute(entry: Entry) -> list[str]:
        with Path(log).open("a") as file:
            file.write("computed\n")
        time.sleep(0.5)
        return write(entry)

    Store(Path(root)).get("kind", "name", compute)


def test_of_two_processes_one_computes(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_slow, args=(str(tmp_path / "c"), str(tmp_path / "log"))) for _ in range(2)]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
        assert p.exitcode == 0
    assert (tmp_path / "log").read_text() == "computed\n"


def test_keys_and_fingerprints_follow_content():
    assert key(a=1, b=2) == key(b=2, a=1) != key(a=1, b=3)
    a = np.arange(6)
    assert fingerprint(a) == fingerprint(a.copy()) != fingerprint(a.reshape(2, 3)) != fingerprint(a.astype(float))
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_sizes_and_clear(tmp_path):
    store = Store(tmp_path)
    store.get("kind", "name", write)
    (tmp_path / "reviews.db").write_text("decisions")
    assert store.sizes()["kind"][0] == 1
    assert store.clear(("kind",)) > 800
    assert store.sizes() == {}
    assert (tmp_path / "reviews.db").exists()


def test_what_is_being_computed_stays(tmp_path):
    store, finished = Store(tmp_path), []
    for kind in ("features", "designs", "projections", "runs"):
        store.get(kind, "old", write)

    def compute(entry: Entry) -> list[str]:
        finished.append(store.clear(("features", "designs", "projections", "runs")))
        assert sorted(str(p.parent.relative_to(tmp_path)) for p in tmp_path.glob("*/*/a.npy")) == [
            "designs/old",
            "features/old",
        ]
        return write(entry)

    assert store.get("runs", "new", compute).is_complete()
    assert finished[0] > 0
    store.clear(("features", "designs"))
    assert set(store.sizes()) == {"runs"}


def test_an_entry_that_refers_to_what_is_gone_is_computed_again(tmp_path):
    store, calls = Store(tmp_path), []
    store.get("kind", "name", write)
    store.get("kind", "name", lambda e: calls.append(1) or write(e), lambda e: True)
    assert calls == []
    store.get("kind", "name", lambda e: calls.append(1) or write(e), lambda e: False)
    assert calls == [1]


def test_windows_waits_for_whoever_reads_a_file_that_is_written_anew(tmp_path, monkeypatch):
    path, refusals, replace = tmp_path / "x.json", [1, 1], Path.replace

    def refused(self: Path, target: Path) -> Path:
        if refusals:
            refusals.pop()
            raise PermissionError(13, "The process cannot access the file", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(PermissionError):
        write_json(path, {})
    monkeypatch.setattr("lsi.files.sys.platform", "win32")
    monkeypatch.setattr("lsi.files._PAUSES", (0.0, 0.0))
    refusals[:] = [1, 1]
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    refusals[:] = [1] * 9
    with pytest.raises(PermissionError):
        write_json(path, {})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("ext4", False), ("overlay", False), ("nfs4", True), ("cifs", True), ("smb3", True), ("fuse.sshfs", True)],
)
def test_a_disk_of_another_machine_is_known_by_its_mount(tmp_path, monkeypatch, kind, expected):
    parts = [("/", "nfs" if kind == "ext4" else "ext4"), (str(tmp_path), kind), (f"{tmp_path}/other", "tmpfs")]
    mounts = [SimpleNamespace(mountpoint=place, fstype=name) for place, name in parts]
    monkeypatch.setattr("psutil.disk_partitions", lambda all: mounts)
    assert on_network(tmp_path / "reviews.db") == expected
    assert not on_network(tmp_path / "other" / "reviews.db")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_file_that_is_removed_while_sizes_are_summed_counts_for_none(tmp_path, monkeypatch):
    Store(tmp_path).get("runs", "a", write)
    walk = os.walk

    def slow(folder):
        for parent, folders, names in walk(folder):
            yield parent, folders, [*names, "gone.tmp"]

    expected = Store(tmp_path).sizes()
    monkeypatch.setattr(os, "walk", slow)
    assert Store(tmp_path).sizes() == expected
    assert expected["runs"][1] > 800
    assert Store(tmp_path).clear(("runs",)) == expected["runs"][1]


@settings(max_examples=100, deadline=None)
@given(plain, plain)
def test_keys_are_equal_where_values_are(a, b):
    assert key(value=a) == key(value=json.loads(json.dumps(a)))
    if json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True):
        assert key(value=a) != key(value=b)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_fingerprints_are_equal_where_parts_are(a, b):
    assert (fingerprint(*a) == fingerprint(*b)) == (a == b)


def test_an_array_is_no_ingredient_of_a_key():
    long = np.arange(5_000)
    with pytest.raises(TypeError, match="Expected a plain value as an ingredient of a key, got ndarray"):
        key(values=long)
    assert key(path=Path("a"), number=np.int64(3)) == key(path="a", number=3)
