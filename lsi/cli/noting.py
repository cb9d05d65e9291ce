"""What the command line does to a team's runs and data stands in the trail, as what is done in the app does.

Where `LSI_READ_ONLY` is set, what leaves a cache as it is goes on without a trace, and what changes it is refused.
"""

import getpass
import os
from pathlib import Path
from typing import Any

from lsi.environment import DATABASE_FILE, DATABASE_VARIABLE, READ_ONLY_VARIABLE, read_only
from lsi.errors import UsageError

_CHANGE_NOTHING = ("exported", "exported a report")


def note(cache: Path, what: str, about: str, **facts: Any) -> None:
    """Write down what is about to be done, under the name of the account; nothing where nobody has a database yet.

    Args:
        cache: whose database of decisions it is, unless `LSI_DATABASE_URL` names another.
        what: started, exported, renamed, deleted or another verb.
        about: which run or dataset.
        facts: more of it, as JSON takes it.

    Raises:
        UsageError: it would change something in read-only mode.
        StorageError: the database cannot be written: what was to be done must wait.
    """
    if what not in _CHANGE_NOTHING:
        refuse_if_read_only()
    if read_only() or not has_database(cache):
        return
    from lsi.runs import trail  # SQLAlchemy takes half a second to import
    from lsi.runs.decisions import Reviews

    reviews = Reviews.of_cache(cache)
    try:
        trail.note(reviews, f"{_account()} (command line)", what, about, **facts)
    finally:
        reviews.close()


def refuse_if_read_only() -> None:
    """See that what changes a cache or its decisions may be done.

    Raises:
        UsageError: it may not.
    """
    if read_only():
        raise UsageError(f"{READ_ONLY_VARIABLE} is set: nothing can be changed here.")


def has_database(cache: Path) -> bool:
    """Say whether there is a database of decisions: one that `LSI_DATABASE_URL` names, or a file in the cache."""
    return bool(os.environ.get(DATABASE_VARIABLE)) or (cache / DATABASE_FILE).is_file()


def can_be_written(cache: Path) -> bool:
    """Say whether a cache, with its file of decisions where it has one, can be written."""
    return all(os.access(path, os.W_OK) for path in (cache, cache / DATABASE_FILE) if path.exists())


def _account() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in a container
        return "somebody"
