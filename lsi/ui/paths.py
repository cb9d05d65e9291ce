"""Which folders the app may read: those in `LSI_DATA_ROOTS`, by default the working folder."""

import re
from pathlib import Path

from lsi.environment import ROOTS_VARIABLE, data_roots
from lsi.errors import UsageError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def below_data_roots(path: Path) -> Path:
    """Return the path with links and `..` resolved.

    Raises:
        UsageError: it lies outside the folders that may be read, or is an address of another machine.
    """
    if _ADDRESS.match(str(path)):
        raise UsageError(
            f"{path} is an address: the app reads folders and files of its own machine. Addresses are for the command "
            "line, `lsi compute --data ADDRESS`."
        )
    roots = data_roots()
    try:
        real = path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a NUL, before Python 3.13 a link to itself
        raise UsageError(f"{str(path)!r} is no path on this machine ({error}).") from error
    if not any(real == root or root in real.parents for root in roots):
        raise UsageError(
            f"{path} lies outside the folders that this server may read ({', '.join(map(str, roots))}). "
            f"Whoever runs it can name more in {ROOTS_VARIABLE}."
        )
    return real
