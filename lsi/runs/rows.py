"""Rows of the table of decisions: which are about a dataset, how a batch is added, and how older ones get names."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    bindparam,
    cast,
    func,
    insert,
    inspect,
    null,
    or_,
    select,
    update,
)

from lsi.errors import UsageError
from lsi.runs.database import CHANGES, DECISIONS, RUN_CHANGES, is_up_to_date
from lsi.runs.subject import Subject

HISTORY = [column.name for column in DECISIONS.c if column.name != "discarded"]


def of_dataset(connection: Connection, about: Subject) -> ColumnElement[bool]:
    """Return which rows are about the dataset, those that name the run alone among them."""
    if "dataset" not in columns_of(connection):
        return DECISIONS.c.run == about.run
    table = DECISIONS.c
    return or_(table.dataset == about.dataset, table.dataset.is_(None) & (table.run == about.run))


def history_of(connection: Connection, about: Subject):
    """Return the statement that selects the rows about a dataset, the oldest first, with what the table lacks empty."""
    present = columns_of(connection)
    chosen = [DECISIONS.c[n] if n in present else null().label(n) for n in HISTORY]
    return select(*chosen).where(of_dataset(connection, about)).order_by(DECISIONS.c.id)


def columns_of(connection: Connection) -> set[str]:
    """Return the columns that the table of decisions has; an older database that is opened read-only lacks some."""
    if is_up_to_date(connection):
        return set(DECISIONS.c.keys())
    return {column["name"] for column in inspect(connection).get_columns(DECISIONS.name)}


def add_batch(connection: Connection, dataset: str, rows: list[dict[str, Any]]) -> None:
    """Add rows as the dataset's next batch; the change holds its lock, so that nobody else can take this number.

    Args:
        connection: within the change.
        dataset: its name.
        rows: columns of the table by name.
    """
    if not rows:
        return
    latest = connection.execute(select(func.max(DECISIONS.c.batch)).where(DECISIONS.c.dataset == dataset)).scalar()
    marks = {"batch": 1 if latest is None else latest + 1, "undone": False, "discarded": False}
    connection.execute(insert(DECISIONS), [marks | row for row in rows])


def names_of(about: Subject, sample: int, *labels: int | None) -> dict[str, Any]:
    """Return what names a sample, and its new, given and suggested label, in every run."""
    names = zip(("label_name", "given_name", "suggested_name"), map(about.name, labels), strict=True)
    of = {"sample_id": about.ids[sample], "content": about.contents[sample], "label_column": about.label_column}
    return of | dict(names)


def given_of(about: Subject, sample: int, shown: int | None) -> int | None:
    """Return the given label that was shown, or that of the run where none was; None where there are no classes.

    Args:
        about: the samples.
        sample: position of one.
        shown: what was shown, None where that is not known.
    """
    return int(about.given[sample]) if shown is None and about.given is not None else shown


def adopt(connection: Connection, about: Subject) -> None:
    """Say of the rows that name the run alone which samples and classes they mean, and put batches in their order."""
    table = DECISIONS.c
    nameless = select(table.id, table.sample, table.label, table.given, table.suggested).where(
        table.dataset.is_(None), table.run == about.run
    )
    rows = [row for row in connection.execute(nameless).all() if 0 <= row.sample < len(about.ids)]
    if not rows:
        return
    groups = select(func.min(table.id), table.run, table.dataset, table.batch).where(of_dataset(connection, about))
    order = sorted(connection.execute(groups.group_by(table.run, table.dataset, table.batch)).all(), key=lambda g: g[0])
    number = {tuple(group[1:]): i + 1 for i, group in enumerate(order)}
    batches = connection.execute(
        select(table.id, table.run, table.dataset, table.batch).where(of_dataset(connection, about))
    )
    renumbered = [{"key": row[0], "number": number[tuple(row[1:])]} for row in batches.all()]
    connection.execute(
        update(DECISIONS).where(table.id == bindparam("key")).values(batch=bindparam("number")), renumbered
    )
    named = [
        {"key": row.id, "dataset": about.dataset}
        | names_of(about, row.sample, row.label, given_of(about, row.sample, row.given), row.suggested)
        for row in rows
    ]
    columns = ("dataset", "sample_id", "content", "label_name", "given_name", "suggested_name", "label_column")
    values = {name: bindparam(f"new_{name}") for name in columns}
    statement = update(DECISIONS).where(table.id == bindparam("key")).values(**values)
    connection.execute(statement, [{"key": n["key"]} | {f"new_{c}": n[c] for c in columns} for n in named])


def what_stands(connection: Connection, dataset: str) -> tuple[set[tuple], dict[tuple, float], dict[tuple, float]]:
    """Return all decisions of a dataset as sample, reviewer and time, and the time of each sample's latest.

    Last comes that of its latest but for keeps that say nothing of the label.
    """
    table = DECISIONS.c
    is_of_label = (table.action != "keep") | table.given_name.is_not(None)
    statement = select(table.sample_id, table.content, table.reviewer, table.time, table.undone, is_of_label)
    seen: set[tuple] = set()
    latest: dict[tuple, float] = {}
    latest_of_label: dict[tuple, float] = {}
    for *sample, reviewer, when, undone, of_label in connection.execute(statement.where(table.dataset == dataset)):
        at = stamp(when)
        seen.add((*sample, reviewer, at))
        for times in () if undone else (latest, latest_of_label) if of_label else (latest,):
            times[tuple(sample)] = max(at, times.get(tuple(sample), at))
    return seen, latest, latest_of_label


def stamp(when: datetime) -> float:
    """Return seconds since 1970; SQLite gives back times without their zone, which is UTC."""
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _latest_of_each(which: ColumnElement[bool]) -> Subquery:
    """Return the numbers of the latest rows that stand, of each sample of those datasets."""
    table = DECISIONS.c
    latest = select(func.max(table.id).label("id")).where(~table.undone, which)
    return latest.group_by(table.dataset, table.sample_id, table.content).subquery()


def count_decided(connection: Connection) -> dict[str, int]:
    """Return of how many samples of each dataset a decision is in force."""
    table = DECISIONS.c
    if "dataset" not in columns_of(connection):
        return {}
    chosen = _latest_of_each(table.dataset.is_not(None))
    counted = select(table.dataset, func.count()).join(chosen, chosen.c.id == table.id)
    rows = connection.execute(counted.where(table.action != "clear").group_by(table.dataset)).all()
    return {str(dataset): int(count) for dataset, count in rows}


def decided_samples(connection: Connection, dataset: str) -> list[tuple[str, str]]:
    """Return id and content of the samples of a dataset's name on which a decision is in force."""
    table = DECISIONS.c
    if "dataset" not in columns_of(connection):
        return []
    chosen = _latest_of_each(table.dataset == dataset)
    rows = select(table.sample_id, table.content).join(chosen, chosen.c.id == table.id).where(table.action != "clear")
    return [(str(sample or ""), str(content or "")) for sample, content in connection.execute(rows)]


