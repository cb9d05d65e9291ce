"""The trail of a team's work: who decided, undid, started, cancelled, exported, renamed or deleted what, and when.

Decisions are rows of their own already. What else is done in the app is an event, written before it is done: what
cannot be written down does not happen.
"""

import json
from typing import Any

import pandas as pd
from sqlalchemy import inspect, select

from lsi.runs.database import DECISIONS, EVENTS, is_up_to_date, note_event, storage_errors
from lsi.runs.decisions import Reviews
from lsi.runs.rows import columns_of

COLUMNS = ["time", "who", "what", "about", "facts"]
_SHOWN = ("sample_id", "label_name", "given_name", "run", "content")


def note(reviews: Reviews, who: str, what: str, about: str, **facts: Any) -> None:
    """Write down what somebody is about to do; nothing where the database is opened read-only.

    Args:
        reviews: the database.
        who: does it, at most 100 characters of which are kept.
        what: started, cancelled, exported, renamed, deleted or another verb.
        about: which run, dataset or job.
        facts: more of it, as JSON takes it.

    Raises:
        StorageError: the database cannot be written.
    """
    if reviews.read_only:
        return
    with storage_errors(reviews.engine.url), reviews.engine.begin() as connection:
        note_event(connection, who, what, about, facts)


def trail(reviews: Reviews, last: int | None = None) -> pd.DataFrame:
    """Return what was done, the oldest first: time (UTC), who, what, about, and facts as JSON.

    A decision that was undone since is there as it was made, and the undo after it.

    Args:
        reviews: the database.
        last: how many of the latest to return; all without it.

    Raises:
        StorageError: the database cannot be read.
    """
    table, found = DECISIONS.c, []
    if not reviews.exists():
        return _frame([])
    with storage_errors(reviews.engine.url), reviews.engine.connect() as connection:
        if is_up_to_date(connection) or inspect(connection).has_table(EVENTS.name):
            events = select(*(EVENTS.c[name] for name in COLUMNS))
            events = events.order_by(EVENTS.c.time.desc(), EVENTS.c.id.desc()).limit(last)
            found += [tuple(row) for row in connection.execute(events)]
        present = columns_of(connection)
        shown = [table[name] for name in _SHOWN if name in present]
        decided = select(table.time, table.reviewer, table.action, *shown)
        decided = decided.order_by(table.time.desc(), table.id.desc()).limit(last)  # what is read in may be older
        about = "dataset" if "dataset" in present else "run"
        for row in connection.execute(decided.add_columns(table[about].label("about"))):
            facts = {column.name: getattr(row, column.name) for column in shown}
            text = json.dumps({k: v for k, v in facts.items() if v not in (None, "")})
            found.append((row.time, row.reviewer, row.action, row.about or "", text))
    rows = _frame(found)
    return rows if last is None else rows.tail(last).reset_index(drop=True)


def _frame(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows[::-1], columns=COLUMNS)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame.sort_values("time", kind="stable", ignore_index=True)
