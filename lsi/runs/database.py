"""How the database of decisions is opened, brought up to date and locked, and what its errors mean in words."""

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from os import W_OK, access
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    QueuePool,
    String,
    Table,
    Text,
    create_engine,
    event,
    false,
    insert,
    inspect,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError

from lsi.errors import StorageError
from lsi.files import on_network

REVISION = "0005"  # of the last file in `migrations`
REVIEWER_LENGTH = 100
RUN_LENGTH = 200
WHAT_LENGTH = 40
_WAIT_SECONDS = 10
_ATTEMPTS = 4
_LOCK = 5_170_411  # number of the advisory lock that migrations hold on PostgreSQL

METADATA = MetaData()
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("batch", BigInteger, nullable=False, index=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("reviewer", String(REVIEWER_LENGTH), nullable=False, index=True),
    Column("run", String(RUN_LENGTH), nullable=False, index=True),
    Column("sample", Integer, nullable=False),
    Column("action", String(20), nullable=False),
    Column("label", Integer),
    Column("given", Integer),
    Column("suggested", Integer),
    Column("score", Float),
    Column("undone", Boolean, nullable=False, default=False),
    Column("discarded", Boolean, nullable=False, default=False, server_default=false()),
    Column("dataset", String(RUN_LENGTH), index=True),
    Column("sample_id", Text),
    Column("content", String(64)),
    Column("label_name", Text),
    Column("given_name", Text),
    Column("suggested_name", Text),
    Column("label_column", Text),
)
CHANGES = Table(
    "dataset_changes",
    METADATA,
    Column("dataset", String(RUN_LENGTH), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
RUN_CHANGES = Table(  # of programs of before, which may still write
    "decision_changes",
    METADATA,
    Column("run", String(RUN_LENGTH), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
EVENTS = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", DateTime(timezone=True), nullable=False, index=True),
    Column("who", String(REVIEWER_LENGTH), nullable=False),
    Column("what", String(WHAT_LENGTH), nullable=False),
    Column("about", String(RUN_LENGTH), nullable=False),
    Column("facts", Text, nullable=False),
)
REMARKS = Table(
    "remarks",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("reviewer", String(REVIEWER_LENGTH), nullable=False),
    Column("dataset", String(RUN_LENGTH), nullable=False, index=True),
    Column("sample_id", Text, nullable=False),
    Column("content", String(64), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("text", Text, nullable=False),
    Column("removed", Boolean, nullable=False, default=False, server_default=false()),
)
_REVISIONS = Table("alembic_version", MetaData(), Column("version_num", String(32)))
_MIGRATING = threading.Lock()
_UP_TO_DATE: weakref.WeakSet[Engine] = weakref.WeakSet()
_MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str | URL) -> Engine:
    """Connect to a database that may be written, and migrate it to this version's tables, from none or from older ones.

    Raises:
        StorageError: the database cannot be opened.
    """
    address = _address(url)
    with storage_errors(address):
        if address.get_backend_name() == "sqlite" and address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        engine = _engine(address)
        try:
            _bring_up_to_date(engine)
        except BaseException:
            engine.dispose()
            raise
    return engine


def open_read_only(url: str | URL) -> Engine | None:
    """Connect to a database without ever writing to it; None while there are no decisions in it.

    Raises:
        StorageError: the database exists and cannot be opened.
    """
    address = _address(url)
    is_file = address.get_backend_name() == "sqlite" and address.database
    if is_file and not Path(str(address.database)).is_file():
        return None
    with storage_errors(address):
        engine = _read_only_file(Path(str(address.database))) if is_file else _engine(address)
        try:
            if inspect(engine).has_table(DECISIONS.name):
                return engine
        except SQLAlchemyError:
            engine.dispose()
            raise
        engine.dispose()
    return None


def is_up_to_date(connection: Connection) -> bool:
    """Say whether the database has this version's tables; one that is opened read-only may be older, until it is not.

    Asked at every step of every page: the answer that cannot change any more is kept.
    """
    if connection.engine in _UP_TO_DATE:
        return True
    if not inspect(connection).has_table(_REVISIONS.name):
        return False
    if connection.execute(select(_REVISIONS.c.version_num)).scalar() != REVISION:
        return False
    _UP_TO_DATE.add(connection.engine)
    return True


def begin_change(connection: Connection, dataset: str) -> None:
    """Count one change to a dataset's decisions, and let no other change to them begin before this transaction ends.

    The statement comes before anything is read: it takes the row's lock on PostgreSQL, and on SQLite, whose
    connections begin with IMMEDIATE, the lock of the whole file.
    """
    count = update(CHANGES).where(CHANGES.c.dataset == dataset).values(count=CHANGES.c.count + 1)
    if connection.execute(count).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(CHANGES).values(dataset=dataset, count=1))
    except IntegrityError:  # another transaction was the dataset's first
        connection.execute(count)


def note_event(connection: Connection, who: str, what: str, about: str, facts: dict[str, Any]) -> None:
    """Add one event to the trail.

    Args:
        connection: in a transaction.
        who: did it.
        what: a verb.
        about: which run, dataset or job; its first 200 characters are kept.
        facts: more of it, as JSON takes it.
    """
    row = {"time": datetime.now(UTC), "who": who[:REVIEWER_LENGTH], "what": what[:WHAT_LENGTH]}
    text_of = json.dumps(facts, ensure_ascii=True, default=str)
    connection.execute(insert(EVENTS), [row | {"about": about[:RUN_LENGTH], "facts": text_of}])


@contextmanager
def storage_errors(address: URL) -> Iterator[None]:
    """Turn errors of the database at this address into sentences.

    Raises:
        StorageError: the database raised an error.
    """
    where = f"The database of decisions at {address.render_as_string(hide_password=True)}"
    try:
        yield
    except ModuleNotFoundError as error:
        raise StorageError(f"{where} needs the Python package {error.name}: install it.") from error
    except OSError as error:
        raise StorageError(f"{where} cannot be opened: {error}.") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        if "locked" in reason:
            message = f"{where} is in use by another program. Try again in a moment."
        elif "not a database" in reason or "malformed" in reason:
            message = f"{where} is damaged ({reason}). Put a copy in its place, or move it away to start anew."
        else:
            message = f"{where} cannot be used: {reason}." + " LSI_READ_ONLY=1 only reads it." * ("readonly" in reason)
        raise StorageError(message) from error


def _address(url: str | URL) -> URL:
    try:
        return make_url(url)
    except SQLAlchemyError as error:
        raise StorageError("The address of the database of decisions is no URL as SQLAlchemy reads them.") from error


def _engine(address: URL) -> Engine:
    if address.get_backend_name() != "sqlite":
        return create_engine(address, pool_pre_ping=True)
    options = {"isolation_level": "IMMEDIATE", "timeout": _WAIT_SECONDS}
    engine = create_engine(address, pool_pre_ping=True, connect_args=options)
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection, _record) -> None:
    path = connection.execute("PRAGMA database_list").fetchone()[2]  # WAL needs memory that all its programs share
    connection.execute(f"PRAGMA journal_mode={'DELETE' if path and on_network(Path(path)) else 'WAL'}")


class _Reader(sqlite3.Connection):
    """A connection that only reads; `found` is how the files were that it takes as final, None where it takes none."""

    found: tuple[int, ...] | None = None


def _read_only_file(path: Path) -> Engine:
    """Return an engine over an SQLite file that is never written.

    Where not even its folder can be written and no program has the file open, SQLite reads it only as one that never
    changes. It may change all the same, by a program that can write there: each use of a connection looks again.
    """

    def connect() -> _Reader:
        found = _files_of(path) if _is_final(path) else None
        uri = f"file:{quote(str(path))}?mode=ro" + ("&immutable=1" if found is not None else "")
        reader = sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False, factory=_Reader)
        reader.found = found
        return reader

    def look_again(reader: _Reader, _record: object, _proxy: object) -> None:
        if reader.found is not None and reader.found != _files_of(path):
            raise DisconnectionError(f"{path} has changed")  # the pool opens it anew

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "checkout", look_again)
    return engine


