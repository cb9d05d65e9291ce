"""Tags and notes on samples, kept beside the decisions: what people want to remember of a sample, or tell each other.

A tag is a short word that many samples share; it is on a sample or not, whoever put it there. A note is a sentence
about one sample under its author's name, and a sample may have several. Both name their sample by id and content, as
decisions do, so that every run on the same data shows them. What is taken away stays in the table, marked `removed`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, insert, inspect, select, update

from lsi.errors import UsageError
from lsi.runs.database import REMARKS, REVIEWER_LENGTH, is_up_to_date, note_event, storage_errors
from lsi.runs.decisions import Reviews
from lsi.runs.records import Kind, when_of
from lsi.runs.rows import check_name, stamp
from lsi.runs.subject import Subject

LENGTHS = {"tag": 60, "note": 2_000}
_DID = {"tag": "tagged", "note": "noted"}  # in the trail
COLUMNS = ["id", "sample", "kind", "text", "reviewer", "time"]


def add_remark(reviews: Reviews, about: Subject, reviewer: str, positions: Sequence[int], kind: Kind, text: str) -> int:
    """Put a tag or a note on samples, and return on how many it was not yet.

    Args:
        reviews: the database.
        about: the samples, as a run has them.
        reviewer: who says it.
        positions: of the samples, rows of the run's table.
        kind: tag or note.
        text: one line of at most 60 characters for a tag, at most 2,000 characters for a note.

    Raises:
        UsageError: the text is empty, too long or of several lines, there is no such sample, or the database is opened
            read-only.
        StorageError: the database cannot be written.
    """
    text = _checked(kind, text)
    n = len(about.ids)
    if any(not 0 <= i < n for i in positions):
        raise UsageError(f"Expected samples 0 … {n - 1:,}, got {min(positions):,} to {max(positions):,}.")
    now = datetime.now(UTC)
    wanted = [{"sample_id": about.ids[i], "content": about.contents[i], "kind": kind, "text": text,
               "reviewer": reviewer, "time": now} for i in dict.fromkeys(positions)]  # fmt: skip
    with reviews.change(about, reviewer) as connection:
        count = _insert(connection, about.dataset, wanted)
        if count:
            note_event(connection, reviewer, _DID[kind], about.dataset, {"text": text, "samples": count})
    return count


def remove_tag(reviews: Reviews, about: Subject, reviewer: str, positions: Sequence[int], text: str) -> int:
    """Take a tag off samples, and return of how many it was taken.

    Args:
        reviews: the database.
        about: the samples, as a run has them.
        reviewer: who takes it off.
        positions: of the samples, rows of the run's table.
        text: the tag.

    Raises:
        UsageError: the database is opened read-only.
        StorageError: the database cannot be written.
    """
    found = remarks(reviews, about)
    chosen = found[(found["kind"] == "tag") & (found["text"] == text) & found["sample"].isin(positions)]
    return _remove(reviews, about, reviewer, chosen["id"].tolist(), {"tag": text})


def remove_note(reviews: Reviews, about: Subject, reviewer: str, number: int) -> int:
    """Take a note away, by its number in the column `id` of `remarks`; return 0 where somebody else had done so.

    Args:
        reviews: the database.
        about: the samples, as a run has them.
        reviewer: who takes it away.
        number: of the note.

    Raises:
        UsageError: the database is opened read-only.
        StorageError: the database cannot be written.
    """
    return _remove(reviews, about, reviewer, [number], {"note": number})


def remarks(reviews: Reviews, about: Subject) -> pd.DataFrame:
    """Return the tags and notes on a run's samples, the oldest first: id, sample (a position), kind, text, who, when.

    Args:
        reviews: the database.
        about: the samples, as a run has them.

    Raises:
        StorageError: the database cannot be read.
    """
    known = [(row.id, i, row.kind, row.text, row.reviewer, row.time) for row, i in _placed(reviews, about) if i >= 0]
    return pd.DataFrame(known, columns=COLUMNS).astype({"id": np.int64, "sample": np.int64})


def remarks_elsewhere(reviews: Reviews, about: Subject) -> list[dict[str, Any]]:
    """Return as records the tags and notes about the dataset whose samples the run does not have.

    Args:
        reviews: the database.
        about: the samples, as a run has them.

    Raises:
        StorageError: the database cannot be read.
    """
    return [
        {"id": row.sample_id, "content": row.content, "kind": row.kind, "text": row.text, "reviewer": row.reviewer,
         "time": str(row.time)}
        for row, i in _placed(reviews, about) if i < 0
    ]  # fmt: skip


def rows_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tags and notes that were made elsewhere as `add_rows` takes them.

    Args:
        records: as `remarks_in` gives them.

    Raises:
        UsageError: a text or a name is empty, too long, or holds what no database keeps.
        DataError: a time is none.
    """
    rows = []
    for record in records:
        who = str(record.get("reviewer", ""))
        check_name("the reviewer's name", who, REVIEWER_LENGTH)
        rows.append({"sample_id": record["id"], "content": record["content"], "kind": record["kind"],
                     "text": _checked(record["kind"], record["text"]), "reviewer": who,
                     "time": when_of(record) or datetime.now(UTC)})  # fmt: skip
    return rows


