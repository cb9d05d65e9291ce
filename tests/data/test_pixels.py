import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from lsi.data import Dataset
from lsi.data.decoding import decode
from lsi.data.fetched import FetchedImages
from lsi.data.images import ArrayImages, ChosenImages, FileImages, JoinedImages, pixel_limits
from lsi.data.pixel_range import Extent, PixelRange, extent_of, limits_of, to_bytes
from lsi.data.pixels import PixelSurvey, ScaledImages, check_real, from_pixels, measure
from lsi.errors import DataError
from lsi.progress import Progress
from lsi.runs.images import RunImages, describe_images
from tests.data.test_images import png_16, saved


def encoded(*values: np.ndarray, kind: str = "TIFF") -> FetchedImages:
    """Images of the arrays, each as a file's content."""
    data = [v if isinstance(v, bytes) else saved(Image.fromarray(v), kind) for v in values]
    return FetchedImages([f"image {i}" for i in range(len(data))], lambda i: data[i])


def levels(image: Image.Image) -> int:
    return len(np.unique(np.asarray(image)))


def ramp(low: float, high: float, kind=np.uint16, n: int = 4096) -> np.ndarray:
    return np.linspace(low, high, n).reshape(64, -1).astype(kind)


@pytest.mark.parametrize(
    ("low", "high", "is_whole", "expected"),
    [
        (0, 4095, True, (0, 4095)),  # 12 bits
        (3, 4071, True, (0, 4095)),
        (291, 694, True, (291, 694)),  # a camera that uses little of its range
        (7301, 8206, True, (7301, 8206)),
        (0, 260, True, (0, 260)),
        (0, 250, True, (0, 255)),  # 8 bits in a wider container stay as they are
        (100, 200, True, (0, 255)),
        (0, 16, True, (0, 16)),
        (0, 1, True, (0, 1)),
        (0, 65535, True, (0, 65535)),
        (40000, 40000, True, (0, 65535)),
        (0, 0, True, (0, 1)),
        (-128, 127, True, (-128, 127)),
        (-1024, 3071, True, (-1024, 3071)),
        (-30000, 32000, True, (-32768, 32767)),
        (0, 2_000_000_000, True, (0, 2_147_483_647)),
        (0.0, 1.0, False, (0, 1)),
        (0.1, 0.6, False, (0, 1)),
        (0.0, 0.0625, False, (0.0, 0.0625)),  # 12 of 16 bits, divided by 65535
        (0.5, 0.5, False, (0, 1)),
        (-2.118, 2.64, False, (-2.118, 2.64)),  # normalised as for ImageNet
        (0.0, 254.7, False, (0.0, 254.7)),
        (3.7, 3.7, False, (0, 7)),
        (np.inf, -np.inf, True, (0, 1)),
    ],
)
def test_black_and_white_follow_from_the_data(low, high, is_whole, expected):
    assert limits_of(Extent(low, high, is_whole)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "before"),
    [
        (ramp(0, 4095), 4096),
        (ramp(291, 694), 404),
        (ramp(106, 285), 180),
        (ramp(7301, 8206), 906),
        (ramp(0, 260), 261),
        (ramp(0, 65535), 4096),
        (ramp(-5, 5, np.float32), 4096),
        (ramp(0, 3000, np.float32), 4096),
        (ramp(0, 1, np.float32), 4096),
        (ramp(0, 0.06, np.float32), 4096),
        (ramp(-1000, 3000, np.int32), 4001),
        (ramp(0, 2e9, np.int32), 4096),
        (ramp(1e30, 2e38, np.float32), 4096),
    ],
)
def test_evenly_used_values_keep_their_levels(values, before):
    """A linear scale over the values of the data keeps nine tenths of the levels that 8 bits can show."""
    images = encoded(values)
    assert len(np.unique(values)) == before
    assert levels(ScaledImages(images, measure(images).pixel_range).read(0)) >= 0.9 * min(256, before)


