"""Numbers as people write them."""


def number(value: float) -> str:
    """Return a number as people write it: four digits that count, whole numbers in full."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if size < 1e4 else f"{value:,.1f}"
