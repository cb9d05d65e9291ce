"""Numbers in words of the app, and words that follow a number."""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where the number is not one: "1 file", "2 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def number(value: float) -> str:
    """Return a number as people write it: four digits that count, whole numbers in full."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if size < 1e4 else f"{value:,.1f}"
