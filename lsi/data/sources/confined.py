"""Where a computation started from the app may read: below the data's own folder and below LSI_DATA_ROOTS."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lsi.data.naming import text_of_path
from lsi.data.trees import Tree
from lsi.environment import CONFINED_VARIABLE, ROOTS_VARIABLE, data_roots
from lsi.errors import DataError

_CONFINED = ContextVar("confined", default=False)


@contextmanager
def confined() -> Iterator[None]:
    """Confine what this thread reads within the block, as a computation started from the app is confined."""
    token = _CONFINED.set(True)
    try:
        yield
    finally:
        _CONFINED.reset(token)


def check_reference(tree: Tree, names: Iterable[str]) -> None:
    """Raise where a file that a table names leads out of the folders that may be read.

    Nothing is refused where the computation was started by whoever runs the machine, on the command line.

    Args:
        tree: what the names are relative to.
        names: of files.

    Raises:
        DataError: the first that does.
    """
    root = tree.path("")
    if root is None or not (_CONFINED.get() or os.environ.get(CONFINED_VARIABLE)):
        return
    roots = [*data_roots(), root.resolve()]
    for name in names:
        if "\0" in name:  # no file can have this name, and reading it says so
            continue
        real = Path(os.path.realpath(root / name))
        if not any(real == allowed or allowed in real.parents for allowed in roots):
            raise DataError(
                f"{text_of_path(name)} leads out of the folders that this server may read. Whoever runs it can name "
                f"more in {ROOTS_VARIABLE}."
            )