def test_one_scale_serves_all_images():
    images = encoded(np.full((4, 4), 250, np.uint16), np.full((4, 4), 260, np.uint16), ramp(0, 4000), kind="PNG")
    survey = measure(images)
    assert survey.pixel_range == PixelRange(integers=(0, 4095))
    scaled = ScaledImages(images, survey.pixel_range)
    assert [np.asarray(scaled.read(i)).max() for i in range(3)] == [16, 16, 249]


@given(arrays.arrays(st.sampled_from([np.uint16, np.int32, np.float32, np.float64, np.float16]), (5, 7)))
@example(np.eye(5, 7) * 5e-324)  # the least that a float holds
@settings(max_examples=200, deadline=None)
def test_brighter_is_never_darker_whatever_the_values(values):
    extent = extent_of(values)
    seen = to_bytes(values, limits_of(extent)).astype(int).ravel()
    is_finite = np.isfinite(values).ravel()
    order = np.argsort(values.ravel()[is_finite], kind="stable")
    assert (np.diff(seen[is_finite][order]) >= 0).all()
    assert not seen[~is_finite].any()
    if is_finite.any() and extent.low < extent.high and not np.array_equal(limits_of(extent), (0, 1)):
        assert seen.max() >= 0.85 * 255 or extent.high <= 255


def test_images_of_8_bits_stay_as_they_are():
    pixels = np.random.default_rng(0).integers(0, 99, (8, 8, 3)).astype(np.uint8)
    images = encoded(saved(Image.fromarray(pixels)), saved(Image.fromarray(ramp(0, 4095))))
    survey = measure(images)
    np.testing.assert_array_equal(ScaledImages(images, survey.pixel_range).read(0), pixels)
    assert survey.lines() == [
        "pixel range 0 … 4095 of 16 bits, read as black … white, in 1 of 2 images; others are 8-bit"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([ramp(0, 4095)], ["pixel range 0 … 4095 of 16 bits, read as black … white"]),
        ([ramp(-9000, 60000, np.int32)], ["pixel range -9000 … 60000 of 32 bits, read as black … white"]),
        ([ramp(-3.5, 3.5, np.float32)], ["pixel range -3.5 … 3.5 of floats, read as black … white"]),
        ([png_16(np.dstack([ramp(0, 4095)] * 3))], ["pixel range 0 … 4095 of 16 bits, read as black … white"]),
        ([png_16(np.dstack([ramp(0, 4095)] * 2))], ["pixel range 0 … 4095 of 16 bits, read as black … white"]),
        (
            [ramp(0, 4095), ramp(0, 1, np.float32)],
            [
                "pixel range 0 … 4095 of 16 bits, read as black … white",
                "pixel range 0 … 1 of floats, read as black … white",
            ],
        ),
        ([np.zeros((4, 4), np.uint8)], []),
        ([b"no image"], []),
        ([], []),
    ],
)
def test_the_range_is_told(content, expected):
    assert measure(encoded(*content)).lines() == expected


def test_16_bit_colours_of_12_bits_are_not_dark():
    images = encoded(png_16(np.dstack([ramp(0, 4095), ramp(0, 4095), np.full((64, 64), 4095, np.uint16)])))
    seen = np.asarray(ScaledImages(images, measure(images).pixel_range).read(0))
    assert [len(np.unique(seen[..., i])) for i in range(3)] == [256, 256, 1]
    assert seen[0, 0].tolist() == [0, 0, 255]


def test_transparency_of_16_bit_colours_is_laid_over_white():
    values = np.full((4, 4, 4), 2048, np.uint16)
    values[..., 3] = [0, 65535, 0, 65535]
    images = encoded(png_16(values))
    assert np.asarray(ScaledImages(images, PixelRange((0, 4095))).read(0))[0, :2, 0].tolist() == [255, 128]


