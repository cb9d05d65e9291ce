import importlib.util
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from lsi.data import decode, formats
from lsi.data.decoding import decode_native, deep_values
from lsi.data.fetched import FetchedImages
from lsi.data.images import (
    HEIC_SUFFIXES,
    SUFFIXES,
    ArrayImages,
    ChosenImages,
    FileImages,
    Images,
    JoinedImages,
    encoded,
    sniff,
)
from lsi.data.noise import NoisyImages
from lsi.data.pixels import ScaledImages, measure
from lsi.errors import DataError
from lsi.hashing import stamp_of

RED = (200, 40, 30)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A red frame around a white middle: its corner and its middle tell whether it was read right."""
    image = Image.new("RGB", size, RED)
    ImageDraw.Draw(image).rectangle((16, 12, size[0] - 16, size[1] - 12), fill=WHITE)
    return image.convert(mode)


def png_16(values: np.ndarray) -> bytes:
    """A PNG of 16-bit values of shape (h, w, 2, 3 or 4), which Pillow cannot write."""
    height, width, channels = values.shape
    colours = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, tags: dict[int, tuple[int, ...]], order: str) -> bytes:
    """An uncompressed TIFF in one strip, with the tags that say what the values are."""
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    height, width = values.shape[:2]
    every = {256: (width,), 257: (height,), 259: (1,), 262: (1,), 273: (8,), 278: (height,), 279: (len(data),), **tags}
    offset, extra, entries = 8 + len(data), b"", b""
    behind = offset + 2 + 12 * len(every) + 4
    for tag, items in sorted(every.items()):
        kind, letter = (4, "I") if tag in (273, 279) else (3, "H")
        content = struct.pack(f"{order}{len(items)}{letter}", *items)
        if len(content) > 4:
            extra, content = extra + content, struct.pack(f"{order}I", behind + len(extra))
        entries += struct.pack(f"{order}HHI", tag, kind, len(items)) + content.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    return head + data + struct.pack(f"{order}H", len(every)) + entries + bytes(4) + extra


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (4, 4), 77), "PNG", (77, 77, 77)),
        (Image.new("LA", (4, 4), (77, 0)), "PNG", WHITE),
        (Image.new("RGB", (4, 4), RED), "PNG", RED),
        (Image.new("RGBA", (4, 4), (*RED, 0)), "PNG", WHITE),
        (Image.new("RGBA", (4, 4), (*RED, 255)), "PNG", RED),
        (Image.new("RGB", (4, 4), RED).quantize(4), "PNG", RED),
        (Image.new("RGB", (4, 4), RED).quantize(4), "GIF", RED),
        (Image.new("1", (4, 4), 1), "PNG", WHITE),
        (Image.fromarray(np.full((4, 4), 30000, np.uint16)), "PNG", (117, 117, 117)),
        (Image.fromarray(np.full((4, 4), 200, np.uint16)), "PNG", (1, 1, 1)),
        (Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF", (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 200, np.float32)), "TIFF", WHITE),
        (Image.fromarray(np.array([[np.nan, 0.5, 0.5], [0.5] * 3, [0.5] * 3], np.float32)), "TIFF", (128, 128, 128)),
        (Image.fromarray(np.full((4, 4), 65535, np.int32)), "TIFF", WHITE),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "JPEG", BLACK),
        (Image.new("YCbCr", (4, 4), (77, 128, 128)), "JPEG", (77, 77, 77)),
        (Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF", WHITE),
    ],
)
def test_every_mode_is_read_right(image, kind, expected):
    found = decode(saved(image, kind))
    assert found.mode == "RGB"
    assert np.abs(np.asarray(found)[2, 2].astype(int) - expected).max() <= 2


def test_without_a_range_no_image_is_scaled_by_its_own_content():
    dim, bright = (np.full((4, 4), v, np.uint16) for v in (250, 260))
    assert [np.asarray(decode(saved(Image.fromarray(v)))).max() for v in (dim, bright)] == [1, 1]


def test_images_stand_upright():
    image = Image.new("RGB", (8, 4), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(saved(image, "JPEG", exif=exif)).size == (4, 8)


formats.register_heic()
WRITABLE = sorted(s for s in SUFFIXES if Image.registered_extensions()[s] in Image.SAVE)


@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_suffix_that_pillow_can_write_is_read(suffix, tmp_path):
    kind = Image.registered_extensions()[suffix]
    for mode in ("RGB", "RGBA", "P", "L", "1", "F"):
        try:
            picture(mode).save(tmp_path / f"x{suffix}", kind)
            break
        except (OSError, ValueError, KeyError):
            continue
    found = decode(tmp_path / f"x{suffix}")
    assert found.mode == "RGB"
    middle, corner = (sum(found.getpixel((int(found.width * s), int(found.height * s)))) for s in (0.5, 0.03))
    assert middle > corner
    assert formats.usual_suffix(kind) in SUFFIXES


@pytest.mark.parametrize(
    "suffix", [".jpg", ".jfif", ".jpe", ".avif", ".jp2", ".ico", ".tga", ".heic", ".webp", ".tiff", ".bmp", ".pgm"]
)
def test_the_usual_suffixes_are_known(suffix):
    assert suffix in SUFFIXES | HEIC_SUFFIXES


@pytest.mark.parametrize("suffix", [".eps", ".ps", ".pdf", ".wmf", ".mpg", ".h5", ".hdf", ".grib", ".bufr", ".iim"])
def test_what_runs_programs_or_is_no_picture_is_not_read(suffix):
    assert suffix not in SUFFIXES


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("JPEG", "JPEG"), ("PNG", "PNG"), ("GIF", "GIF"), ("WEBP", "WEBP"), ("TIFF", "TIFF"), ("BMP", "BMP"),
        ("PPM", "PPM"), ("AVIF", "AVIF"), ("JPEG2000", "JPEG2000"), ("ICO", "ICO"), ("QOI", "QOI"), ("DDS", "DDS"),
        pytest.param("HEIF", "HEIF", marks=pytest.mark.skipif(not HAS_HEIC, reason="pillow-heif is not installed")),
    ],
)  # fmt: skip
def test_content_tells_the_format_without_a_suffix_and_under_a_wrong_one(kind, name, tmp_path):
    formats.register_heic()
    data = saved(picture(), kind)
    assert sniff(data[:64]) == name
    for file in ("plain", "wrong.jpg", "wrong.tga"):
        (tmp_path / file).write_bytes(data)
        assert decode(tmp_path / file).mode == "RGB"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"BMW and other cars", b"P1 is a text about class P1.", b"#define WIDTH 3\n", b"/* C */", b"SIMPLE words",
        b"\n\x00 a text", b"PK\x03\x04" + bytes(60), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\0" * 64, b"a,b\n1,2\n",
        b"\0\0\0\x20ftypisom" + bytes(50), b"GIF", b"\x28\0\0\0 text that begins like a DIB",
    ],
)  # fmt: skip
def test_other_content_is_no_image(data):
    assert sniff(data) is None


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "not an image but text"),
        (b"\xff\x00 something", "not an image$"),
        (saved(Image.new("RGB", (64, 64), RED))[:90], "broken image"),
        (saved(Image.new("RGB", (64, 64), RED))[:20], "broken image"),
        (tiff(np.zeros((4, 4)), {258: (64,), 277: (1,), 339: (3,)}, "<"), "a TIFF image that is damaged, or of a kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image but a PostScript file"),
        (b"\n <!DOCTYPE html><html></html>", "not an image but a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not an image but a Git LFS pointer"),
        (b"PK\x03\x04" + bytes(60), "not an image but a zip archive"),
        (b"%PDF-1.7\n", "not an image but a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image but a drawing"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "not an image but a film"),
        (b"\xff\x0a\x01\x02\x03", "not an image but a JPEG XL image"),
        (b"\0" * 300, "not an image but nothing but zero bytes"),
        (b"\0" * 128 + b"DICM" + b"\1" * 9, "not an image but a DICOM file"),
        (HEIC, "a HEIF image that is damaged" if HAS_HEIC else r"a HEIC image: install lsi-lens\[heic\]"),
    ],
)
def test_what_is_no_image_says_what_it_is(data, message):
    with pytest.raises(DataError, match=f"x.png: {message}"):
        decode(data, "x.png")


def test_heic_without_its_reader_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "register_heic", lambda: False)
    (tmp_path / "photo.jpg").write_bytes(HEIC)
    with pytest.raises(DataError, match=r"photo.jpg: a HEIC image: install lsi-lens\[heic\]"):
        decode(tmp_path / "photo.jpg", "photo.jpg")


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="x: no such file"):
        decode(tmp_path / "none.png", "x")
    with pytest.raises(DataError, match="x: expected a regular file"):
        decode(tmp_path, "x")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="pipe: expected a regular file"):
        decode(tmp_path / "pipe.png", "pipe")


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("lsi.data.decoding.MAX_PIXELS", 1000)
    with pytest.raises(DataError, match="64 × 64 pixels are more than"):
        decode(saved(Image.new("1", (64, 64))), "bomb.png")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bit_colours_keep_their_lower_bytes(channels):
    values = np.random.default_rng(0).integers(0, 4096, (9, 7, channels)).astype(np.uint16)
    native = decode_native(png_16(values))
    expected = values[..., :1].repeat(3, 2) if channels == 2 else values[..., :3]
    np.testing.assert_array_equal(deep_values(native), expected)
    if channels != 3:
        np.testing.assert_array_equal(np.asarray(native)[..., 3], values[..., -1] >> 8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "u2", "i2", "i4", "f4"])
def test_numbers_of_every_kind_in_a_tiff_keep_their_value(kind, order):
    values = (np.arange(-60, 60).reshape(10, 12) * (1 if kind == "i1" else 100)).astype(kind)
    sample = {"u": 1, "i": 2, "f": 3}[kind[0]]
    native = decode_native(tiff(values, {258: (8 * values.dtype.itemsize,), 277: (1,), 339: (sample,)}, order))
    np.testing.assert_array_equal(np.asarray(native), values)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_in_a_compressed_tiff_of_the_other_byte_order_keep_their_value(kind):
    values = np.arange(-60, 60).reshape(10, 12).astype(kind)
    packed = zlib.compress(values.astype(values.dtype.newbyteorder(">")).tobytes())
    sample = 2 if kind is np.int32 else 3
    tags = {256: (12,), 257: (10,), 278: (10,), 259: (8,), 258: (32,), 277: (1,), 339: (sample,)}
    data = tiff(np.frombuffer(packed, np.uint8)[None], {**tags, 279: (len(packed),)}, ">")
    np.testing.assert_array_equal(np.asarray(decode_native(data)), values)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colours_in_a_tiff_are_read_in_one_plane_and_in_three(order):
    values = np.random.default_rng(0).integers(0, 65536, (9, 7, 3)).astype(np.uint16)
    tags = {258: (16, 16, 16), 262: (2,), 277: (3,)}
    np.testing.assert_array_equal(deep_values(decode_native(tiff(values, tags, order))), values)
    planes = values.transpose(2, 0, 1).reshape(27, 7)
    start = [8 + 126 * i for i in range(3)]
    tags |= {257: (9,), 278: (9,), 284: (2,), 273: tuple(start), 279: (126, 126, 126)}
    np.testing.assert_array_equal(deep_values(decode_native(tiff(planes, tags, order))), values)


def test_white_that_is_stored_as_zero_is_white():
    values = np.array([[0, 65535], [0, 65535]], np.uint16)
    data = tiff(values, {258: (16,), 262: (0,), 277: (1,)}, "<")
    np.testing.assert_array_equal(np.asarray(decode(data))[..., 0], [[255, 0], [255, 0]])


def test_integers_that_do_not_fit_are_refused():
    values = np.array([[0, 2**31]], np.uint32)
    with pytest.raises(DataError, match=r"x\.tif: values of 2,147,483,648 and more do not fit"):
        decode(tiff(values, {258: (32,), 277: (1,), 339: (1,)}, "<"), "x.tif")


def test_fits_numbers_are_signed():
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16", "NAXIS   =                    2",
             "NAXIS1  =                    2", "NAXIS2  =                    1", "END"]  # fmt: skip
    data = "".join(c.ljust(80) for c in cards).ljust(2880).encode() + np.array([-5, 7], ">i2").tobytes().ljust(2880)
    np.testing.assert_array_equal(np.asarray(decode_native(data, "x.fits")), [[-5, 7]])


def test_nothing_is_written_to_the_terminal(tmp_path):
    broken = bytearray(saved(picture("L"), "TIFF", compression="tiff_deflate"))
    broken[20:60] = bytes(40)
    (tmp_path / "broken.tif").write_bytes(broken)
    layers = tiff(np.zeros((4, 4), np.uint8), {258: (8,) * 9, 277: (9,)}, "<")
    (tmp_path / "layers.tif").write_bytes(layers)
    program = (
        "import sys; from pathlib import Path; from lsi.data import decode; from lsi.errors import DataError\n"
        "for p in sys.argv[1:]:\n    try: decode(Path(p))\n    except DataError as error: print(error)"
    )
    paths = [str(tmp_path / n) for n in ("broken.tif", "layers.tif")]
    done = subprocess.run(
        [sys.executable, "-c", program, *paths],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.count("\n") == 2
    assert done.stderr == ""


def odd_images() -> list[Path]:
    """Pictures and broken files that installed packages carry."""
    found = []
    for package, folder in (("skimage", "data"), ("matplotlib", "mpl-data"), ("sklearn", "datasets/images"),
                            ("scipy", "ndimage"), ("networkx", "drawing"), ("numpy", "_core/tests/data"),
                            ("imageio", "resources"), ("streamlit", "static")):  # fmt: skip
        spec = importlib.util.find_spec(package)
        root = Path(next(iter(spec.submodule_search_locations))) / folder if spec else Path("none")
        found += sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
    return found


def test_pictures_that_packages_carry_are_read_with_their_levels():
    files = odd_images()
    n_refused = 0
    for file in files:
        images = FileImages([file])
        try:
            native = images.native(0)
        except DataError:
            n_refused += 1
            continue
        seen = np.asarray(ScaledImages(images, measure(images).pixel_range).read(0))
        assert seen.shape == (native.height, native.width, 3)
        if native.mode in ("L", "RGB", "I;16", "F"):
            assert len(np.unique(seen)) >= 0.6 * min(256, len(np.unique(np.asarray(native)))), file
    assert len(files) > 20 > n_refused


@pytest.fixture
def many(tmp_path) -> dict[str, Images]:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.new("RGB", (4, 4), (i, 0, 0)).save(path)
    column = pa.array([p.read_bytes() for p in paths])
    files = FileImages(paths)
    return {
        "files": files,
        "fetched": FetchedImages(
            ["a", "b", "c"], lambda i: column[i].as_py(), lambda i: stamp_of(tmp_path / "0.png", str(5 + i))
        ),
        "array": ArrayImages(np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)),
        "chosen": ChosenImages(files, np.array([0, 1, 2])),
        "joined": JoinedImages([ChosenImages(files, np.array([0])), ChosenImages(files, np.array([1, 2]))]),
        "noisy": NoisyImages(files, np.zeros(3, bool), 1.0, 0),
        "scaled": ScaledImages(files, measure(files).pixel_range),
    }


@pytest.mark.parametrize("kind", ["files", "fetched", "array", "chosen", "joined", "noisy", "scaled"])
def test_all_images_keep_the_protocol(many, kind):
    images = many[kind]
    assert isinstance(images, Images)
    assert len(images) == 3
    assert [images.native(i).size for i in range(3)] == [(4, 4)] * 3
    assert [images.read(i).getpixel((1, 1))[0] for i in range(3)] == [0, 1, 2]
    assert len({images.checksum(i) for i in range(3)}) == 3
    stamps = {images.stamp(i) for i in range(3)}
    assert stamps == {None} if kind == "array" else len(stamps) == 3


def test_a_stamp_names_place_size_and_time(many, tmp_path):
    status = (tmp_path / "0.png").stat()
    facts = (status.st_size, status.st_mtime_ns)
    assert many["files"].stamp(0) == (str(tmp_path / "0.png"), *facts)
    assert many["fetched"].stamp(1) == (f"{tmp_path / '0.png'}#6", *facts)
    os.utime(tmp_path / "0.png", ns=(0, 5))
    assert many["files"].stamp(0) == (str(tmp_path / "0.png"), status.st_size, 5)
    (tmp_path / "0.png").unlink()
    assert many["files"].stamp(0) is None


@pytest.mark.parametrize(
    ("kind", "suffix"), [("PNG", ".png"), ("JPEG2000", ".jp2"), ("TIFF", ".tiff"), ("ICO", ".ico")]
)
def test_encoded_bytes_leave_with_a_suffix_that_is_read_again(kind, suffix):
    data = saved(picture(), kind)
    assert encoded(FetchedImages(["x"], lambda _: data), 0) == (data, suffix)
    assert suffix in SUFFIXES
