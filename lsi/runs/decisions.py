"""Decisions about samples, kept at once in a database: SQLite by default, anything SQLAlchemy speaks by URL.

Every decision is a row: who, when, which run and sample, what was decided and what was seen. A row changes in two marks
alone: `undone`, and `discarded` where something was decided after the undo, so that redo no longer brings it back. The
state of a sample is its latest row that is not undone, of one reviewer or of all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from sqlalchemy import URL, Connection, Engine, Integer, cast, func, insert, inspect, select, update

from lsi.errors import UsageError
from lsi.runs.database import (
    CHANGES,
    DECISIONS,
    REVIEWER_LENGTH,
    RUN_LENGTH,
    begin_change,
    open_database,
    open_read_only,
    storage_errors,
)

DATABASE_VARIABLE = "LSI_DATABASE_URL"
Action = Literal["keep", "relabel", "exclude", "unsure", "clear"]
_HISTORY = [column for column in DECISIONS.c if column.name != "discarded"]  # which older databases may lack


@dataclass(frozen=True)
class Decision:
    """One decision about one sample of a run.

    Attributes:
        sample: its position, a row of the run's table.
        action: keep, relabel, exclude, unsure, or clear to take back what was decided.
        label: the new label of a relabel, and of no other action.
        given: the given label that was shown.
        suggested: the suggested label that was shown.
        score: the label score that was shown.
    """

    sample: int
    action: str
    label: int | None = None
    given: int | None = None
    suggested: int | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise UsageError(f"Expected an action among {', '.join(get_args(Action))}, got {self.action!r}.")
        if (self.action == "relabel") != (self.label is not None):
            raise UsageError("A relabel decision, and no other, names the new label.")


class Reviews:
    """The decisions of all reviewers about all runs."""

    def __init__(self, url: str | URL, read_only: bool = False) -> None:
        """Connect to the database at an SQLAlchemy URL.

        Its tables are created where they are missing, and those of older versions get what they lack. With `read_only`
        nothing is ever written, and a database that does not exist holds no decisions.

        Raises:
            StorageError: the database cannot be opened.
        """
        self.read_only = read_only
        self._url = url
        self._engine = open_read_only(url) if read_only else open_database(url)

    @classmethod
    def of_cache(cls, cache: Path, read_only: bool = False) -> "Reviews":
        """Connect to `LSI_DATABASE_URL`, or to `reviews.db` in the cache.

        Raises:
            StorageError: the database cannot be opened.
        """
        default = URL.create("sqlite", database=str((cache / "reviews.db").resolve()))
        return cls(os.environ.get(DATABASE_VARIABLE) or default, read_only)

    @property
    def engine(self) -> Engine:
        """The connections to the database.

        Raises:
            UsageError: the database is opened read-only and does not exist.
        """
        if self._engine is None:
            self._engine = open_read_only(self._url)
        if self._engine is None:
            raise UsageError("There is no database of decisions yet, and read-only mode creates none.")
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()

    def record(self, run: str, reviewer: str, decisions: list[Decision]) -> None:
        """Add decisions as one batch, which undo takes back as one; what was undone can then no longer be redone.

        Args:
            run: the run's name, at most 200 characters.
            reviewer: who decides, at most 100 characters.
            decisions: the batch, in order; nothing happens where it is empty.

        Raises:
            UsageError: a name is too long or holds what no database keeps, or the database is opened read-only.
            StorageError: the database cannot be written.
        """
        if not decisions:
            return
        table = DECISIONS.c
        with self._change(run, reviewer) as connection:
            undone = (table.run == run) & (table.reviewer == reviewer) & table.undone
            connection.execute(update(DECISIONS).where(undone).values(discarded=True))
            # the change holds the run's lock: nobody else can take this number
            latest = connection.execute(select(func.max(table.batch)).where(table.run == run)).scalar()
            batch = 1 if latest is None else latest + 1
            about = {"batch": batch, "time": datetime.now(UTC), "reviewer": reviewer, "run": run}
            marks = {"undone": False, "discarded": False}
            connection.execute(insert(DECISIONS), [about | marks | vars(d) for d in decisions])

    def undo(self, run: str, reviewer: str) -> int:
        """Take back the reviewer's latest batch and return its number of decisions.

        Raises:
            UsageError: the database is opened read-only.
            StorageError: the database cannot be written.
        """
        return self._mark(run, reviewer, undone=True)

    def redo(self, run: str, reviewer: str) -> int:
        """Bring back the reviewer's batch that was undone last, unless something was decided since.

        Raises:
            UsageError: the database is opened read-only.
            StorageError: the database cannot be written.
        """
        return self._mark(run, reviewer, undone=False)

    def current(self, run: str, reviewer: str | None = None) -> pd.DataFrame:
        """Return the decisions in force, one row a sample: action, label, reviewer, time, what was seen, disputed.

        Indexed by sample; `disputed` says that two reviewers' latest decisions differ.

        Raises:
            StorageError: the database cannot be read.
        """
        rows = self.history(run)
        rows = rows[~rows["undone"]]
        if reviewer is not None:
            rows = rows[rows["reviewer"] == reviewer]
        latest = rows.drop_duplicates("sample", keep="last").set_index("sample")
        latest = latest.assign(disputed=latest.index.isin(_disagreements(rows)))
        columns = ["action", "label", "reviewer", "time", "given", "score", "disputed"]
        return latest.loc[latest["action"] != "clear", columns]

    def disagreements(self, run: str) -> list[int]:
        """Return the samples on which two reviewers' latest decisions differ.

        Raises:
            StorageError: the database cannot be read.
        """
        rows = self.history(run)
        return _disagreements(rows[~rows["undone"]])

    def history(self, run: str) -> pd.DataFrame:
        """Return every row about a run, the oldest first.

        Raises:
            StorageError: the database cannot be read.
        """
        rows: list[tuple] = []
        if self._exists():
            with storage_errors(self.engine.url), self.engine.connect() as connection:
                statement = select(*_HISTORY).where(DECISIONS.c.run == run).order_by(DECISIONS.c.id)
                rows = [tuple(row) for row in connection.execute(statement)]
        return pd.DataFrame(rows, columns=[c.name for c in _HISTORY]).astype({"undone": bool})

    def version(self, run: str) -> tuple[int, int]:
        """Return a pair that differs between any two states of a run's decisions; its sum never falls.

        Raises:
            StorageError: the database cannot be read.
        """
        if not self._exists():
            return 0, 0
        with storage_errors(self.engine.url), self.engine.connect() as connection:
            latest = connection.execute(select(func.max(DECISIONS.c.id)).where(DECISIONS.c.run == run)).scalar()
            if inspect(connection).has_table(CHANGES.name):
                count = select(CHANGES.c.count).where(CHANGES.c.run == run)
            else:  # an older version's database, opened read-only
                count = select(func.sum(cast(DECISIONS.c.undone, Integer))).where(DECISIONS.c.run == run)
            changes = connection.execute(count).scalar()
        return int(latest or 0), int(changes or 0)

    def _exists(self) -> bool:
        if self._engine is None:
            self._engine = open_read_only(self._url)
        return self._engine is not None

    @contextmanager
    def _change(self, run: str, reviewer: str) -> Iterator[Connection]:
        """Give a transaction that nobody else's change to the run's decisions can interleave with."""
        if self.read_only:
            raise UsageError("The database of decisions is opened read-only: nothing can be decided here.")
        _check_name("the run's name", run, RUN_LENGTH)
        _check_name("the reviewer's name", reviewer, REVIEWER_LENGTH)
        with storage_errors(self.engine.url), self.engine.begin() as connection:
            begin_change(connection, run)
            yield connection

    def _mark(self, run: str, reviewer: str, undone: bool) -> int:
        """Undo or redo one batch.

        Args:
            run: the run's name.
            reviewer: whose batch.
            undone: True to take back the latest that stands, False to bring back the first that was taken back.
        """
        table = DECISIONS.c
        by_reviewer = (table.run == run) & (table.reviewer == reviewer)
        with self._change(run, reviewer) as connection:
            standing = connection.execute(select(func.max(table.batch)).where(by_reviewer, ~table.undone)).scalar()
            batch = standing
            if not undone:
                redoable = by_reviewer & table.undone & ~table.discarded
                if standing is not None:
                    redoable &= table.batch > standing
                batch = connection.execute(select(func.min(table.batch)).where(redoable)).scalar()
            if batch is None:
                return 0
            changed = update(DECISIONS).where(by_reviewer, table.batch == batch).values(undone=undone)
            return connection.execute(changed).rowcount


def _check_name(what: str, name: str, length: int) -> None:
    """Refuse a name that some database would cut off, or could not hold.

    Args:
        what: the name's name, for the message.
        name: the text.
        length: most characters that it may have.
    """
    if len(name) > length:
        raise UsageError(f"Expected at most {length} characters as {what}, got {len(name)}.")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise UsageError(f"Expected text as {what}, got characters that no database keeps: {name!r}.")


def _disagreements(rows: pd.DataFrame) -> list[int]:
    latest = rows.drop_duplicates(["sample", "reviewer"], keep="last")
    latest = latest[latest["action"] != "clear"]
    decided = [f"{action}/{label}" for action, label in zip(latest["action"], latest["label"], strict=True)]
    counts = latest.assign(decided=decided).groupby("sample")["decided"].nunique()
    return [int(s) for s in counts.index[counts > 1]]