def spliced(png: bytes, name: bytes, data: bytes) -> bytes:
    """The PNG with another chunk before its pixels."""
    at = png.index(b"IDAT") - 4
    return png[:at] + struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) + png[at:]


@pytest.mark.parametrize("padding", [0, 8_000])  # the chunk may lie beyond the first bytes
@pytest.mark.parametrize(
    ("kind", "colour", "like_it"),
    [(np.uint8, (7, 8, 9), (7, 8, 10)), (np.uint16, (1000, 2000, 3000), (1000, 2000, 3001)), (np.uint16, 999, 1000)],
)
def test_the_colour_that_a_png_calls_transparent_is_laid_over_white(kind, colour, like_it, padding):
    values = np.full((4, 4, *np.shape(colour)), 100, kind)
    values[0, 0], values[0, 1], values[3, 3] = colour, like_it, np.iinfo(kind).max
    plain = png_16(values) if kind == np.uint16 and values.ndim == 3 else saved(Image.fromarray(values), "PNG")
    data = spliced(plain, b"tEXt", b"Comment\0" + b"x" * padding)
    data = spliced(data, b"tRNS", np.array(colour, ">u2").tobytes())
    images = encoded(data, plain)
    survey = measure(images)
    assert survey.n_clear == 1
    assert survey.read_by != measure(encoded(plain)).read_by
    scaled = ScaledImages(images, survey.pixel_range)
    for found, opaque in ((decode(data), decode(plain)), (scaled.read(0), scaled.read(1))):
        whole = np.asarray(opaque).copy()
        whole[0, 0] = 255
        np.testing.assert_array_equal(np.asarray(found), whole)
        assert (whole[0, 1] != 255).any()


def test_gaps_are_black_and_images_of_nothing_else_are_unreadable():
    some = ramp(-1, 1, np.float32)
    some[0, :3] = np.nan, np.inf, -np.inf
    images = encoded(some, np.full((4, 4), np.nan, np.float32), ramp(-2, 2, np.float32))
    survey = measure(images)
    assert survey.pixel_range == PixelRange(floats=(-2, 2))
    assert survey.lines()[1:] == [
        "1 image holds NaN or infinite pixels: these are read as black",
        "1 image holds nothing but NaN or infinite pixels and cannot be read",
    ]
    scaled = ScaledImages(images, survey.pixel_range)
    assert np.asarray(scaled.read(0))[0, :4, 0].tolist() == [0, 0, 0, 64]
    with pytest.raises(DataError, match="image 1: every pixel is NaN or infinite"):
        scaled.read(1)
    with pytest.raises(DataError, match="image 1: every pixel is NaN or infinite"):
        images.read(1)


def frames(kind: str, n: int) -> bytes:
    shades = [Image.new("L", (8, 8), 255 - 90 * i) for i in range(n)]
    return saved(shades[0], kind, save_all=True, append_images=shades[1:])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_files_of_several_frames_are_counted_and_the_first_is_read(kind):
    images = encoded(frames(kind, 2), frames(kind, 1), frames(kind, 2))
    survey = measure(images)
    assert survey.n_frames == 2
    assert survey.lines() == ["2 files have several frames or pages: the first is read"]
    assert images.read(0).getpixel((2, 2))[0] >= 250


def test_one_file_of_several_frames_is_told_in_the_singular():
    assert PixelSurvey(3, 0, PixelRange(), n_frames=1).lines() == [
        "1 file has several frames or pages: the first is read"
    ]


def test_only_headers_of_plain_images_are_read(tmp_path, monkeypatch):
    paths = [tmp_path / f"{i}.{suffix}" for i, suffix in enumerate(("png", "jpg", "webp", "bmp"))]
    for path in paths:
        Image.new("RGB", (9, 9)).save(path)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a plain image was opened"))
    assert measure(FileImages([*paths, tmp_path / "none.png"])).n_deep == 0


