"""Random folders: what the reader says of them is what they were made of, or an error says why not."""

import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from PIL import Image

from lsi.data.sources import read_found
from lsi.data.sources.columns import Wanted
from lsi.data.sources.samples import Options, assemble
from lsi.errors import DataError
from tests.data.memory_tree import MemoryTree

SPLITS = {
    "train": ["train", "Train", "TRAIN", "training", "training_set", "train2017", "train_images", "seg_train"],
    "validation": ["val", "valid", "Validation", "dev", "val2017", "valid_set"],
    "test": ["test", "Test", "testing", "test_set", "seg_test"],
    "holdout": ["holdout", "hold-out"],
}
CLASSES = ["cat", "Dog", "001", "a b", "été", "x.y", "n01440764", "class 10", "UPPER", "猫", "-1", "(odd)", "t-shirt"]
WRAPPERS = ["images", "data", "photos", "my dataset", "v1.0"]
SUFFIXES = [".png", ".PNG", ".jpg", ".JPEG", ".gif", ".bmp", ".tif", ".webp", ".jfif", ""]
JUNK_FOLDERS = [".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", ".cache"]
JUNK_FILES = [".DS_Store", "._a.png", "Thumbs.db", ".hidden.jpg", "desktop.ini"]
OTHERS = ["README.md", "notes.txt", "LICENSE", "model.pt", "a.xml", "video.mp4"]
IMAGE_COLUMNS = ["path", "image", "file_name", "Filename", " img ", "File Path", "image_path"]
LABEL_COLUMNS = ["label", "Class", "category", "target", "labels", "class name"]


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = _png()


@dataclass
class Truth:
    """What a folder was made of: class and split of each image, and how many files of other kinds there are."""

    files: dict[str, bytes] = field(default_factory=dict)
    label: dict[str, str | None] = field(default_factory=dict)
    split: dict[str, str] = field(default_factory=dict)
    n_hidden: int = 0
    others: Counter = field(default_factory=Counter)
    ids: dict[str, str] = field(default_factory=dict)
    has_splits: bool = False

    def image(self, name: str, label: str | None, split: str = "") -> None:
        """Add an image."""
        self.files[name] = PNG
        self.label[name], self.split[name] = label, split


