"""Formats of image files: which suffixes are read, and what a file is by its first bytes."""

import ctypes
import functools
import importlib
import importlib.util
import logging
import re
from contextlib import suppress
from pathlib import PurePath

from PIL import Image

Image.init()
HEIC_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
HEAD = 512  # bytes from the start of a file by which `sniff` and `named_content` know it
# EPS runs Ghostscript, WMF the drawing of Windows; BUFR, GRIB, HDF5 and MPEG are only recognised, never drawn; IPTC
# opens what it holds with every other reader, the ones above too
_NOT_READ = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC"}
# begin with too little: a C header passes as XBM, a text that starts with two certain characters as PCX
_LOOSE = {"XBM", "PCX", "GBR", "FLI", "DIB", "SGI", "BMP", "PPM", "FITS"}
_STRICTER = {
    "BMP": re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    "PPM": re.compile(rb"P[1-6fFy]\s+(#|-?[0-9])"),
    "FITS": re.compile(rb"SIMPLE  ="),
}
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")

BY_CONTENT = tuple(f for f, (_, accepts) in Image.OPEN.items() if accepts is not None and f not in _NOT_READ)
_BY_SUFFIX = {  # TGA, IM and PCD have no bytes to know them by: their suffix decides
    suffix: name for suffix, name in Image.EXTENSION.items() if name in Image.OPEN and name not in _NOT_READ
}
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None
SUFFIXES = frozenset(_BY_SUFFIX) | {".mpo"} | (HEIC_SUFFIXES if HAS_HEIC else frozenset())

_OTHER_CONTENT: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), what)
    for pattern, what in (
        (rb"version https://git-lfs", "a Git LFS pointer: fetch the files with git lfs pull"),
        (rb"\s*(<!doctype html|<html|<head|<body)", "a web page (HTML)"),
        (rb"\s*<svg|\s*<\?xml.*<svg", "a drawing (SVG): convert it to PNG"),
        (rb"\s*<\?xml", "an XML document"),
        (rb"PK\x03\x04|PK\x05\x06", "a zip archive"),
        (rb"\x1f\x8b|BZh\d|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "compressed data or an archive"),
        (rb".{257}ustar", "an archive (tar)"),
        (rb"%PDF", "a PDF document"),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript file"),
        (rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF", "a Windows metafile (WMF or EMF)"),
        (rb"\xd0\xcf\x11\xe0", "a Microsoft document or FlashPix"),
        (rb"\xff\x0a|\0{3}\x0cJXL ", "a JPEG XL image: convert it to PNG or JPEG"),
        (rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0{2}\x01[\xb3\xba]", "a film"),
        (rb"\x93NUMPY", "a NumPy array"),
        (rb"PAR1", "a Parquet file"),
        (rb"\x89HDF", "an HDF5 file"),
        (rb".{128}DICM", "a DICOM file: convert it to PNG or TIFF"),
        (rb"\0\x05\x16\x07", "what macOS keeps beside a file (AppleDouble)"),
        (rb"\0+$", "nothing but zero bytes"),
        (rb"[\t\n\r -~]+$", "text"),
    )
)


def readers() -> tuple[str, ...]:
    """Return the suffixes of all images that can be read here: what failed is to be tried again where they change."""
    return tuple(sorted(SUFFIXES))


def sniff(head: bytes) -> str | None:
    """Return the format of an image by its first 64 bytes or more ("PNG", "HEIF", …), None where they tell of none.

    Nothing is decoded. Formats whose first bytes are too common (XBM, PCX, TGA, …) are known by their suffix alone.
    """
    if head[4:8] == b"ftyp" and (head[8:12] in _HEIC_BRANDS or _is_heic_container(head)):
        return "HEIF"
    for name in BY_CONTENT:
        pattern = _STRICTER.get(name)
        if pattern is None and name in _LOOSE:
            continue
        accepts = Image.OPEN[name][1]
        if (pattern is None or pattern.match(head)) and accepts is not None and accepts(head) is True:
            return name
    return None


def _is_heic_container(head: bytes) -> bool:
    return head[8:12] in (b"mif1", b"msf1") and not any(b in head[16:64] for b in (b"avif", b"avis"))


def named_content(head: bytes) -> str:
    """Return what a file that is no image is by its first bytes, "" where they do not tell."""
    return next((what for pattern, what in _OTHER_CONTENT if pattern.match(head)), "")


def formats_of(head: bytes, name: str) -> tuple[str, ...]:
    """Return the formats that Pillow may read a file as: by its content, and by its suffix where that has to decide.

    Args:
        head: the first bytes.
        name: of the file, for its suffix.
    """
    if sniff(head) == "HEIF":
        return ("HEIF",) if register_heic() else ()
    by_suffix = _BY_SUFFIX.get(PurePath(name).suffix.lower())
    return BY_CONTENT if by_suffix is None or by_suffix in BY_CONTENT else (*BY_CONTENT, by_suffix)


def usual_suffix(name: str) -> str:
    """Return the suffix that files of a format usually have: ".png" for "PNG"."""
    if name == "HEIF":
        return ".heic"
    usual = f".{name.lower()}"
    return usual if usual in SUFFIXES else next((s for s, f in _BY_SUFFIX.items() if f == name), ".png")


@functools.cache
def register_heic() -> bool:
    """Let Pillow read HEIC where pillow-heif is installed; return whether it is."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _silence() -> None:
    """Keep readers from writing to the terminal: what stops an image arrives as an exception.

    Pillow itself switches libtiff's warnings off, but not its errors. `TIFFSetErrorHandler` is looked up through
    Pillow's own library, so that it is found in whatever libtiff that is linked to, or else left alone.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError, TypeError):
        handler = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler
        handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
        handler(None)


_silence()