def test_progress_is_reported():
    reports = []
    measure(encoded(ramp(0, 9), ramp(0, 9)), Progress([reports.append]))
    assert [(r.stage, r.done, r.total) for r in reports] == [
        ("pixel range", 0, 2),
        ("pixel range", 1, 2),
        ("pixel range", 2, 2),
    ]


def test_files_chosen_and_joined_are_measured_alike(tmp_path):
    for i, high in enumerate((300, 4000)):
        Image.fromarray(ramp(0, high)).save(tmp_path / f"{i}.png")
    files = FileImages([tmp_path / "0.png", tmp_path / "1.png"])
    assert measure(JoinedImages([files, files])).pixel_range == PixelRange((0, 4095))
    assert measure(ChosenImages(files, np.array([0]))).pixel_range == PixelRange((0, 300))


@pytest.mark.parametrize("found", [PixelRange(), PixelRange((0, 4095)), PixelRange((0, 9), (-1.5, 2.5))])
def test_a_range_survives_a_manifest(found):
    assert PixelRange.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert PixelRange.from_dict(None) == PixelRange()


def test_the_images_of_a_run_are_read_by_its_range(tmp_path):
    Image.fromarray(ramp(0, 4095)).save(tmp_path / "0.png")
    files = FileImages([tmp_path / "0.png"])

    dataset = Dataset("one", np.array(["0.png"]), np.array([0]), ("a",), files)
    table = describe_images(dataset, None)
    table[["id", "index", "position"]] = [["0.png", 0, 0]]
    facts = {"files": [], "pixel_range": PixelRange((0, 4095)).to_dict()}
    run = RunImages(table, facts, lambda: dataset)
    assert run.read(0).getextrema()[0] == (0, 255)
    assert run.native(0).mode == "I;16"
    assert run.stamp(0) == files.stamp(0)
    inside = RunImages(table.assign(file=""), facts, lambda: dataset)
    assert inside.read(0).getextrema()[0] == (0, 255)
    assert RunImages(table, {"files": []}, lambda: dataset).read(0).getextrema()[0] == (0, 16)


GREY = np.linspace(0, 200, 2 * 6 * 5).reshape(2, 6, 5)
COLOUR = np.linspace(0, 200, 2 * 6 * 5 * 3).reshape(2, 6, 5, 3)


@pytest.mark.parametrize(
    ("values", "mode", "line"),
    [
        (GREY.astype(np.uint8), "L", None),
        (GREY[..., None].astype(np.uint8), "L", None),
        (GREY[:, None].astype(np.uint8), "L", "axis 1 is read as the 1 channels"),
        (COLOUR.astype(np.uint8), "RGB", None),
        (COLOUR.transpose(0, 3, 1, 2).astype(np.uint8), "RGB", "axis 1 is read as the 3 channels"),
        (COLOUR.astype(np.float32), "RGB", "pixel range 0 … 200 of float32, read as black … white"),
        (COLOUR / 200, "RGB", "pixel range 0 … 1 of float64"),
        (COLOUR.astype(np.float16), "RGB", "of float16"),
        ((COLOUR - 100) / 50, "RGB", "pixel range -2 … 2 of float64"),
        (COLOUR.astype(np.int64), "RGB", "pixel range 0 … 255 of int64"),
        ((COLOUR * 20).astype(np.uint16), "RGB", "pixel range 0 … 4095 of uint16"),
        ((COLOUR * 1e7).astype(np.uint32), "RGB", "pixel range 0 … 2147483647 of uint32"),
        ((COLOUR - 100).astype(np.int8), "RGB", "pixel range -100 … 100 of int8"),
        (GREY > 100, "L", "pixel range 0 … 1 of booleans"),
        ((GREY > 100).astype(np.uint8), "L", "pixel range 0 … 1 of uint8"),
        (np.zeros((2, 3, 4, 3), np.uint8), "RGB", "the last axis of shape"),
    ],
)
def test_arrays_of_every_layout_and_kind(values, mode, line):
    before = values.copy()
    images, sentences = from_pixels(values, "a.npz")
    assert images.native(0).mode == mode
    assert len(images) == 2
    assert any(line in s for s in sentences) if line else sentences == ()
    if values.max() > 0:
        seen = np.stack([np.asarray(images.read(i)) for i in range(2)])
        assert seen.shape == (2, 6, 5, 3)
        assert seen.min() == 0
        assert seen.max() >= 199
        assert len(np.unique(seen)) >= 0.9 * min(256, len(np.unique(values)))
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("scale", [np.uint8(255), np.uint16(65535), np.float32(1)])
def test_the_fourth_channel_is_transparency(scale):
    values = np.zeros((2, 2, 4), type(scale))
    values[:, 0, 3] = scale
    images, sentences = from_pixels(values[None].repeat(2, 0), "a.npy")
    assert "the fourth channel is read as transparency and laid over white" in sentences
    assert np.asarray(images.read(0))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("top", [1, 255])