class Maker:
    """Makes a random folder and knows what it made."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.truth = Truth()

    def make(self) -> Truth:
        """Return a random folder."""
        base = "".join(f"{w}/" for w in self.rng.sample(WRAPPERS, self.rng.choice([0, 0, 1, 2])))
        kind = self.rng.choice([self.classes, self.splits, self.classes_of_splits, self.flat, self.table, self.table])
        kind(base)
        self.junk(base)
        return self.truth

    def names(self, count: int) -> list[str]:
        """Return names of images; two in one folder never differ by their suffix alone."""
        return [
            f"{stem}{self.rng.choice(SUFFIXES)}"
            for stem in self.rng.sample(["1", "2", "10", "a", "b c", "é", "z-1"], count)
        ]

    def classes(self, base: str, split: str = "", kinds: list[str] | None = None) -> None:
        """Add class folders, some with subfolders."""
        for kind in kinds or self.rng.sample(CLASSES, self.rng.randint(2, 4)):
            for name in self.names(self.rng.randint(1, 4)):
                inner = self.rng.choice(["", "", "", "aug/", "deep/er/"])
                self.truth.image(f"{base}{kind}/{inner}{name}", kind, split)

    def splits(self, base: str) -> None:
        """Add split folders with class folders, or one of them with images alone."""
        self.truth.has_splits = True
        kinds = self.rng.sample(CLASSES, self.rng.randint(2, 3))
        for split in self.rng.sample(list(SPLITS), self.rng.randint(1, 3)):
            folder = self.rng.choice(SPLITS[split])
            wrapper = self.rng.choice(["", "", "images/", f"{folder}/"])
            self.classes(f"{base}{folder}/{wrapper}", folder, kinds)
        if self.rng.random() < 0.3:
            for name in self.names(2):
                self.truth.image(f"{base}unlabeled/{name}", None, "unlabeled")
        elif self.rng.random() < 0.2:
            for name in self.names(2):
                self.truth.files[f"{base}others/{name}"] = PNG
                self.truth.others["images in others/, which is no split"] += 1

    def classes_of_splits(self, base: str) -> None:
        """Add class folders with split folders in them."""
        self.truth.has_splits = True
        splits = [self.rng.choice(SPLITS[s]) for s in self.rng.sample(list(SPLITS), 2)]
        for kind in self.rng.sample(CLASSES, self.rng.randint(2, 3)):
            for split in splits:
                for name in self.names(self.rng.randint(1, 2)):
                    self.truth.image(f"{base}{kind}/{split}/{name}", kind, split)

    def flat(self, base: str) -> None:
        """Add images alone."""
        for name in self.names(self.rng.randint(2, 5)):
            self.truth.image(f"{base}{name}", None)

    def table(self, base: str) -> None:
        """Add images in one folder, and a table that names most of them."""
        folder = self.rng.choice(["", "images/", "imgs/"])
        names = self.names(self.rng.randint(3, 6))
        with_split = self.rng.random() < 0.4
        self.truth.has_splits = with_split
        splits = [self.rng.choice(SPLITS[s]) for s in self.rng.sample(list(SPLITS), 2)]
        header = [
            self.rng.choice(IMAGE_COLUMNS),
            self.rng.choice(LABEL_COLUMNS),
            *(["Split"] if with_split else []),
            "age",
        ]
        rows, kinds = [], self.rng.sample([c for c in CLASSES if c != "-1"], 2)  # which alone would mean: no label
        prefix = folder if self.rng.random() < 0.5 else ""
        for i, name in enumerate(names):
            kind, split = kinds[i % 2], splits[i % 2] if with_split else ""
            if i == 2 and self.rng.random() < 0.3:
                self.truth.files[f"{base}{folder}{name}"] = PNG
                self.truth.others["unnamed"] += 1
                continue
            shown = "" if self.rng.random() < 0.15 and i > 1 else kind
            full = f"{base}{folder}{name}"
            self.truth.image(full, shown or None, split)
            self.truth.ids[full] = prefix + name
            rows.append([prefix + name, shown, *([split] if with_split else []), str(i)])
        self.write(base, header, rows)

    def write(self, base: str, header: list[str], rows: list[list[str]]) -> None:
        """Write a table in one of the usual forms."""
        separator, encoding = self.rng.choice([",", ";", "\t"]), self.rng.choice(["utf-8", "utf-8-sig", "utf-16"])
        end = self.rng.choice(["\n", "\r\n"])
        if self.rng.random() < 0.3:
            content = "\n".join(json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False) for row in rows)
            self.truth.files[f"{base}table.jsonl"] = content.encode()
            return
        trail = self.rng.choice(["", separator])
        lines = [separator.join(header), *(separator.join(row) + trail for row in rows)]
        self.truth.files[f"{base}labels{self.rng.choice(['.csv', '.CSV'])}"] = (end.join(lines) + end).encode(encoding)

    def junk(self, base: str) -> None:
        """Add what is never a sample."""
        folders = sorted({name.rpartition("/")[0] for name in self.truth.label} | {base.rstrip("/")})
        for _ in range(self.rng.randint(0, 4)):
            at = self.rng.choice(folders)
            name = self.rng.choice([f"{self.rng.choice(JUNK_FOLDERS)}/0.png", self.rng.choice(JUNK_FILES)])
            full = f"{at}/{name}" if at else name
            self.truth.n_hidden += full not in self.truth.files
            self.truth.files[full] = PNG
        for _ in range(self.rng.randint(0, 3)):
            at, name = self.rng.choice(folders), self.rng.choice(OTHERS)
            full = f"{at}/{name}" if at else name
            if full not in self.truth.files:
                suffix = "." + name.rpartition(".")[2] if "." in name else "without suffix"
                self.truth.others[suffix] += 1
                self.truth.files[full] = b"something else"


def check(seed: int) -> str:
    """Compare the plan of a random folder with what it was made of; return what kind of folder it was."""
    truth = Maker(seed).make()
    files = list(truth.files.items())
    random.Random(seed).shuffle(files)
    tree = MemoryTree(dict(files))
    named = sorted({s for s in truth.split.values() if s})
    splits: list[str] = [*named, "all"] if truth.has_splits else ["train"]
    for asked in splits:
        expected = {
            n: c for n, c in truth.label.items() if asked in ("all", "train", truth.split[n]) or not truth.has_splits
        }
        if truth.has_splits and asked != "all":
            expected = {n: c for n, c in truth.label.items() if truth.split[n] == asked}
        options = Options(asked, Wanted())
        data = assemble(read_found(tree, options, "d"), options)
        labelled = {truth.ids.get(n, n): c for n, c in expected.items() if c is not None}
        unlabelled = {truth.ids.get(n, n) for n, c in expected.items() if c is None}
        if not labelled:
            assert set(data.ids) == unlabelled
            assert not data.is_labelled
        else:
            found = {str(i): data.class_names[c] for i, c in zip(data.ids, data.labels, strict=True)}
            assert found == labelled
            assert (set() if data.unlabelled is None else set(data.unlabelled.ids)) == unlabelled
            assert dict(data.plan.classes) == Counter(labelled.values())
        ignored = dict(data.plan.ignored)
        assert ignored.pop("hidden files", 0) == truth.n_hidden
        assert sum(ignored.values()) == sum(truth.others.values())
        for i in range(len(data)):
            assert data.images.read(i).size == (1, 1)
    return "splits" if truth.has_splits else "plain"


@pytest.mark.parametrize("part", range(8))
def test_the_plan_of_a_random_folder_is_what_it_was_made_of(part):
    kinds = Counter(check(seed) for seed in range(part * 250, part * 250 + 250))
    assert min(kinds["splits"], kinds["plain"]) > 50


@pytest.mark.parametrize("part", range(4))
def test_a_folder_of_anything_is_read_or_refused_with_a_reason(part):
    pieces = [
        *WRAPPERS,
        *(name for names in SPLITS.values() for name in names),
        *CLASSES,
        *JUNK_FOLDERS,
        "labels",
        "a",
        "train.csv",
    ]
    for seed in range(part * 250, part * 250 + 250):
        rng = random.Random(seed)
        files: dict[str, bytes] = {}
        for _ in range(rng.randint(0, 12)):
            folders = "/".join(rng.choice(pieces) for _ in range(rng.randint(0, 4)))
            name = rng.choice(
                [f"{rng.randint(0, 9)}{rng.choice(SUFFIXES)}", *OTHERS, *JUNK_FILES, "labels.csv", "data.jsonl"]
            )
            content = rng.choice([PNG, b"", b"path,label\n1.png,a\n", b"{}", b"\xff\xfe\x00", b"a;b\n1;2\n"])
            full = f"{folders}/{name}" if folders else name
            if not any(full.startswith(f"{other}/") or other.startswith(f"{full}/") for other in files):
                files[full] = content
        options = Options(rng.choice(["train", "test", "all"]), Wanted())
        try:
            data = assemble(read_found(MemoryTree(files), options, "d"), options)
        except DataError as error:
            assert str(error).strip().endswith((".", ")"))  # noqa: PT017
            continue
        assert len(data.ids) == len(set(data.ids)) == data.plan.n_samples
        assert not any(part.startswith(".") or part == "__MACOSX" for name in data.ids for part in name.split("/"))