def add_rows(reviews: Reviews, dataset: str, rows: list[dict[str, Any]]) -> int:
    """Add tags and notes, those that are here already or were taken away here aside; return how many came.

    Args:
        reviews: the database.
        dataset: its name.
        rows: as `rows_of` gives them, checked before anything else of their file is added.

    Raises:
        UsageError: the dataset's name is too long, or the database is opened read-only.
        StorageError: the database cannot be written.
    """
    if not rows:
        return 0
    with reviews.change(Subject("", dataset, (), ()), "") as connection:
        gone = select(REMARKS).where(REMARKS.c.dataset == dataset, REMARKS.c.removed)
        removed = {_saying(row._asdict()) for row in connection.execute(gone)}
        return _insert(connection, dataset, [row for row in rows if _saying(row) not in removed])


def _checked(kind: str, text: str) -> str:
    """Return the text without blanks around it, or refuse it."""
    text = text.strip()
    check_name(f"a {kind}", text, LENGTHS[kind])
    if not text or (kind == "tag" and not text.isprintable()):
        raise UsageError(f"Expected {'one line of ' if kind == 'tag' else ''}text as a {kind}, got {text!r}.")
    return text


def _placed(reviews: Reviews, about: Subject) -> list[tuple[Any, int]]:
    """Return what stands about the dataset, each with the position of its sample, −1 where the run lacks that."""
    if not reviews.exists():
        return []
    with storage_errors(reviews.engine.url), reviews.engine.connect() as connection:
        rows = _standing(connection, about.dataset)
    return list(
        zip(rows, about.find([row.sample_id for row in rows], [row.content for row in rows]).tolist(), strict=True)
    )


def _standing(connection: Connection, dataset: str) -> list[Any]:
    if not is_up_to_date(connection) and not inspect(connection).has_table(REMARKS.name):  # opened read-only
        return []
    statement = select(REMARKS).where(REMARKS.c.dataset == dataset, ~REMARKS.c.removed).order_by(REMARKS.c.id)
    return list(connection.execute(statement))


def _insert(connection: Connection, dataset: str, wanted: list[dict[str, Any]]) -> int:
    """Add those of the rows that do not stand yet; a note stands where the same person said the same."""
    seen = {_key(row._asdict()) for row in _standing(connection, dataset)}
    fresh = {key: row for row in wanted if (key := _key(row)) not in seen}
    if fresh:
        connection.execute(insert(REMARKS), [row | {"dataset": dataset, "removed": False} for row in fresh.values()])
    return len(fresh)


def _key(row: dict[str, Any]) -> tuple:
    own = () if row["kind"] == "tag" else (row["reviewer"],)
    return (row["sample_id"], row["content"], row["kind"], row["text"], *own)


def _saying(row: dict[str, Any]) -> tuple:
    """Return what tells one remark from all others, also from the same said again."""
    return (*_key(row), row["reviewer"], stamp(row["time"]))


def _remove(reviews: Reviews, about: Subject, reviewer: str, numbers: list[int], facts: dict[str, Any]) -> int:
    """Mark rows as removed, and return how many were not yet.

    Args:
        reviews: the database.
        about: the samples.
        reviewer: who does it.
        numbers: of the rows.
        facts: what they are, for the trail.
    """
    with reviews.change(about, reviewer) as connection:
        count = 0
        for start in range(0, len(numbers), 500):  # no more parameters than SQLite takes
            chosen = REMARKS.c.id.in_(numbers[start : start + 500]) & ~REMARKS.c.removed
            count += connection.execute(update(REMARKS).where(chosen).values(removed=True)).rowcount
        if count:
            note_event(connection, reviewer, "removed", about.dataset, facts | {"samples": count})
    return count