def test_transparency_has_a_scale_of_its_own_beside_bytes(top):
    """Colours of 0 … 255 are read as they are, and a fourth channel of 0 and 1 is transparent and opaque."""
    values = np.random.default_rng(0).integers(2, 255, (3, 4, 5, 4), dtype=np.uint8)
    values[..., 3] = top
    values[:, 0, :, 3] = 0
    images, _ = from_pixels(values, "a.npy")
    seen = np.asarray(images.read(1))
    assert (seen[0] == 255).all()
    np.testing.assert_array_equal(seen[1:], values[1, 1:, :, :3])
    assert pixel_limits(images) == ([(None, (0.0, 1.0))] if top == 1 else [])


def test_arrays_with_gaps(tmp_path):
    values = np.linspace(-1, 1, 3 * 4 * 4).reshape(3, 4, 4)
    values[0, 0, 0], values[1] = np.nan, np.inf
    images, sentences = from_pixels(values, "a.npz")
    assert [s for s in sentences if "NaN" in s] == [
        "1 image holds NaN or infinite pixels: these are read as black",
        "1 image holds nothing but NaN or infinite pixels and cannot be read",
    ]
    assert images.read(0).getpixel((0, 0)) == (0, 0, 0)
    with pytest.raises(DataError, match=r"a\.npz, image 1: every pixel is NaN or infinite"):
        images.read(1)


def test_an_array_is_neither_copied_nor_read_whole(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 3, 64, 64), np.uint16))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    images, _ = from_pixels(mapped, "images", tmp_path / "a.npy")
    assert np.shares_memory(images.values, mapped)
    status = (tmp_path / "a.npy").stat()
    assert images.stamp(2) == (f"{tmp_path / 'a.npy'}#images#2", status.st_size, status.st_mtime_ns)
    assert ArrayImages(mapped).stamp(2) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 4, 4), np.complex64), "a.npz: expected real numbers, got complex64"),
        (np.zeros((2, 4, 4), "U3"), "a.npz: expected numbers as pixels, got <U3"),
        (np.zeros((2, 4, 4), "M8[s]"), "a.npz: expected numbers as pixels, got datetime64"),
        (np.zeros((2, 6, 5, 2)), r"a.npz: expected images of shape .* got \(2, 6, 5, 2\)"),
        (np.zeros((2, 4, 5, 6, 3)), "a.npz: expected images of shape"),
        (np.zeros((0, 4, 5)), "a.npz: expected images, got shape"),
        (np.zeros((2, 0, 5)), "a.npz: expected images, got shape"),
    ],
)
def test_arrays_that_hold_no_images_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        from_pixels(values, "a.npz")


def test_complex_features_are_refused():
    check_real(np.zeros(3), "x")
    with pytest.raises(DataError, match="x, features: expected real numbers, got complex128: save their magnitude"):
        check_real(np.zeros(3, complex), "x, features")
