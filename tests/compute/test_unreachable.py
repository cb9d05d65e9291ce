"""What fails around the images is kept of none of them: the stage fails, and another start reads them all."""

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lsi.compute import pipeline
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, Settings
from lsi.data import decoding, images, noise
from lsi.data.crops import CroppedImages
from lsi.data.images import FileImages
from lsi.data.pixels import measure
from lsi.data.sources.columnar import stored_bytes
from lsi.errors import DataError, UnreachableError, is_of_surroundings, of_reading
from lsi.features.views import ViewedImages
from lsi.regular import open_regular
from lsi.runs.run import Run

N = 80  # more than are looked at for a plan


@pytest.fixture
def root(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(N):
        path = tmp_path / "d" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "d"


def computed(root: Path, **data) -> Run:
    settings = Settings(DataSettings(data=root, **data), features=FeatureSettings("pixels"))
    return pipeline.run(settings, root.parent / "cache")


def refusing(name: str, error: Exception):
    """Return what opens files, but for one."""

    def opened(path: Path):
        if path.name == name:
            raise error
        return open_regular(path)

    return opened


FAILURES = {
    "too many files": OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
    "a disk": OSError(errno.EIO, os.strerror(errno.EIO)),
    "memory": MemoryError(),
    "a share": TimeoutError(errno.ETIMEDOUT, "timed out"),
}


@pytest.mark.parametrize("error", FAILURES.values(), ids=FAILURES)
def test_an_image_that_cannot_be_reached_is_read_at_the_next_start(root, monkeypatch, error):
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_regular", refusing("79.png", error))
        with pytest.raises(UnreachableError, match=r"79\.png: "):
            computed(root)
    run = computed(root)
    assert len(run.scores) == N
    assert run.manifest["dataset"]["skipped"] == []


def test_what_is_wrong_with_an_image_is_still_said_of_it(root, monkeypatch):
    monkeypatch.setattr(decoding, "open_regular", refusing("79.png", OSError("cannot identify")))
    (skipped,) = computed(root).manifest["dataset"]["skipped"]
    assert skipped["id"] == "b/79.png"


def test_content_that_cannot_be_reached_is_no_content(root, monkeypatch):
    def refused(path: Path) -> str:
        raise FAILURES["a disk"]

    monkeypatch.setattr(images, "file_checksum", refused)
    with pytest.raises(UnreachableError, match=r"00\.png: cannot be read"):
        computed(root)


def test_nothing_is_concluded_for_others_from_an_image_that_cannot_be_reached(root, monkeypatch):
    """Neither the range of pixel values nor the strength of the noise is taken without it."""
    monkeypatch.setattr(decoding, "open_regular", refusing("07.png", FAILURES["a disk"]))
    with pytest.raises(UnreachableError):
        noise.pixel_deviation(FileImages(sorted(root.rglob("*.png"))), 0)
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(root / "b" / "07.png")
    with pytest.raises(UnreachableError):
        measure(FileImages(sorted(root.rglob("*.png"))))
    asked = NoiseSettings(corrupt_data=0.5, corrupt_data_label=(0,))
    with pytest.raises(UnreachableError):
        pipeline.run(Settings(DataSettings(data=root), asked, FeatureSettings("pixels")), root.parent / "cache")


def test_a_photograph_is_tried_again_for_its_next_box(root, monkeypatch):
    files = FileImages([root / "a" / "00.png"])
    boxes = CroppedImages(files, np.array([(0.0, 0, 4, 4)] * 2), np.array([0, 0]), ["x", "y"])
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_regular", refusing("00.png", FAILURES["too many files"]))
        with pytest.raises(UnreachableError):
            boxes.read(0)
    assert boxes.read(1).size == (4, 4)


def test_a_disk_that_was_full_is_tried_again(root, monkeypatch):
    content = [path.read_bytes() for path in sorted(root.rglob("*.png"))]
    table = {"image": [{"bytes": data, "path": None} for data in content], "label": [i % 2 for i in range(N)]}
    pq.write_table(pa.table(table), root.parent / "d.parquet")
    monkeypatch.setattr(stored_bytes, "MOST_OF_GROUP", 1_000)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stored_bytes.tempfile, "TemporaryFile", full)
        with pytest.raises(UnreachableError, match="set TMPDIR to a folder with room"):
            computed(root.parent / "d.parquet")
    assert len(computed(root.parent / "d.parquet").scores) == N


def test_an_image_whose_second_view_fails_has_no_target_of_zeros(root, monkeypatch):
    read = ViewedImages.read

    def failing(self: ViewedImages, index: int) -> Image.Image:
        if index == 7:
            raise DataError("7: gone")
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(ViewedImages, "read", failing)
        with pytest.raises(DataError, match=r"1 image could be read once and not a second time, .* \(7: gone\)"):
            computed(root, task="self")
    assert len(computed(root, task="self").scores) == N


class ReadTimeoutError(Exception):
    """As clients of networks have them, which are no errors of the system."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), True),
        (ReadTimeoutError(), True),
        (UnreachableError("no"), True),
        (OSError(errno.ENOSPC, "full"), True),
        (OSError("broken data stream"), False),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (PermissionError(errno.EACCES, "no"), False),
        (DataError("no image"), False),
        (ValueError(), False),
    ],
)
def test_faults_around_the_data_are_told_from_those_in_them(error, expected):
    assert is_of_surroundings(error) is expected
    assert isinstance(of_reading("x", error), UnreachableError) is expected
