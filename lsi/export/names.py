"""Names of files and folders that every file system takes, and that none takes for one another."""

import itertools
import re
import unicodedata

from lsi.data.trees import is_junk

MOST_BYTES = 240  # most file systems take 255 bytes of UTF-8; the rest is room for a reader's own suffix
_MOST_SUFFIX = 20  # bytes; what is longer after the last dot is no suffix
# what Windows forbids, control characters, and halves of surrogate pairs, as which bytes that are no UTF-8 come
_FORBIDDEN = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL)


def portable_name(name: str) -> str:
    """Return the name of a file or folder itself where Linux, macOS and Windows all take it, else one like it.

    Forbidden characters become underscores, blanks around it and trailing dots go, and names that Windows keeps for
    devices, hidden names and those that readers pass over get an underscore in front.
    """
    name = _without_edges(_FORBIDDEN.sub("_", name))
    if is_junk(name) or _DEVICE.fullmatch(name):
        name = f"_{name}"
    return _cut(name or "_", MOST_BYTES)


def folded(name: str) -> str:
    """Return one text for all names that some file system takes for the same: case and composition do not count."""
    folded_once = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", folded_once.upper().casefold()).rstrip(" .")


class Names:
    """The names of one folder, each of them unlike every other on any file system."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._reserved: set[str] = set()

    def reserve(self, name: str) -> None:
        """Keep a name for those to whom it belongs."""
        self._reserved.add(folded(name))

    def take(self, name: str, mark: object = None, is_own: bool = False) -> str:
        """Return a portable name like this one that is still free, and take it.

        Args:
            name: the one that is wanted.
            mark: what tells it apart before the suffix of a file (0-17.png); None for a folder, whose name gets a
                number at its end (cat-2).
            is_own: whether the name belongs to it, should it be reserved.
        """
        wanted = portable_name(name)
        first, stem = ([], "") if mark is None else ([str(mark)], f"{mark}-")
        marks = itertools.chain(first, (f"{stem}{number}" for number in itertools.count(2)))
        candidates = (_marked(wanted, f"-{m}", is_file=mark is not None) for m in marks)
        unlike = (n for n in itertools.chain([wanted], candidates) if folded(n) not in self._taken)
        free = next(n for n in unlike if folded(n) not in self._reserved or (is_own and n == wanted))
        self._taken.add(folded(free))
        return free


def _without_edges(name: str) -> str:
    """Return the name without blanks around it and without dots at its end."""
    while (shorter := name.strip().rstrip(".")) != name:
        name = shorter
    return name


def _split_suffix(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem or not dot or len(suffix.encode()) > _MOST_SUFFIX:
        return name, ""
    return stem, dot + suffix


def _cut(name: str, most: int) -> str:
    """Return the name with its suffix and as much of its stem as fits into so many bytes."""
    if len(name.encode()) <= most:
        return name
    stem, suffix = _split_suffix(name)
    return _without_edges(stem.encode()[: most - len(suffix.encode())].decode("utf-8", "ignore")) + suffix


def _marked(name: str, mark: str, is_file: bool) -> str:
    stem, suffix = _split_suffix(name) if is_file else (name, "")
    room = MOST_BYTES - len((mark + suffix).encode())
    return _cut(stem, room) + mark + suffix
