"""Words of the app that follow a number."""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where the number is not one: "1 file", "2 files"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
