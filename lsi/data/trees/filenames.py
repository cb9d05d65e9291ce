"""Names of files: which are junk, how they are shown, and what is an address on another machine."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lsi.errors import UsageError

JUNK = frozenset({"__macosx", "@eadir", "thumbs.db", "desktop.ini", "lost+found", "__pycache__", "$recycle.bin",
                  "#recycle", "system volume information"})  # fmt: skip
_ADDRESS = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+):/+(.*)$")
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")

_MOST_NAMES = 100_000


def is_junk(name: str) -> bool:
    """Say whether a file or folder is never a sample: hidden, or left behind by a file system or an archiver."""
    return name.startswith(".") or name.casefold() in JUNK


def without_junk(names: Iterable[str]) -> Iterator[str]:
    """Yield the names of which no part is junk."""
    for name in names:
        if not any(map(is_junk, name.split("/"))):
            yield name


def address_of(path: Path | str) -> str | None:
    """Return an fsspec address such as s3://bucket/folder, None for a path on this machine."""
    match = _ADDRESS.match(str(path))
    return f"{match[1].lower()}://{match[2]}" if match and match[1].lower() != "file" else None


def local_path(path: Path | str) -> Path:
    """Return a path on this machine, file:///tmp/photos among them, as a path."""
    match = _ADDRESS.match(str(path))
    return Path(f"/{match[2]}") if match and match[1].lower() == "file" else Path(path)


def redacted(text: str) -> str:
    """Return an address or a message without the passwords and signatures that addresses in it carry."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1…@", text)
    return re.sub(r"(https?://[^\s?\"']*)\?[^\s\"']*", r"\1?…", text)


def suffix_of(name: str) -> str:
    """Return a file's suffix in lower case, with its dot; "" where it has none."""
    own = name[name.rfind("/") + 1 :]
    dot = own.rfind(".")
    return own[dot:].lower() if 0 < dot < len(own) - 1 else ""


def expand_braces(pattern: str) -> list[str]:
    """Return the names that a pattern such as train-{000..003}.tar or {train,val}.tar stands for, or the name itself.

    Leading zeros keep the width, as in a shell.

    Raises:
        UsageError: it stands for more than a hundred thousand names.
    """
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    if match[1] is not None:
        first, last, width = int(match[1]), int(match[2]), len(match[1])
        width = width if match[1].startswith("0") else 0
        if abs(last - first) >= _MOST_NAMES:
            raise UsageError(f"{pattern}: the pattern stands for more than {_MOST_NAMES:,} names.")
        numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
        words = [f"{number:0{width}d}" for number in numbers]
    else:
        words = match[3].split(",")
    head, tail = pattern[: match.start()], expand_braces(pattern[match.end() :])
    return [head + word + rest for word in words for rest in tail]