def _is_final(path: Path) -> bool:
    """Say whether the folder cannot be written and no program, elsewhere, has the file open."""
    journal, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    return not access(path.parent, W_OK) and not index.exists() and not (journal.is_file() and journal.stat().st_size)


def _files_of(path: Path) -> tuple[int, ...]:
    """Return what tells the states of an SQLite file and its journal apart."""
    facts: list[int] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            found = file.stat()
            facts += [found.st_ino, found.st_size, found.st_mtime_ns]
    return tuple(facts)


def _bring_up_to_date(engine: Engine) -> None:
    """Migrate the tables; where another process holds the database, wait and look again."""
    for attempt in range(_ATTEMPTS):
        try:
            if _revision(engine) != REVISION:
                _migrate(engine)
        except SQLAlchemyError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _revision(engine: Engine) -> str | None:
    """Return the last migration that the database went through."""
    if not inspect(engine).has_table(_REVISIONS.name):
        return None
    with engine.connect() as connection:
        return connection.execute(select(_REVISIONS.c.version_num)).scalar()


def _migrate(engine: Engine) -> None:
    """Run the migrations that are missing in one transaction that no other process's can interleave with."""
    from alembic import command  # a third of a second to import, and seldom needed
    from alembic.config import Config
    from alembic.util import CommandError

    with engine.connect() as connection:
        lock = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else None
        lock = f"SELECT pg_advisory_xact_lock({_LOCK})" if engine.dialect.name == "postgresql" else lock
        if lock is not None:
            connection.execute(text(lock))
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            with _MIGRATING:  # what a migration sees of its surroundings is global to the process
                command.upgrade(config, "head")
        except CommandError as error:
            raise _not_migrated(_revision(engine), error) from error
        connection.commit()


def _not_migrated(found: str | None, error: Exception) -> StorageError:
    if found is not None and found > REVISION:
        return StorageError(
            f"The database of decisions was written by a newer version of the program (its revision is {found}, "
            f"this version knows up to {REVISION}): install that version."
        )
    return StorageError(f"The tables of decisions cannot be brought from revision {found} to {REVISION}: {error}")
