"""Decisions about samples, kept at once in a database: SQLite by default, anything SQLAlchemy speaks by URL.

Every change is a row that is never altered but for its `undone` mark: who, when, which run and sample, what was decided
and what was seen. The state of a sample is its latest row that is not undone, of one reviewer or of all.
"""

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    cast,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)

from lsi.errors import UsageError

DATABASE_VARIABLE = "LSI_DATABASE_URL"
Action = Literal["keep", "relabel", "exclude", "unsure", "clear"]

_METADATA = MetaData()
_DECISIONS = Table(
    "decisions",
    _METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("batch", BigInteger, nullable=False, index=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("reviewer", String(100), nullable=False, index=True),
    Column("run", String(200), nullable=False, index=True),
    Column("sample", Integer, nullable=False),
    Column("action", String(20), nullable=False),
    Column("label", Integer),
    Column("given", Integer),
    Column("suggested", Integer),
    Column("score", Float),
    Column("undone", Boolean, nullable=False, default=False),
)


@dataclass(frozen=True)
class Decision:
    """One decision about the sample at a position of a run: `label` for relabel, and what was seen."""

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

    def __init__(self, url: str) -> None:
        """Connect to the database at an SQLAlchemy URL, and create its table where it is missing."""
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        # SQLite takes its write lock at the start of a change, or two writers could each wait for the other
        options = {"connect_args": {"isolation_level": "IMMEDIATE"}} if url.startswith("sqlite") else {}
        self.engine: Engine = create_engine(url, pool_pre_ping=True, **options)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _wait_for_others)
        _METADATA.create_all(self.engine)

    @classmethod
    def of_cache(cls, cache: Path) -> "Reviews":
        """Connect to `LSI_DATABASE_URL`, or to `reviews.db` in the cache."""
        return cls(os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{(cache / 'reviews.db').resolve()}")

    def record(self, run: str, reviewer: str, decisions: list[Decision]) -> None:
        """Add decisions as one batch, which undo takes back as one; what was undone can then no longer be redone."""
        if not decisions:
            return
        about = {"batch": time.time_ns(), "time": datetime.now(UTC), "reviewer": reviewer, "run": run, "undone": False}
        with self.engine.begin() as connection:
            connection.execute(insert(_DECISIONS), [about | vars(d) for d in decisions])

    def undo(self, run: str, reviewer: str) -> int:
        """Take back the reviewer's latest batch and return its number of decisions."""
        return self._mark(run, reviewer, undone=True)

    def redo(self, run: str, reviewer: str) -> int:
        """Bring back the reviewer's latest undone batch, unless something was decided since."""
        return self._mark(run, reviewer, undone=False)

    def current(self, run: str, reviewer: str | None = None) -> pd.DataFrame:
        """Return the decisions in force, one row a sample: action, label, reviewer, time, what was seen, disputed.

        Indexed by sample; `disputed` says that two reviewers' latest decisions differ.
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
        """Return the samples on which two reviewers' latest decisions differ."""
        rows = self.history(run)
        return _disagreements(rows[~rows["undone"]])

    def history(self, run: str) -> pd.DataFrame:
        """Return every row about a run, the oldest first."""
        with self.engine.connect() as connection:
            statement = select(_DECISIONS).where(_DECISIONS.c.run == run).order_by(_DECISIONS.c.id)
            rows = [tuple(row) for row in connection.execute(statement)]
        return pd.DataFrame(rows, columns=[c.name for c in _DECISIONS.c]).astype({"undone": bool})

    def version(self, run: str) -> tuple[int, int]:
        """Return a pair that changes with every change to a run's decisions."""
        with self.engine.connect() as connection:
            undone = func.sum(cast(_DECISIONS.c.undone, Integer))
            row = connection.execute(select(func.max(_DECISIONS.c.id), undone).where(_DECISIONS.c.run == run)).one()
        return int(row[0] or 0), int(row[1] or 0)

    def _mark(self, run: str, reviewer: str, undone: bool) -> int:
        table = _DECISIONS.c
        mine = (table.run == run) & (table.reviewer == reviewer)
        with self.engine.begin() as connection:
            standing = connection.execute(select(func.max(table.batch)).where(mine, ~table.undone)).scalar() or 0
            if undone:
                batch = standing or None
            else:
                batch = connection.execute(
                    select(func.min(table.batch)).where(mine, table.undone, table.batch > standing)
                ).scalar()
            if batch is None:
                return 0
            done = connection.execute(update(_DECISIONS).where(mine, table.batch == batch).values(undone=undone))
            return done.rowcount


def _disagreements(rows: pd.DataFrame) -> list[int]:
    latest = rows.drop_duplicates(["sample", "reviewer"], keep="last")
    latest = latest[latest["action"] != "clear"]
    told = [f"{action}/{label}" for action, label in zip(latest["action"], latest["label"], strict=True)]
    counts = latest.assign(told=told).groupby("sample")["told"].nunique()
    return [int(s) for s in counts.index[counts > 1]]


def _wait_for_others(connection, _record) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=10000")