def version_of(connection: Connection, about: Subject) -> tuple[int, int]:
    """Return the latest row about a dataset, and how often rows about it have changed."""
    here = of_dataset(connection, about)
    of_data = select(CHANGES.c.count).where(CHANGES.c.dataset == about.dataset)
    of_run = select(RUN_CHANGES.c.count).where(RUN_CHANGES.c.run == about.run)
    counts = [of_data, of_run]
    if not is_up_to_date(connection):  # opened read-only
        inspector = inspect(connection)
        counts = [c for c, t in ((of_data, CHANGES), (of_run, RUN_CHANGES)) if inspector.has_table(t.name)]
        counts = counts or [select(func.sum(cast(DECISIONS.c.undone, Integer))).where(here)]
    asked = [select(func.max(DECISIONS.c.id)).where(here), *counts]
    latest, *changes = connection.execute(select(*(s.scalar_subquery() for s in asked))).one()
    return int(latest or 0), sum(int(change or 0) for change in changes)


def batches_on(connection: Connection, rows: ColumnElement[bool], about: Subject) -> list[int]:
    """Return the batches that decide about a sample of a run, and not only about other data of the same name.

    Args:
        connection: within the change.
        rows: among which of the dataset's.
        about: the samples, as the run has them.
    """
    found = connection.execute(select(DECISIONS.c.batch, DECISIONS.c.sample_id, DECISIONS.c.content).where(rows)).all()
    if not found:
        return []
    batches, ids, contents = (list(column) for column in zip(*found, strict=True))
    at = about.find([name or "" for name in ids], [content or "" for content in contents])
    return sorted({batch for batch, position in zip(batches, at.tolist(), strict=True) if position >= 0})


def batch_to_mark(connection: Connection, rows: ColumnElement[bool], about: Subject, undone: bool) -> int | None:
    """Return the batch that undo takes back, or that redo brings back; None where there is none.

    Args:
        connection: within the change.
        rows: which are the reviewer's about the dataset.
        about: the samples, as the run has them: what was decided about others alone is no batch here.
        undone: True for the latest that stands, False for the first that was taken back after it.
    """
    table = DECISIONS.c
    standing = max(batches_on(connection, rows & ~table.undone, about), default=None)
    if undone:
        return standing
    redoable = batches_on(connection, rows & table.undone & ~table.discarded, about)
    return min((batch for batch in redoable if standing is None or batch > standing), default=None)


def check_name(what: str, name: str, length: int) -> None:
    """Refuse a name that some database would cut off, or could not hold.

    Args:
        what: the name's name, for the message.
        name: the text.
        length: most characters that it may have.

    Raises:
        UsageError: it is one.
    """
    if len(name) > length:
        raise UsageError(f"Expected at most {length} characters as {what}, got {len(name)}.")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise UsageError(f"Expected text as {what}, got characters that no database keeps: {name!r}.")
