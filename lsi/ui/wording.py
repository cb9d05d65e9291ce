"""Numbers as people write them, and texts from data as they are."""

import math


def number(value: float) -> str:
    """Return a number as people write it: four digits that count, whole numbers in full."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if size < 1e4 else f"{value:,.1f}"


def nats(value: float) -> str:
    """Return an amount of information as people read it: three digits that count, zeros at the end included.

    Without a power of ten down to a millionth, as on the tiles of the gallery.
    """
    size = abs(value)
    if 1e-6 <= size < 1e-4:
        return f"{value:.{2 - math.floor(math.log10(size))}f}"
    return f"{value:#.3g}".rstrip(".")


def plain(text: object) -> str:
    """Return text from data so that Streamlit shows it as it is: no Markdown, no links, no images, no icons."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+-.!|~:$&^" else c for c in str(text)).replace("\n", " ")


def of_file(error: OSError) -> str:
    """Return a sentence about a file that could not be read or written."""
    named = f" ({error.filename})" if error.filename else ""
    return f"A file could not be read or written: {plain(f'{error.strerror or error}{named}')}."
