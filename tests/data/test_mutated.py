"""Damaged and hostile files: each is read, or refused in a sentence; nothing outside its folder is opened."""

import io
import json
import os
import random
import resource
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lsi.config import DataSettings
from lsi.data import decode, load
from lsi.data.sources.arrays import ARRAYS
from lsi.environment import CONFINED_VARIABLE, ROOTS_VARIABLE
from lsi.errors import LsiError

TRIES = int(os.environ.get("LSI_TEST_STEPS") or 500)
MOST_BYTES = 2**30
OUTSIDE = "secret.png"  # beside each try's folder
TOKENS = [b"../" + OUTSIDE.encode(), b"../../etc/passwd", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"-1", b"1e999",
          b"9" * 5_000, b'"', b"\n", b",", b"{", b"]", b"\\u0000", b"0", b"", b"=cmd()", b"null", b"\r\n"]  # fmt: skip


def picture(value: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (value, 40 * value % 256, 7)).save(buffer, kind)
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def saved(write, *arguments, **named) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *arguments, **named)
    return buffer.getvalue()


KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
PICTURES = {f"{'cat' if i % 2 else 'dog'}/{i}.{kind.lower()}": picture(i, kind) for i, kind in enumerate(KINDS * 2)}
FLAT = {f"{i}.png": picture(i) for i in range(6)}
FRAME = pd.DataFrame({"path": list(FLAT), "label": ["cat", "dog"] * 3, "split": ["train"] * 4 + ["test"] * 2})
IMAGES = pd.DataFrame({"image": [{"bytes": v, "path": k} for k, v in FLAT.items()], "label": [0, 1] * 3})
COCO = {
    "images": [{"id": i, "file_name": n, "width": 9, "height": 7} for i, n in enumerate(FLAT)],
    "annotations": [
        {"id": i, "image_id": i, "category_id": i % 2, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0} for i in range(6)
    ],
    "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
}
VOC = (
    "<annotation><filename>{0}.png</filename><size><width>9</width><height>7</height><depth>3</depth></size><object>"
    "<name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>6</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
ENDS = ("png", "cls")
NUMBERS = np.arange(48, dtype=np.float32).reshape(12, 4)
LABELS, NAMES = np.arange(12) % 2, np.array(["a", "b"])
PIXELS = np.arange(12 * 64, dtype=np.uint8).reshape(12, 8, 8)
SEEDS: dict[str, tuple[dict[str, bytes], str, bool]] = {  # files, which of them is the data, whether boxes are samples
    "folder": (PICTURES, "", False),
    "zip": ({"data.zip": zipped(PICTURES)}, "data.zip", False),
    "tar": ({"data.tar": tarred(PICTURES)}, "data.tar", False),
    "tar.gz": ({"data.tar.gz": tarred(PICTURES, "w:gz")}, "data.tar.gz", False),
    "webdataset": (
        {"a.tar": tarred({f"{i}.{e}": (b"%d" % (i % 2), picture(i))[e == "png"] for i in range(4) for e in ENDS})},
        "a.tar",
        False,
    ),
    "csv": ({**FLAT, "t.csv": FRAME.to_csv(index=False).encode()}, "t.csv", False),
    "tsv": ({**FLAT, "t.tsv": FRAME.to_csv(index=False, sep="\t").encode()}, "", False),
    "jsonl": ({**FLAT, "metadata.jsonl": FRAME.to_json(orient="records", lines=True).encode()}, "", False),
    "parquet": ({"t.parquet": saved(lambda b: IMAGES.to_parquet(b))}, "t.parquet", False),
    "paths in parquet": ({**FLAT, "t.parquet": saved(lambda b: FRAME.to_parquet(b))}, "t.parquet", False),
    "arrow": ({"t.arrow": saved(lambda b: IMAGES.to_feather(b, compression="uncompressed"))}, "t.arrow", False),
    "npz": ({"a.npz": saved(np.savez, features=NUMBERS, labels=LABELS, class_names=NAMES)}, "a.npz", False),
    "npz of images": (
        {"a.npz": saved(np.savez_compressed, images=PIXELS, labels=LABELS)},
        "a.npz",
        False,
    ),
    "npy": ({"a.npy": saved(np.save, NUMBERS)}, "a.npy", False),
    "coco": ({**FLAT, "instances.json": json.dumps(COCO).encode()}, "", True),
    "yolo": (
        {**{f"images/{n}": v for n, v in FLAT.items()}, "data.yaml": b"names: [cat, dog]\ntrain: images\n",
         **{f"labels/{i}.txt": b"%d 0.5 0.5 0.4 0.4\n" % (i % 2) for i in range(6)}},
        "",
        True,
    ),
    "voc": (
        {**{f"JPEGImages/{n}": v for n, v in FLAT.items()},
         **{f"Annotations/{i}.xml": VOC.format(i).replace("cat", ("cat", "dog")[i % 2]).encode() for i in range(6)}},
        "",
        True,
    ),
}  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to eight random changes."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        at, length = rng.randrange(len(data) + 1), rng.choice([1, 2, 4, 16, 200])
        match rng.randrange(7):
            case 0 if data:
                data[at % len(data)] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + length] = rng.randbytes(length)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                del data[at:]
            case 5:
                data[at : at + rng.choice([0, 1, 4])] = rng.choice(TOKENS)
            case _:
                number = rng.choice([0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1]).to_bytes(8, "little")
                data[at : at + length] = number[:length]
    return bytes(data)


