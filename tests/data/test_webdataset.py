"""WebDataset tars: what goes together, what is the label, and that other readers see the same samples."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from lsi.data.sources.columns import Wanted
from lsi.data.sources.samples import Options, assemble
from lsi.data.sources.webdataset import is_webdataset, read_webdataset
from lsi.data.sources.webdataset.shards import find_shards, key_and_suffix, open_shards
from lsi.errors import DataError


def image(value: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (value, value, value)).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, members: dict[str, bytes | str | dict | list]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else (
                content if isinstance(content, str) else json.dumps(content)
            ).encode()  # fmt: skip
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def samples_of(start: int, count: int, **beside) -> dict:
    """Return members of samples: their image and, by suffix, what a function makes of their number."""
    return {
        f"{i:06d}.{suffix}": make(i)
        for i in range(start, start + count)
        for suffix, make in {"jpg": lambda i: image(i * 9), **beside}.items()
    }


def opened(path: Path, **options):
    columns = Wanted(**{k: options.pop(k) for k in ("image", "label", "id") if k in options})
    asked = Options(columns=columns, **options)
    return assemble(read_webdataset(open_shards(path), asked), asked)


LABELS = {
    "cls": ({"cls": lambda i: f"{i % 3}\n"}, ["0", "1", "2"]),
    "text": ({"cls": lambda i: ["cat", "dog"][i % 2]}, ["cat", "dog"]),
    "cls.txt": ({"cls.txt": lambda i: f" {i % 2} "}, ["0", "1"]),
    "label.txt": ({"label.txt": lambda i: "ab"[i % 2]}, ["a", "b"]),
    "label": ({"label": lambda i: "ab"[i % 2]}, ["a", "b"]),
    "class": ({"CLASS": lambda i: "ab"[i % 2]}, ["a", "b"]),
    "json": ({"json": lambda i: {"label": i % 3, "source": "web"}}, ["0", "1", "2"]),
    "json category": ({"json": lambda i: {"Category": "ab"[i % 2]}}, ["a", "b"]),
    "cls before json": ({"json": lambda i: {"label": 7}, "cls": lambda i: str(i % 2)}, ["0", "1"]),
    "leading zeros": ({"cls": lambda i: f"{i % 2:03d}"}, ["000", "001"]),
}


@pytest.mark.parametrize(("beside", "classes"), LABELS.values(), ids=LABELS)
def test_the_label_is_found_beside_the_image(tmp_path, beside, classes):
    path = write(tmp_path / "pets.tar", samples_of(0, 6, **beside))
    assert is_webdataset(open_shards(path)[0].names())
    dataset = opened(path)
    assert dataset.class_names == tuple(classes)
    assert dataset.labels.tolist() == [i % len(classes) for i in range(6)]
    assert dataset.ids.tolist() == [f"{i:06d}.jpg" for i in range(6)]
    assert dataset.images.read(3).getpixel((0, 0)) == (27, 27, 27)
    assert dataset.plan.kind == "WebDataset"
    assert dataset.files == (path,)


def test_whole_numbers_stay_whole_where_one_sample_lacks_them(tmp_path):
    members = samples_of(0, 3, json=lambda i: {"label": i % 2} | ({"patient": 2**53 + i} if i else {}))
    dataset = opened(write(tmp_path / "x.tar", members))
    assert dataset.metadata["patient"].tolist() == [None, 2**53 + 1, 2**53 + 2]


def test_everything_else_is_kept_beside_or_counted(tmp_path):
    members = samples_of(
        0, 4,
        cls=lambda i: str(i % 2),
        txt=lambda i: f"a photo, number {i}\n",
        json=lambda i: {"width": 8 + i, "tags": ["a", i], "exif": {"iso": i}, "cls": "shadowed", "url": None},
        npy=lambda i: b"\x93NUMPY",
    )  # fmt: skip
    members |= {"000009.cls": "1", "000009.json": {}, "__MACOSX/._1.jpg": b"", "README": "hello", ".DS_Store": b""}
    dataset = opened(write(tmp_path / "pets.tar", members))
    assert dataset.metadata.columns.tolist() == ["txt", "width", "tags", "exif", "json.cls", "url"]
    assert dataset.metadata.iloc[2].tolist() == ["a photo, number 2", 10, '["a", 2]', '{"iso": 2}', "shadowed", None]
    assert dict(dataset.plan.ignored) == {"hidden or nameless files": 3, "samples without an image": 1, ".npy": 4}
    assert dict(dataset.plan.columns) == {"image": "jpg", "label": "cls"}


def test_samples_without_a_label_stand_apart(tmp_path):
    members = samples_of(0, 5, json=lambda i: {"label": "ab"[i % 2]} if i < 3 else {"label": None})
    del members["000004.json"]
    dataset = opened(write(tmp_path / "pets.tar", members))
    assert dataset.ids.tolist() == ["000000.jpg", "000001.jpg", "000002.jpg"]
    assert dataset.unlabelled.ids.tolist() == ["000003.jpg", "000004.jpg"]


def test_captions_alone_are_no_labels(tmp_path):
    path = write(tmp_path / "laion.tar", samples_of(0, 3, txt=lambda i: f"caption {i}"))
    assert is_webdataset(open_shards(path)[0].names())
    dataset = opened(path)
    assert not dataset.is_labelled
    assert dataset.metadata["txt"].tolist() == ["caption 0", "caption 1", "caption 2"]
    assert opened(path, label="txt").class_names == ("caption 0", "caption 1", "caption 2")


def test_images_of_several_suffixes_are_one_column_unless_a_sample_has_several(tmp_path):
    members = {
        "a.jpg": image(1),
        "a.cls": "0",
        "b.png": image(2, "PNG"),
        "b.cls": "1",
        "c.JPEG": image(3),
        "c.cls": "0",
    }
    dataset = opened(write(tmp_path / "mixed.tar", members))
    assert dataset.ids.tolist() == ["a.jpg", "b.png", "c.JPEG"]
    assert dict(dataset.plan.columns)["image"] == "jpg or png or jpeg"
    assert dataset.plan.notes == ()


def test_of_several_images_a_sample_the_first_is_read_and_a_note_says_so(tmp_path):
    members = samples_of(0, 4, cls=lambda i: str(i % 2), **{"seg.png": lambda i: image(200, "PNG")})
    path = write(tmp_path / "seg.tar", members)
    dataset = opened(path)
    assert dataset.images.read(1).getpixel((0, 0)) == (9, 9, 9)
    assert "Several images a sample: jpg, seg.png; the first is read, --image-column chooses." in dataset.plan.notes
    assert dict(dataset.plan.ignored) == {".seg.png": 4}
    chosen = opened(path, image="seg.png")
    assert chosen.ids[0] == "000000.seg.png"
    assert chosen.images.read(1).getpixel((0, 0)) == (200, 200, 200)
    with pytest.raises(
        DataError, match=r"no image ends in \.webp \(--image-column\); there are \.jpg, \.cls, \.seg\.png"
    ):
        opened(path, image="webp")


@pytest.fixture
def shards(tmp_path) -> Path:
    folder = tmp_path / "pets"
    for number, (start, split) in enumerate([(0, "train"), (4, "train"), (0, "val")]):
        members = samples_of(start, 4, cls=lambda i: str(i % 2))
        write(folder / f"pets-{split}-{number:06d}.tar", members)
    write(folder / ".hidden" / "x.tar", {"a.jpg": image(0)})
    return folder


def test_shards_of_a_folder_are_read_in_order_with_their_splits(shards):
    train, every = opened(shards), opened(shards, split="all")
    assert train.ids.tolist() == [f"pets-train-{i // 4:06d}.tar/{i:06d}.jpg" for i in range(8)]
    assert train.index.tolist() == list(range(8))
    assert train.plan.source_length == 8
    assert train.plan.splits == (("train", 8), ("validation", 4))
    assert len(every) == 12
    assert len(every.files) == 3
    assert opened(shards, split="valid").images.read(2).getpixel((0, 0)) == (18, 18, 18)
    with pytest.raises(DataError, match=r"there is no split 'test'\. There are train, validation"):
        opened(shards, split="test")


def test_shards_of_a_pattern_are_read_and_a_missing_one_is_named(shards):
    dataset = opened(shards / "pets-train-{000000..000001}.tar")
    assert len(dataset) == 8
    assert dataset.ids[7] == "pets-train-000001.tar/000007.jpg"
    with pytest.raises(DataError, match=r"pets-train-000002\.tar: no such file or folder"):
        opened(shards / "pets-train-{000000..000002}.tar")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train/0.tar", "train/1.tar", "test/0.tar"], {"train": 4, "test": 2}),
        (["0.tar", "1.tar"], {}),
        (["train.tar", "more.tar"], {"train": 2, "other": 2}),
        (["imagenet1k-validation-00.tar"], {"validation": 2}),
    ],
)
def test_splits_of_shards_are_in_their_names_or_folders(tmp_path, names, expected):
    for name in names:
        write(tmp_path / "test" / name, samples_of(0, 2, cls=lambda i: str(i)))
    assert dict(opened(tmp_path / "test", split="all").plan.splits) == expected


def test_a_split_in_the_json_counts_where_the_shards_name_none(tmp_path):
    members = samples_of(0, 6, json=lambda i: {"label": i % 2, "split": "train" if i < 4 else "test"})
    dataset = opened(write(tmp_path / "x.tar", members), split="test")
    assert dataset.ids.tolist() == ["000004.jpg", "000005.jpg"]
    assert dataset.index.tolist() == [4, 5]


def test_members_that_stand_apart_are_joined_with_a_note(tmp_path):
    members = {"1.jpg": image(1), "2.jpg": image(2), "1.cls": "a", "2.cls": "b"}
    dataset = opened(write(tmp_path / "x.tar", members))
    assert [dataset.class_names[i] for i in dataset.labels] == ["a", "b"]
    assert any("do not always stand together (2 times)" in note for note in dataset.plan.notes)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"1.jpg": image(1), "1.json": "{label: 3}"}, r"x\.tar: 1\.json is no JSON \(Expecting property name"),
        ({"1.jpg": image(1), "1.json": "[" * 100_000}, r"x\.tar: 1\.json is no JSON \(it is nested too deeply\)"),
        ({"1.jpg": image(1), "1.cls": b"\xff\xfe\xfa"}, r"x\.tar: 1\.cls is no UTF-8 text"),
        ({"1.jpg": b"", "1.JPG": b"", "1.cls": "1"}, r"two members of one sample end in \.jpg: 1\.jpg and 1\.JPG"),
        ({"1.cls": "1", "1.npy": b""}, r"expected images in the tar, found none among \.cls, \.npy"),
        ({"1.jpg": image(1), "1.json": {"label": [1, 2]}}, r"x\.tar, label: expected one label a sample, got several"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        opened(write(tmp_path / "x.tar", members))


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "x.tar", samples_of(0, 2, json=lambda i: {"a": i}))
    with pytest.raises(DataError, match=r"no column 'species' \(--label-column\); there are a"):
        opened(path, label="species")


def test_a_broken_image_is_named_when_it_is_read(tmp_path):
    dataset = opened(write(tmp_path / "x.tar", {"1.jpg": b"no image", "1.cls": "a", "2.jpg": image(1), "2.cls": "b"}))
    with pytest.raises(DataError, match=r"x\.tar#1\.jpg: not an image"):
        dataset.images.read(0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1.jpg", "1.cls", "2.jpg", "2.cls"], True),
        (["1.jpg", "1.txt"], True),
        (["n01/1.jpg", "n01/1.cls", "n02/2.jpg", "n02/2.cls"], True),
        (["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], False),
        (["cat/1.jpg", "cat/1.txt", "dog/1.jpg", "dog/1.txt"], False),
        (["cat/1.jpg", "cat/1.json", "dog/1.jpg", "dog/1.json"], False),
        (["images/1.jpg", "labels/1.txt"], False),
        (["cat.1.jpg", "cat.2.jpg", "dog.1.jpg"], False),
        (["1.jpg", "2.jpg", "3.jpg", "3.json"], False),
        (["1.jpg", "2.jpg", "labels.csv"], False),
        (["__MACOSX/1.jpg", "__MACOSX/1.cls"], False),
        ([], False),
    ],
)
def test_a_webdataset_is_told_from_a_tar_of_folders(names, expected):
    assert is_webdataset(names) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.c/000001.seg.PNG", ("a/b.c/000001", "seg.png")),
        ("000001.jpg", ("000001", "jpg")),
        ("README", None),
        (".hidden.jpg", None),
        ("__MACOSX/1.jpg", None),
        ("__meta__.json__", None),
        ("a./x", None),
    ],
)
def test_the_key_ends_at_the_first_dot(name, expected):
    assert key_and_suffix(name) == expected


def test_shards_are_found_among_other_files():
    assert find_shards(["b.tar", "a.TAR.gz", "x.csv", ".c.tar", "d/e.tar"]) == ["a.TAR.gz", "b.tar", "d/e.tar"]


def test_the_hub_reads_the_same_rows(shards, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    write(
        shards / "pets-train-000002.tar", {**samples_of(8, 3, cls=str), "extra.cls": "9", **samples_of(11, 1, cls=str)}
    )
    ours = opened(shards)
    files = sorted(str(path) for path in shards.glob("pets-train-*.tar"))
    theirs = datasets.load_dataset("webdataset", data_files={"train": files}, cache_dir=str(tmp_path / "cache"))[
        "train"
    ]
    assert ours.plan.source_length == len(theirs)
    for position, row in enumerate(ours.index):
        assert f"/{theirs[int(row)]['__key__']}.jpg" in f"/{ours.ids[position]}"
        assert str(theirs[int(row)]["cls"]) == ours.class_names[ours.labels[position]]


def with_column(path: Path, split: str = "train", **options):
    asked = Options(split=split, **options)
    return assemble(read_webdataset(open_shards(path), asked), asked)


@pytest.fixture
def shards_with_column(tmp_path) -> Path:
    for start, split in ((0, "train"), (4, "val")):
        members = samples_of(start, 4, json=lambda i: {"label": i % 2, "fold": "ab"[i // 2 % 2]})
        write(tmp_path / "d" / f"d-{split}-000.tar", members)
    return tmp_path / "d"


def test_a_column_of_splits_stays_beside_where_the_tars_name_the_splits(shards_with_column):
    data = with_column(shards_with_column)
    assert data.ids.tolist() == [f"d-train-000.tar/{i:06d}.jpg" for i in range(4)]
    assert data.metadata["fold"].tolist() == list("aabb")
    assert "The tars' names say the splits: the column fold is kept beside." in data.plan.notes
    assert "split" not in dict(data.plan.columns)


def test_a_column_of_splits_that_is_named_counts_before_the_names_of_the_tars(shards_with_column):
    data = with_column(shards_with_column, split="b", columns=Wanted(split="fold"))
    assert [name[-8:-4] for name in data.ids] == ["0002", "0003", "0006", "0007"]
    assert data.index.tolist() == [2, 3, 6, 7]
    assert data.plan.source_length == 8
    assert dict(data.plan.splits) == {"a": 4, "b": 4}
    assert data.metadata is None


def test_an_empty_column_of_splits_says_none(tmp_path):
    members = samples_of(0, 4, json=lambda i: {"label": i % 2, "split": None})
    data = with_column(write(tmp_path / "x.tar", members))
    assert len(data) == 4
    assert "The column split is empty: there are no splits." in data.plan.notes


def test_labels_that_nobody_learns_stay_beside(tmp_path):
    path = write(tmp_path / "x.tar", samples_of(0, 4, cls=lambda i: "ab"[i % 2]))
    assert with_column(path).metadata is None
    assert with_column(path, needs_labels=False).metadata["cls"].tolist() == list("abab")
