"""Decisions about samples, kept at once in a database: SQLite by default, anything SQLAlchemy speaks by URL.

Every decision is a row: who, when, which sample of which dataset, what was decided and what was seen. A sample is named
by its id and its content, a label by its class's name, so that decisions hold for every run on the same data: another
backbone, seed or prior, or a dataset that grew. A row changes in two marks alone: `undone`, and `discarded` where
something was decided after the undo, so that redo no longer brings it back. The state of a sample is its latest row
that is not undone, of one reviewer or of all.

Rows of versions that knew run and position alone get the rest when they are first met beside that run's folder.
"""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
from sqlalchemy import URL, Connection, Engine, select, update

from lsi.environment import DATABASE_FILE, DATABASE_VARIABLE
from lsi.errors import UsageError
from lsi.runs.database import (
    DECISIONS,
    REVIEWER_LENGTH,
    RUN_LENGTH,
    begin_change,
    note_event,
    open_database,
    open_read_only,
    storage_errors,
)
from lsi.runs.layout import KIND, MANIFEST
from lsi.runs.records import states_label
from lsi.runs.rows import (
    HISTORY,
    add_batch,
    adopt,
    batch_to_mark,
    batches_on,
    check_name,
    count_decided,
    decided_samples,
    given_of,
    history_of,
    names_of,
    stamp,
    version_of,
    what_stands,
)
from lsi.runs.run import Run
from lsi.runs.standing import disagreements, elsewhere, in_force, n_foreign, standing, still_standing
from lsi.runs.subject import Subject

NOWHERE = -1  # the position of a sample that no run was at hand for
Action = Literal["keep", "relabel", "exclude", "unsure", "clear"]


@dataclass(frozen=True)
class Decision:
    """One decision about one sample.

    Attributes:
        sample: its position, a row of the run's table.
        action: keep, relabel, exclude, unsure, or clear to take back what was decided.
        label: the new label of a relabel, and of no other action.
        given: the given label that was shown.
        suggested: the suggested label that was shown.
        score: the label score that was shown.
        is_of_label: False for a keep or an exclusion of the sample that says nothing of its label: it is no duplicate,
            say, or one.
    """

    sample: int
    action: str
    label: int | None = None
    given: int | None = None
    suggested: int | None = None
    score: float | None = None
    is_of_label: bool = True

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise UsageError(f"Expected an action among {', '.join(get_args(Action))}, got {self.action!r}.")
        if (self.action == "relabel") != (self.label is not None):
            raise UsageError("A relabel decision, and no other, names the new label.")


@dataclass(frozen=True)
class Imported:
    """What came of reading decisions in: how many were `added`, `known` already, or `older` than what stands here."""

    added: int
    known: int
    older: int