def mutated(files: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """Return files of which one is changed: an archive's members half of the time, their names now and then."""
    name = rng.choice([n for n in files if not n.endswith("png")] or list(files)) if rng.random() < 0.8 else rng.choice(
        list(files)
    )  # fmt: skip
    content = files[name]
    if name.endswith((".zip", ".tar")) and rng.random() < 0.5:
        inner = dict(PICTURES)
        one = rng.choice(list(inner))
        broken = mutate(inner.pop(one), rng)
        odd = mutate(one.encode(), rng).decode("utf-8", "surrogateescape").replace("\0", "0")
        inner[odd if rng.random() < 0.3 else one] = broken
        try:
            return files | {name: zipped(inner) if name.endswith(".zip") else tarred(inner)}
        except (ValueError, UnicodeError):  # a name that no archive can hold
            return files
    if name.endswith(".npz") and rng.random() < 0.5:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner = {n: archive.read(n) for n in archive.namelist()}
        one = rng.choice(list(inner))
        return files | {name: zipped(inner | {one: mutate(inner[one], rng)})}
    return files | {name: mutate(content, rng)}


def read_all(path: Path, boxes: bool) -> None:
    """Read the data at a path, and every image as the app and the features do."""
    dataset = load(DataSettings(data=path, boxes=boxes), path.parent)
    for images in (dataset.images, None if dataset.unlabelled is None else dataset.unlabelled.images):
        for i in range(0 if images is None else len(images)):
            try:
                decode(images.source(i)) if isinstance(images.source(i), bytes | Path) else None
                images.read(i)
            except LsiError:
                continue
    assert len(dataset.checksums) == len(dataset)


def outcome(path: Path, boxes: bool) -> str:
    """Return why the data were refused, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read_all(path, boxes)
        except LsiError as error:
            return str(error).strip() or "refused without a word"
        except Exception as error:
            raise AssertionError(f"{path}: {type(error).__name__}: {error}") from error
    return ""


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """The files outside the tries' own folders that were opened."""
    found: list[str] = []
    is_on = [True]

    def watch(event: str, arguments: tuple) -> None:
        if is_on[0] and event == "open" and isinstance(arguments[0], str | bytes) and "w" not in (arguments[1] or ""):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if path.endswith(OUTSIDE) or path == "/etc/passwd":
                found.append(path)

    sys.addaudithook(watch)  # it cannot be removed
    yield found
    is_on[0] = False


@pytest.mark.parametrize("kind", SEEDS)
def test_a_damaged_file_is_read_or_refused(kind, tmp_path, monkeypatch, opened):
    files, entry, boxes = SEEDS[kind]
    monkeypatch.setenv(CONFINED_VARIABLE, "1")
    monkeypatch.setenv(ROOTS_VARIABLE, str(tmp_path / "nothing"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_read = 0
    for seed in range(max(TRIES // len(SEEDS), 5)):
        rng = random.Random(f"{kind} {seed}")
        folder = tmp_path / str(seed) / "data"
        for name, content in (mutated(files, rng) if seed else files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder.parent / OUTSIDE).write_bytes(picture(200))
        said = outcome(folder / entry, boxes)
        assert not said or seed, f"the undamaged {kind}: {said}"
        n_read += not said
    assert n_read
    assert not opened
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MOST_BYTES


def test_every_kind_of_array_file_is_tried():
    assert {f".{name.rpartition('.')[2]}" for files, *_ in SEEDS.values() for name in files} >= set(ARRAYS)
