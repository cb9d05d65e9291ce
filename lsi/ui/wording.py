"""Numbers as people write them, and texts from data as they are."""


def number(value: float) -> str:
    """Return a number as people write it: four digits that count, whole numbers in full."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.4g}" if size < 1e4 else f"{value:,.1f}"


def pace(rate: float) -> str:
    """Return how many a second there are, or a minute or an hour where that is less than one.

    Args:
        rate: how many a second.
    """
    for seconds, unit in ((1, "second"), (60, "minute")):
        if rate * seconds >= 1:
            return f"{rate * seconds:,.0f} a {unit}"
    an_hour = rate * 3600
    return "less than 1 an hour" if 0 < an_hour < 0.5 else f"{an_hour:,.0f} an hour"


def lasting(seconds: float) -> str:
    """Return a time as people say it: in seconds up to a hundred, then in minutes, then in hours and minutes."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours:,} h" + (f" {minutes} min" if minutes else "")


def plain(text: object) -> str:
    """Return text from data so that Streamlit shows it as it is: no Markdown, no links, no images, no icons."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()<>#+-.!|~:$&^" else c for c in str(text)).replace("\n", " ")


def of_file(error: OSError) -> str:
    """Return a sentence about a file that could not be read or written."""
    named = f" ({error.filename})" if error.filename else ""
    return f"A file could not be read or written: {plain(f'{error.strerror or error}{named}')}."