class Reviews:
    """The decisions of all reviewers about all datasets."""

    def __init__(self, url: str | URL, read_only: bool = False) -> None:
        """Connect to the database at an SQLAlchemy URL.

        Its tables are created where they are missing, and those of older versions are migrated. With `read_only`
        nothing is ever written, and a database that does not exist holds no decisions.

        Raises:
            StorageError: the database cannot be opened, or is of a newer version.
        """
        self.read_only = read_only
        self._url = url
        self._engine = self._hold(open_read_only(url) if read_only else open_database(url))

    @classmethod
    def of_cache(cls, cache: Path, read_only: bool = False) -> "Reviews":
        """Connect to `LSI_DATABASE_URL`, or to `reviews.db` in the cache, whose runs tell what old rows are about.

        Raises:
            StorageError: the database cannot be opened, or is of a newer version.
        """
        default = URL.create("sqlite", database=str((cache / DATABASE_FILE).resolve()))
        reviews = cls(os.environ.get(DATABASE_VARIABLE) or default, read_only)
        if not read_only:
            reviews._adopt_runs(cache)
        return reviews

    @property
    def engine(self) -> Engine:
        """The connections to the database.

        Raises:
            UsageError: the database is opened read-only and does not exist.
        """
        if self._engine is None:
            self._engine = self._hold(open_read_only(self._url))
        if self._engine is None:
            raise UsageError("There is no database of decisions yet, and read-only mode creates none.")
        return self._engine

    def close(self) -> None:
        """Close all connections."""
        if self._engine is not None:
            self._engine.dispose()

    def _hold(self, engine: Engine | None) -> Engine | None:
        """Close the connections also where nobody does before this object goes."""
        if engine is not None:
            weakref.finalize(self, engine.dispose)
        return engine

    def record(self, about: Subject, reviewer: str, decisions: list[Decision]) -> None:
        """Add decisions as one batch, which undo takes back as one; what was undone can then no longer be redone.

        Args:
            about: the samples, as a run has them; names of run and dataset have at most 200 characters.
            reviewer: who decides, at most 100 characters.
            decisions: the batch, in order; nothing happens where it is empty.

        Raises:
            UsageError: there is no such sample or class, a name is too long or holds what no database keeps, or the
                database is opened read-only.
            StorageError: the database cannot be written.
        """
        if not decisions:
            return
        _check(about, decisions)
        with self.change(about, reviewer) as connection:
            mine = (DECISIONS.c.dataset == about.dataset) & (DECISIONS.c.reviewer == reviewer)
            undone = mine & DECISIONS.c.undone & ~DECISIONS.c.discarded
            gone = undone & DECISIONS.c.batch.in_(batches_on(connection, undone, about))
            connection.execute(update(DECISIONS).where(gone).values(discarded=True))
            shared = {"time": datetime.now(UTC), "reviewer": reviewer, "run": about.run, "dataset": about.dataset}
            rows = [shared | _row(about, decision) for decision in decisions]
            add_batch(connection, about.dataset, rows)

    def add(self, dataset: str, records: list[dict[str, Any]]) -> Imported:
        """Add decisions that were made elsewhere, as one batch of each reviewer.

        What is here already is left out, and what is older than the latest decision here about the same sample. A keep
        that says nothing of the label makes nothing older that says what the label is.

        Args:
            dataset: its name.
            records: sample_id, content, action, label_name, given_name, reviewer and time (aware, or None for now).

        Raises:
            UsageError: a name is too long or holds what no database keeps, or the database is opened read-only.
            StorageError: the database cannot be written.
        """
        fresh, known, older = [], 0, 0
        with self.change(Subject("", dataset, (), ()), "") as connection:
            seen, latest, latest_of_label = what_stands(connection, dataset)
            for record in records:
                check_name("the reviewer's name", record["reviewer"], REVIEWER_LENGTH)
                sample = record["sample_id"], record["content"]
                when = record["time"] or datetime.now(UTC)
                if (*sample, record["reviewer"], stamp(when)) in seen:
                    known += 1
                elif stamp(when) <= (latest_of_label if states_label(record) else latest).get(sample, float("-inf")):
                    older += 1
                else:
                    fresh.append({"run": "", "sample": NOWHERE, "dataset": dataset} | record | {"time": when})
            fresh.sort(key=lambda record: stamp(record["time"]))
            add_batch(connection, dataset, fresh)
        return Imported(len(fresh), known, older)

    def undo(self, about: Subject, reviewer: str) -> int:
        """Take back the reviewer's latest batch and return its number of decisions.

        Raises:
            UsageError: the database is opened read-only.
            StorageError: the database cannot be written.
        """
        return self._mark(about, reviewer, undone=True)

    def redo(self, about: Subject, reviewer: str) -> int:
        """Bring back the reviewer's batch that was undone last, unless something was decided since.

        Raises:
            UsageError: the database is opened read-only.
            StorageError: the database cannot be written.
        """
        return self._mark(about, reviewer, undone=False)

    def current(self, about: Subject, reviewer: str | None = None) -> pd.DataFrame:
        """Return the decisions in force, one row a sample: action, label, reviewer, time, what was seen, disputed.

        Indexed by position in the run; `disputed` says that two reviewers' latest decisions differ, `is_of_label` is
        False for a keep of the sample that says nothing of its label. Left out are decisions on samples that the run
        does not have, and those whose class it does not know.

        Raises:
            StorageError: the database cannot be read.
        """
        rows = standing(self.history(about), about)
        return in_force(rows if reviewer is None else rows[rows["reviewer"] == reviewer])

    def n_foreign(self, about: Subject) -> int:
        """Return on how many of the run's samples the latest decision names a class that the run does not know.

        Raises:
            StorageError: the database cannot be read.
        """
        return n_foreign(standing(self.history(about), about))

    def elsewhere(self, about: Subject) -> list[dict[str, Any]]:
        """Return as records the decisions in force about the dataset that `current` leaves out.

        They are about samples that the run does not have, for a class that it does not know, or about another column
        of labels.

        Raises:
            StorageError: the database cannot be read.
        """
        return elsewhere(self.history(about), about)

    def as_it_stands(self, run: Run) -> Run:
        """Return a run with those of the decisions it started from that nobody has taken back or changed since.

        A decision that this database never had, of a file that was not read in, stands until a later one is here; what
        a rule left out, until somebody decides about it after the run was begun. Of a sample that the run holds, what
        it started from stays until that was taken back, made unsure, or said for a class that the run does not have: a
        later relabel or exclusion is of the run itself, and stands beside it.

        Raises:
            StorageError: the database cannot be read.
        """
        if not run.decided_before:
            return run
        still = still_standing(run.decided_before, run.subject, self.history(run.subject), run.manifest)
        return run.with_decided_before(still)

    def counts(self) -> dict[str, int]:
        """Return of how many samples of each dataset a decision is in force.

        Raises:
            StorageError: the database cannot be read.
        """
        if not self.exists():
            return {}
        with storage_errors(self.engine.url), self.engine.connect() as connection:
            return count_decided(connection)

    def decided(self, dataset: str) -> list[tuple[str, str]]:
        """Return id and content of the samples of a dataset's name on which a decision is in force.

        Raises:
            StorageError: the database cannot be read.
        """
        if not self.exists():
            return []
        with storage_errors(self.engine.url), self.engine.connect() as connection:
            return decided_samples(connection, dataset)

    def disagreements(self, about: Subject) -> list[int]:
        """Return the positions of samples on which two reviewers' latest decisions differ.

        Raises:
            StorageError: the database cannot be read.
        """
        return disagreements(standing(self.history(about), about))

    def history(self, about: Subject) -> pd.DataFrame:
        """Return every row about the dataset, the oldest first; `sample` is the position in the run it was made in.

        Raises:
            StorageError: the database cannot be read.
        """
        rows: list[tuple] = []
        if self.exists():
            with storage_errors(self.engine.url), self.engine.connect() as connection:
                rows = [tuple(row) for row in connection.execute(history_of(connection, about))]
        return pd.DataFrame(rows, columns=HISTORY).astype({"undone": bool})

    def version(self, about: Subject) -> tuple[int, int]:
        """Return a pair that differs between any two states of a dataset's decisions; its sum never falls.

        Raises:
            StorageError: the database cannot be read.
        """
        if not self.exists():
            return 0, 0
        with storage_errors(self.engine.url), self.engine.connect() as connection:
            return version_of(connection, about)

    def exists(self) -> bool:
        """Say whether there is a database: opened read-only, none is created."""
        if self._engine is None:
            self._engine = self._hold(open_read_only(self._url))
        return self._engine is not None

    @contextmanager
    def change(self, about: Subject, reviewer: str) -> Iterator[Connection]:
        """Give a transaction that nobody else's change to what is said of the dataset can interleave with.

        Args:
            about: the samples; rows that name their run alone get the rest.
            reviewer: who changes something.

        Raises:
            UsageError: a name is too long or holds what no database keeps, or the database is opened read-only.
            StorageError: the database cannot be written.
        """
        if self.read_only:
            raise UsageError("The database of decisions is opened read-only: nothing can be decided here.")
        check_name("the run's name", about.run, RUN_LENGTH)
        check_name("the dataset's name", about.dataset, RUN_LENGTH)
        check_name("the reviewer's name", reviewer, REVIEWER_LENGTH)
        with storage_errors(self.engine.url), self.engine.begin() as connection:
            begin_change(connection, about.dataset)
            adopt(connection, about)
            yield connection

    def _adopt_runs(self, cache: Path) -> None:
        """Say of rows that name a run alone which samples they mean, where the run is still in the cache."""
        with storage_errors(self.engine.url), self.engine.connect() as connection:
            of_run = select(DECISIONS.c.run).where(DECISIONS.c.dataset.is_(None)).distinct()
            names = [str(name) for name in connection.execute(of_run).scalars()]
        for name in names:
            if (cache / KIND / name / MANIFEST).is_file():
                with self.change(Run(cache / KIND / name).subject, ""):
                    pass

    def _mark(self, about: Subject, reviewer: str, undone: bool) -> int:
        """Undo or redo one batch.

        Args:
            about: the samples.
            reviewer: whose batch.
            undone: True to take back the latest that stands, False to bring back the first that was taken back.
        """
        by_reviewer = (DECISIONS.c.dataset == about.dataset) & (DECISIONS.c.reviewer == reviewer)
        with self.change(about, reviewer) as connection:
            batch = batch_to_mark(connection, by_reviewer, about, undone)
            if batch is None:
                return 0
            changed = update(DECISIONS).where(by_reviewer, DECISIONS.c.batch == batch).values(undone=undone)
            count = connection.execute(changed).rowcount
            note_event(connection, reviewer, "undid" if undone else "redid", about.dataset, {"decisions": count})
        return count


def _row(about: Subject, decision: Decision) -> dict[str, Any]:
    """Return the columns of a decision; a label that was given and not shown is that of the run."""
    columns = vars(decision).copy()
    is_of_label = columns.pop("is_of_label")
    columns["given"] = given_of(about, decision.sample, decision.given) if is_of_label else None
    return columns | names_of(about, decision.sample, *(columns[name] for name in ("label", "given", "suggested")))


def _check(about: Subject, decisions: list[Decision]) -> None:
    n, k = len(about.ids), len(about.class_names)
    for decision in decisions:
        if not 0 <= decision.sample < n:
            raise UsageError(f"Expected a sample 0 … {n - 1:,}, got {decision.sample:,}.")
        if decision.label is not None and about.given is not None and not 0 <= decision.label < k:
            raise UsageError(f"Expected a class 0 … {k - 1:,}, got {decision.label:,}.")
