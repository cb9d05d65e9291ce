"""Crops: their pixels, their checksums, and that an image is decoded once while its boxes are read."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from lsi.data import Dataset
from lsi.data.crops import CroppedImages
from lsi.data.decoding import deep_values
from lsi.data.images import ChosenImages, FileImages, Images, JoinedImages
from lsi.data.pixel_range import PixelRange, to_bytes
from lsi.data.pixels import ScaledImages, measure
from lsi.errors import DataError
from tests.data.test_images import png_16


class Pictures:
    """Images of 20 × 10 pixels whose red is x, green y and blue their number; they count how often they are decoded."""

    def __init__(self, n: int, wait: float = 0.0) -> None:
        self.n, self.wait, self.lock = n, wait, threading.Lock()
        self.reads: list[int] = []
        self.checksums = 0

    def __len__(self) -> int:
        return self.n

    def read(self, index: int) -> Image.Image:
        with self.lock:
            self.reads.append(index)
        time.sleep(self.wait)
        if index == 3:
            raise DataError("3.png: not an image")
        x, y = np.meshgrid(np.arange(20), np.arange(10))
        return Image.fromarray(np.stack([x, y, np.full_like(x, index)], axis=-1).astype(np.uint8))

    def native(self, index: int) -> Image.Image:
        return Image.fromarray(np.full((10, 20), 1000 + index, dtype=np.uint16))

    def source(self, index: int) -> None:
        return None

    def checksum(self, index: int) -> str:
        self.checksums += 1
        return "" if index == 3 else f"checksum {index}"

    def stamp(self, index: int) -> tuple[str, int, int] | None:
        return None if index == 3 else (f"{index}.png", 10, 20)


def crops(boxes, owner=None, images=None, **options) -> CroppedImages:
    owner = np.zeros(len(boxes), dtype=np.int64) if owner is None else np.asarray(owner)
    names = [f"box {i}" for i in range(len(boxes))]
    return CroppedImages(images or Pictures(4), np.asarray(boxes, dtype=np.float64), owner, names, **options)


@pytest.mark.parametrize(
    ("box", "unit", "expected"),
    [
        ((2, 3, 5, 4), "pixels", (2, 3, 5, 4)),
        ((0, 0, 20, 10), "pixels", (0, 0, 20, 10)),
        ((2.6, 3.2, 5.1, 4.9), "pixels", (2, 3, 6, 6)),
        ((5.2, 5.2, 0.3, 0.3), "pixels", (5, 5, 1, 1)),
        ((-4, -4, 6, 7), "pixels", (0, 0, 2, 3)),
        ((15, 5, 100, 100), "pixels", (15, 5, 5, 5)),
        ((0.5, 0.5, 0.25, 0.2), "fractions", (10, 5, 5, 2)),
        ((-0.1, 0.9, 0.2, 0.5), "fractions", (0, 9, 2, 1)),
    ],
)
def test_a_crop_is_the_pixels_that_a_box_touches(box, unit, expected):
    images = crops([box], unit=unit)
    image = images.read(0)
    assert isinstance(images, Images)
    assert image.mode == "RGB"
    assert (*image.getpixel((0, 0))[:2], *image.size) == expected
    assert images.native(0).mode == "I;16"
    assert images.native(0).size == expected[2:]
    assert images.source(0) is None


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((2, 3, 0, 4), "box 0: empty box$"),
        ((2, 3, 5, -1), "box 0: empty box$"),
        ((2, float("nan"), 5, 1), "box 0: empty box$"),
        ((20, 3, 5, 4), "box 0: empty box, it lies outside the image"),
        ((-9, 3, 5, 4), "box 0: empty box, it lies outside the image"),
        ((float("inf"), 3, 5, 4), "box 0: empty box"),
    ],
)
def test_an_empty_box_is_an_error(box, message):
    with pytest.raises(DataError, match=message):
        crops([box]).read(0)


def test_the_annotated_size_must_be_that_of_the_image():
    boxes = [(0, 0, 5, 5)] * 3
    images = crops(boxes, [0, 1, 2], sizes=np.array([[20, 10], [0, 0], [10, 20], [0, 0]]))
    assert [images.read(i).size for i in (0, 1)] == [(5, 5), (5, 5)]
    with pytest.raises(DataError, match="box 2: the image has 20 × 10 pixels, its annotation says 10 × 20"):
        images.read(2)


def test_checksum_and_stamp_are_of_image_and_box():
    boxes = [(0, 0, 5, 5), (0, 0, 5, 6), (0, 0, 5, 5), (0, 0, 5, 5)]
    pictures = Pictures(4)
    images = crops(boxes, [0, 0, 1, 3], pictures)
    checksums = [images.checksum(i) for i in range(4)]
    assert len(set(checksums)) == 4
    assert checksums[3] == ""
    assert [images.checksum(i) for i in range(4)] == checksums
    assert pictures.checksums == 3
    stamps = [images.stamp(i) for i in range(4)]
    assert stamps[0] == ("0.png#0,0,5,5", 10, 20)
    assert len(set(stamps)) == 4
    assert stamps[3] is None


def test_how_a_box_is_cut_is_part_of_the_data_and_not_of_the_content():
    """A corrected size, or another unit, may make another crop; decisions on image and box hold all the same."""
    box = [(0.5, 0.5, 0.5, 0.5)] * 2
    every = [
        crops(box),
        crops(box, unit="fractions"),
        crops(box, sizes=np.array([[20, 10]])),
        crops(box, sizes=np.array([[10, 20]])),
    ]
    unknown = crops(box, sizes=np.array([[0, 0]]))

    def fingerprint(images: Images) -> str:
        return Dataset("d", np.array(["a"]), np.zeros(1, np.int64), ("x",), images).fingerprint

    def within(images: CroppedImages) -> Images:
        chosen = ChosenImages(JoinedImages([Pictures(4), images]), np.array([4]))  # type: ignore[list-item]
        return ScaledImages(chosen, PixelRange())

    assert len({fingerprint(within(images)) for images in every}) == 4
    assert fingerprint(within(unknown)) == fingerprint(within(every[0]))
    assert len({images.checksum(0) for images in every}) == 1


def test_an_image_is_decoded_once_while_its_boxes_are_read_in_order():
    owner = np.repeat(np.arange(3), 50)
    pictures = Pictures(3, wait=0.002)
    images = crops([(1, 1, 5, 5)] * 150, owner, pictures)
    with ThreadPoolExecutor(2) as pool:
        marks = list(pool.map(lambda i: images.read(i).getpixel((0, 0))[2], range(150)))
    assert marks == owner.tolist()
    assert sorted(pictures.reads) == [0, 1, 2]


def test_decoded_images_are_let_go():
    images = crops([(1, 1, 5, 5)] * 40, np.arange(10, 50), Pictures(50))
    for i in range(40):
        images.read(i)
    assert len(images._decoded) == 4


def test_a_broken_image_fails_for_each_of_its_boxes_and_in_each_thread():
    images = crops([(1, 1, 5, 5)] * 6, [3] * 6, Pictures(4, wait=0.01))

    def read(i: int) -> str:
        try:
            images.read(i)
        except DataError as error:
            return str(error)
        return "read"

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(read, range(6))) == ["3.png: not an image"] * 6


def test_crops_of_deep_images_are_read_by_the_range_of_the_whole_images(tmp_path):
    for name, low, high in (("a", 1000, 3000), ("b", 0, 4000), ("unused", 0, 65535)):
        values = np.linspace(low, high, 800).reshape(20, 40).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    files = FileImages([tmp_path / f"{name}.png" for name in ("a", "b", "unused")])
    images = crops([(0, 0, 4, 4), (36, 16, 4, 4), (0, 0, 4, 4), (0, 0, 1, 1)], [0, 0, 1, 2], files)
    chosen = ChosenImages(images, np.array([0, 1, 2]))
    survey = measure(chosen)
    assert (survey.n_images, survey.n_deep) == (2, 2)
    whole = measure(ChosenImages(files, np.array([0, 1])))
    assert survey.pixel_range == whole.pixel_range
    crop = np.asarray(ScaledImages(chosen, survey.pixel_range).read(1))
    entire = np.asarray(ScaledImages(files, whole.pixel_range).read(0))
    assert (crop == entire[16:20, 36:40]).all()
    assert measure(images).n_images == 3


def test_deep_crops_that_were_chosen_twice_or_joined_are_read_by_the_range_of_the_whole_images(tmp_path):
    for i, low in enumerate((0, 1000, 3000)):
        values = np.linspace(low, low + 1000, 20 * 40).reshape(20, 40).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{i}.png")
    files = FileImages([tmp_path / f"{i}.png" for i in range(3)])
    images = crops([(0, 0, 4, 4)] * 5, [0, 0, 1, 2, 1], files)
    twice = ChosenImages(ChosenImages(images, np.array([0, 1, 2, 4])), np.array([1, 2, 3]))
    expected = measure(ChosenImages(files, np.array([0, 1])))
    assert expected.n_deep == 2
    assert measure(twice) == expected
    assert (
        measure(JoinedImages([ChosenImages(twice, np.array([0])), ChosenImages(twice, np.array([1, 2]))])) == expected
    )
    assert measure(JoinedImages([twice, files])) == measure(files)


@pytest.mark.parametrize("channels", [3, 4])
def test_crops_of_16_bit_colours_are_those_of_the_picture(tmp_path, channels):
    values = np.random.default_rng(0).integers(0, 4096, (10, 20, channels)).astype(np.uint16)
    values[..., 3:] = 65535
    (tmp_path / "a.png").write_bytes(png_16(values))
    boxes = np.array([[3.0, 2.0, 8.0, 5.0], [0.0, 0.0, 20.0, 10.0]])
    crops = CroppedImages(FileImages([tmp_path / "a.png"]), boxes, np.zeros(2, np.int64), ["first", "second"])
    read = ScaledImages(crops, PixelRange((0, 4095)))
    for index, part in enumerate((values[2:7, 3:11, :3], values[..., :3])):
        np.testing.assert_array_equal(deep_values(crops.native(index)), part)
        np.testing.assert_array_equal(np.asarray(read.read(index)), to_bytes(part, (0, 4095)))
