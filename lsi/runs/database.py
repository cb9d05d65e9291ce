"""How the database of decisions is opened, brought up to date and locked, and what its errors mean in words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import W_OK, access
from pathlib import Path
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
    create_engine,
    event,
    false,
    insert,
    inspect,
    make_url,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from lsi.errors import StorageError

REVIEWER_LENGTH = 100
RUN_LENGTH = 200
_WAIT_SECONDS = 10
_ATTEMPTS = 4

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
)
CHANGES = Table(
    "decision_changes",
    METADATA,
    Column("run", String(RUN_LENGTH), primary_key=True),
    Column("count", BigInteger, nullable=False),
)


def open_database(url: str | URL) -> Engine:
    """Connect to a database that may be written, create its tables, and bring those of older versions up to date.

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
        except SQLAlchemyError:
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


def begin_change(connection: Connection, run: str) -> None:
    """Count one change to a run's decisions, and let no other change to them begin before this transaction ends.

    The statement comes before anything is read: it takes the row's lock on PostgreSQL, and on SQLite, whose
    connections begin with IMMEDIATE, the lock of the whole file.
    """
    count = update(CHANGES).where(CHANGES.c.run == run).values(count=CHANGES.c.count + 1)
    if connection.execute(count).rowcount:
        return
    try:
        with connection.begin_nested():
            connection.execute(insert(CHANGES).values(run=run, count=1))
    except IntegrityError:  # another transaction was the run's first
        connection.execute(count)


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
            message = f"{where} cannot be used: {reason}."
        raise StorageError(message) from error


def _address(url: str | URL) -> URL:
    try:
        return make_url(url)
    except SQLAlchemyError as error:
        raise StorageError("The address of the database of decisions is no URL as SQLAlchemy reads them.") from error


def _engine(address: URL) -> Engine:
    is_sqlite = address.get_backend_name() == "sqlite"
    options = {"connect_args": {"isolation_level": "IMMEDIATE"}} if is_sqlite else {}
    engine = create_engine(address, pool_pre_ping=True, **options)
    if is_sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection, _record) -> None:
    connection.execute(f"PRAGMA busy_timeout={1000 * _WAIT_SECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")


def _read_only_file(path: Path) -> Engine:
    """Return an engine over an SQLite file; where not even its folder can be written, the file is taken as final."""
    journal = path.with_name(f"{path.name}-wal")
    final = not access(path.parent, W_OK) and not (journal.is_file() and journal.stat().st_size)
    uri = f"file:{quote(str(path))}?mode=ro" + ("&immutable=1" if final else "")
    return create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False),
        poolclass=QueuePool,
    )


def _bring_up_to_date(engine: Engine) -> None:
    """Create what is missing; of several processes that do so at once, all but one fail and look again."""
    for attempt in range(_ATTEMPTS):
        try:
            _create_what_is_missing(engine)
        except SQLAlchemyError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def _create_what_is_missing(engine: Engine) -> None:
    METADATA.create_all(engine)
    present = {column["name"] for column in inspect(engine).get_columns(DECISIONS.name)}
    if "discarded" not in present:
        column = CreateColumn(DECISIONS.c.discarded).compile(dialect=engine.dialect)
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {DECISIONS.name} ADD COLUMN {column}"))
