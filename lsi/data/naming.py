"""Names: of samples that have none, and names that are fit for a folder."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

Parts = tuple[str, ...]  # of a path


def numbered(n: int) -> np.ndarray:
    """Return n ids that count from zero."""
    return np.array([f"{i:06d}" for i in range(n)])


def safe_name(name: str) -> str:
    """Return a name that is fit for a folder."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return kept.strip("-.")[:60] or "data"


def text_of_path(name: str) -> str:
    r"""Return a file's name as text that any file can hold: bytes that are no UTF-8 are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def rows_by_name(keys: Sequence[str], names: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the row of each name among the keys: the same text, or a path of which one is the other's end.

    Args:
        keys: m texts.
        names: n texts.

    Returns:
        (n,) rows, −1 where no key fits, or several keys or names do.
    """
    places: dict[str, int] = {}
    for row, key in enumerate(keys):
        places[key] = -1 if key in places else row
    rows = np.array([places.get(name, -1) for name in names], dtype=np.int64)
    if (rows < 0).any():
        taken = set(rows.tolist())
        for i, row in pairs_by_end([parts_of(name) for name in names], [parts_of(key) for key in keys]):
            if rows[i] < 0 and row not in taken:
                rows[i] = row
    return rows


def parts_of(text: str) -> Parts:
    """Return the parts of a path, whichever way its slashes lean."""
    return tuple(p for p in text.replace("\\", "/").split("/") if p not in ("", "."))


def pairs_by_end(ids: list[Parts], keys: list[Parts]) -> list[tuple[int, int]]:
    """Return the positions of ids and keys that belong together: one is the other's end, and nobody else's."""
    pairs = {(i, k) for k, i in _longest_ends(keys, ids)} | set(_longest_ends(ids, keys))
    of_id, of_key = Counter(i for i, _ in pairs), Counter(k for _, k in pairs)
    return sorted((i, k) for i, k in pairs if of_id[i] == of_key[k] == 1)


def _longest_ends(texts: list[Parts], ends: list[Parts]) -> list[tuple[int, int]]:
    """Return for each text the position of its longest end, where that ends no other text."""
    places: dict[Parts, list[int]] = defaultdict(list)
    for position, end in enumerate(ends):
        places[end].append(position)
    found, uses = [], Counter()
    for t, text in enumerate(texts):
        own = [text[start:] for start in range(len(text)) if text[start:] in places]
        uses.update(own)
        found += [(t, own[0])] if own else []
    return [(t, e) for t, end in found if uses[end] == 1 for e in places[end]]
