"""Data behind addresses: an S3 server on this machine, and fsspec's own memory."""

import io
import logging
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import load
from lsi.data.fetched import FetchedImages
from lsi.data.trees import open_tree
from lsi.data.trees.remote import RemoteTree, parent_of
from lsi.errors import DataError, UnreachableError, UsageError

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
SECRET = "wJalrXUtnFEMI-K7MDENG"
NAMES = [f"{group}/{i}.png" for group in ("cat", "dog") for i in range(6)]


def png(name: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (NAMES.index(name) * 20, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in NAMES:
            archive.writestr(name, png(name))
    return buffer.getvalue()


def tarred(mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name in NAMES:
            member = tarfile.TarInfo(name)
            member.size = len(png(name))
            archive.addfile(member, io.BytesIO(png(name)))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        settings = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
                    "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
        for variable, value in settings.items():
            patch.setenv(variable, value)
        filesystem = fsspec.filesystem("s3")
        filesystem.mkdir("bucket")
        filesystem.mkdir("empty")
        filesystem.pipe({f"bucket/pets/{name}": png(name) for name in NAMES})
        filesystem.pipe({"bucket/pets/": b"", "bucket/pets/dog/": b"", "bucket/petshop/x.png": b"no pet"})
        filesystem.pipe({"bucket/pets.zip": zipped(), "bucket/PETS.TAR": tarred(), "bucket/pets.tgz": tarred("w:gz")})
        filesystem.pipe("bucket/tables/train.csv", b"path,label\na.png,cat\nb.png,dog\n")
        yield f"http://{host}:{port}"
        fsspec.filesystem("s3").clear_instance_cache()
    running.stop()


@pytest.mark.parametrize("address", ["s3://bucket/pets", "s3://bucket/pets/", str(Path("S3://bucket/pets"))])
def test_class_folders_on_s3_are_listed_and_read(endpoint, address):
    tree = open_tree(address)
    assert sorted(tree.names()) == NAMES
    assert all(tree.read(name) == png(name) for name in NAMES)
    assert tree.has("cat/0.png")
    assert not tree.has("cat")
    assert tree.path("cat/0.png") is None
    assert tree.left_out() == {}
    with tree.open("dog/3.png") as file:
        assert file.read() == png("dog/3.png")


@pytest.mark.parametrize("name", ["pets.zip", "PETS.TAR", "pets.tgz"])
def test_archives_on_s3_are_read(endpoint, name):
    tree = open_tree(f"s3://bucket/{name}")
    assert list(tree.names()) == NAMES
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tree.read, NAMES * 3)) == [png(n) for n in NAMES] * 3


def test_a_table_on_s3_is_read(endpoint):
    folder, name = parent_of("s3://bucket/tables/train.csv")
    assert RemoteTree("s3://bucket/tables/train.csv").is_file()
    assert not RemoteTree(folder).is_file()
    tree = open_tree(folder)
    assert list(tree.names()) == [name]
    with tree.open(name) as file:
        assert pd.read_csv(file)["label"].tolist() == ["cat", "dog"]
    with RemoteTree("s3://bucket/tables/train.csv").file() as file:
        assert file.readline() == b"path,label\n"


@pytest.mark.parametrize("place", ["pets", "pets.zip", "PETS.TAR", "pets.tgz", "shop/pets.csv"])
def test_a_dataset_on_s3_is_opened_as_one_on_disk(endpoint, place):
    rows = "".join(f"img/{name},{name[:3]}\n" for name in NAMES)
    fsspec.filesystem("s3").pipe({f"bucket/shop/img/{name}": png(name) for name in NAMES})
    fsspec.filesystem("s3").pipe("bucket/shop/pets.csv", f"path,label\n{rows}".encode())
    dataset = load(DataSettings(data=Path(f"s3://bucket/{place}")), Path())
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 6 + [1] * 6
    assert dataset.images.read(9).getpixel((0, 0)) == (180, 0, 0)
    assert dataset.plan.place.startswith("s3://bucket/")


def test_two_threads_read_images_from_s3(endpoint):
    tree = open_tree("s3://bucket/pets")
    images = FetchedImages(NAMES, lambda i: tree.read(NAMES[i]), lambda i: tree.stamp(NAMES[i]))
    order = list(range(len(NAMES))) * 4
    with ThreadPoolExecutor(2) as pool:
        pixels = list(pool.map(lambda i: images.read(i).getpixel((0, 0)), order))
    assert pixels == [(i * 20, 0, 0) for i in order]


def test_the_listing_is_made_once_and_anew_for_each_opening(endpoint, monkeypatch):
    filesystem = fsspec.filesystem("s3")
    filesystem.pipe("bucket/grows/a.png", b"1")
    tree = open_tree("s3://bucket/grows")
    before = tree.stamp("a.png")
    assert before == open_tree("s3://bucket/grows").stamp("a.png")
    filesystem.pipe("bucket/grows/a.png", b"2")
    filesystem.pipe("bucket/grows/b.png", b"3")
    assert list(tree.names()) == ["a.png"]
    assert tree.stamp("a.png") == before
    again = open_tree("s3://bucket/grows")
    assert list(again.names()) == ["a.png", "b.png"]
    assert again.stamp("a.png") != before
    assert again.stamp("c.png") is None


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://nobucket/pets", r"^s3://nobucket/pets: cannot be read: there is no such bucket\.$"),
        ("s3://nobucket", r"^s3://nobucket: cannot be read: there is no such bucket\.$"),
        ("s3://nobucket/pets.zip", r"^s3://nobucket/pets\.zip: cannot be read: there is no such bucket\.$"),
        ("s3://bucket/none", r"^s3://bucket/none: there is no file or folder of that name, or the folder is empty\.$"),
        ("s3://empty", r"^s3://empty: there is no file or folder of that name, or the folder is empty\.$"),
        ("s3://bucket/none.zip", r"^s3://bucket/none\.zip: there is no file or folder of that name, or the folder"),
        ("s3://", r"^s3://: "),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(endpoint, address, message):
    with pytest.raises(DataError, match=message):
        list(open_tree(address).names())


def test_a_file_that_is_not_there_is_named(endpoint):
    tree = open_tree("s3://bucket/pets")
    for read in (tree.read, tree.open):
        with pytest.raises(
            DataError, match=r"^s3://bucket/pets/cat/9\.png: cannot be read: there is no file or folder"
        ):
            read("cat/9.png").read()
    with pytest.raises(DataError) as raised:
        tree.read("cat/9.png")
    assert not isinstance(raised.value, UnreachableError), "it is a property of the place that nothing lies there"


def test_without_credentials_the_message_says_what_to_set(endpoint, monkeypatch, tmp_path):
    fsspec.filesystem("s3").clear_instance_cache()
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        list(open_tree("s3://bucket/pets").names())
    fsspec.filesystem("s3").clear_instance_cache()


class Refusing:
    """A file system that fails with one error, whatever is asked of it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str):
        def refuse(*_args, **_options):
            raise self.error

        return refuse


class ClientConnectorError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("Forbidden"), "access is denied with the credentials that are set"),
        (ClientConnectorError("no route"), r"the server cannot be reached \(no route\)"),
        (TimeoutError(), "the server cannot be reached"),
        (RuntimeError("two\nlines of https://me:pw@host/?sig=1"), r"RuntimeError: two lines of https://…@host/\?…\.$"),
        (RuntimeError(), r"cannot be read: RuntimeError\.$"),
    ],
)
def test_every_refusal_is_one_sentence_without_secrets(monkeypatch, error, message):
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda _: (Refusing(error), "x"))
    for ask in (lambda t: list(t.names()), lambda t: t.read("a"), lambda t: t.open("a"), lambda t: t.is_file(),
                lambda t: t.file(), lambda t: t.begins_with(2), lambda t: t.has("a")):  # fmt: skip
        with pytest.raises(UnreachableError, match=message) as raised:
            ask(RemoteTree("sftp://me:pw@host/x"))
        assert "pw@" not in str(raised.value)
        assert "\n" not in str(raised.value)


def test_credentials_are_never_printed(endpoint):
    tree = RemoteTree("ftp://me:secret@host/pets")
    assert "secret" not in repr(tree) + tree.name
    with pytest.raises(DataError) as raised:
        list(open_tree("s3://nobucket/pets").names())
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_a_package_that_is_missing_is_named(monkeypatch, scheme):
    def url_to_fs(_address):
        raise ImportError("Please install gcsfs to access Google Storage")

    advice = {"s3": r"pip install 'lsi-lens\[s3\]'\.$", "gs": r"Please install gcsfs to access Google Storage\.$"}[
        scheme
    ]
    monkeypatch.setattr(fsspec.core, "url_to_fs", url_to_fs)
    with pytest.raises(UsageError, match=f"{scheme} addresses need a package of their own: {advice}"):
        list(open_tree(f"{scheme}://bucket/x").names())


def test_without_fsspec_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"s3 addresses need a package of their own: pip install 'lsi-lens\[s3\]'"):
        list(open_tree("s3://bucket/x").names())


def test_an_unknown_scheme_is_refused():
    with pytest.raises(UsageError, match=r"addresses that begin with nonsense:// are not known"):
        list(open_tree("nonsense://x/y").names())


def test_memory_is_a_place_as_any_other():
    fsspec.filesystem("memory").pipe({f"/kept/{name}": png(name) for name in NAMES} | {"/kept.zip": zipped()})
    for address in ("memory://kept", "memory://kept.zip"):
        tree = open_tree(address)
        assert sorted(tree.names()) == NAMES
        assert tree.read("dog/5.png") == png("dog/5.png")
        with tree.open("dog/5.png") as file:
            assert file.read() == png("dog/5.png")
