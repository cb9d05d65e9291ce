import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
)

from lsi.errors import StorageError, UsageError
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.subject import Subject
from tests.postgresql import programs, serve

pytestmark = pytest.mark.xdist_group("reviews")


def subject(run: str, dataset: str, given: int = 0, classes: int = 30, ids: range = range(200)) -> Subject:
    """Return samples whose content is that of their id, with class names c0, c1 …"""
    names = tuple(f"c{i}" for i in range(classes))
    return Subject(run, dataset, [f"s{i}" for i in ids], [f"hash {i}" for i in ids], names, np.full(len(ids), given))


RUN, OTHER, ANOTHER = subject("run", "data", given=29), subject("other", "other data"), subject("another run", "none")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with serve(where) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path) -> str:
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'r.db'}"
    url = request.getfixturevalue("postgresql")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS decisions, decision_changes, dataset_changes, alembic_version")
    engine.dispose()
    return url


@pytest.fixture
def reviews(address) -> Iterator[Reviews]:
    reviews = Reviews(address)
    yield reviews
    reviews.close()


def state(reviews: Reviews, reviewer: str | None = None) -> dict[int, tuple[str, int | None]]:
    rows = reviews.current(RUN, reviewer)
    return {
        int(i): (r["action"], None if r["label"] != r["label"] or r["label"] is None else int(r["label"]))
        for i, r in rows.iterrows()
    }


def test_the_latest_decision_counts(reviews):
    assert state(reviews) == {}
    reviews.record(RUN, "ann", [Decision(3, "exclude"), Decision(4, "keep")])
    reviews.record(RUN, "ann", [Decision(3, "relabel", 7, given=1, suggested=7, score=0.01)])
    reviews.record(OTHER, "ann", [Decision(9, "keep")])
    assert state(reviews) == {3: ("relabel", 7), 4: ("keep", None)}
    reviews.record(RUN, "ann", [Decision(4, "clear")])
    assert state(reviews) == {3: ("relabel", 7)}
    assert len(reviews.history(RUN)) == 4


def test_undo_and_redo_go_batch_by_batch(reviews):
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    reviews.record(RUN, "ann", [Decision(1, "exclude"), Decision(2, "exclude")])
    assert reviews.undo(RUN, "ann") == 2
    assert state(reviews) == {1: ("keep", None)}
    assert reviews.undo(RUN, "ann") == 1
    assert reviews.undo(RUN, "ann") == 0
    assert state(reviews) == {}
    assert [reviews.redo(RUN, "ann") for _ in range(3)] == [1, 2, 0]
    assert state(reviews) == {1: ("exclude", None), 2: ("exclude", None)}


def test_a_new_decision_ends_redo(reviews):
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    reviews.undo(RUN, "ann")
    reviews.record(RUN, "ann", [Decision(2, "keep")])
    assert reviews.redo(RUN, "ann") == 0
    assert state(reviews) == {2: ("keep", None)}


def test_reviewers_do_not_undo_each_other_and_disagreements_show(reviews):
    reviews.record(RUN, "ann", [Decision(1, "keep"), Decision(2, "keep")])
    reviews.record(RUN, "bob", [Decision(1, "exclude"), Decision(2, "keep")])
    assert reviews.disagreements(RUN) == [1]
    assert reviews.current(RUN)["disputed"].to_dict() == {1: True, 2: False}
    assert state(reviews, "ann") == {1: ("keep", None), 2: ("keep", None)}
    reviews.undo(RUN, "bob")
    assert state(reviews) == {1: ("keep", None), 2: ("keep", None)}
    assert reviews.disagreements(RUN) == []


def test_version_changes_with_every_change(reviews):
    seen = [reviews.version(RUN)]
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    seen.append(reviews.version(RUN))
    reviews.undo(RUN, "ann")
    seen.append(reviews.version(RUN))
    assert len(set(seen)) == 3


def test_two_threads_lose_nothing(reviews):
    def work(name: str) -> None:
        for i in range(20):
            reviews.record(RUN, name, [Decision(i, "keep")])

    threads = [threading.Thread(target=work, args=(n,)) for n in ("ann", "bob")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(reviews.history(RUN)) == 40


def test_redo_never_revives_what_a_newer_decision_discarded(reviews):
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    reviews.record(RUN, "ann", [Decision(2, "keep")])
    reviews.undo(RUN, "ann")
    reviews.record(RUN, "ann", [Decision(3, "keep")])
    reviews.undo(RUN, "ann")
    assert reviews.redo(RUN, "ann") == 1
    assert sorted(state(reviews)) == [1, 3]
    assert reviews.redo(RUN, "ann") == 0
    assert sorted(state(reviews)) == [1, 3]


def test_a_new_decision_discards_only_what_the_same_reviewer_undid_in_the_same_run(reviews):
    for run, reviewer in ((RUN, "ann"), (RUN, "bob"), (OTHER, "ann")):
        reviews.record(run, reviewer, [Decision(1, "keep")])
        reviews.undo(run, reviewer)
    reviews.record(RUN, "ann", [Decision(2, "keep")])
    assert [reviews.redo(*who) for who in ((RUN, "ann"), (RUN, "bob"), (OTHER, "ann"))] == [0, 1, 1]


def test_two_states_of_two_reviewers_never_share_a_version(reviews):
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    reviews.record(RUN, "bob", [Decision(2, "keep")])
    reviews.undo(RUN, "ann")
    first = reviews.version(RUN)
    reviews.redo(RUN, "ann")
    reviews.undo(RUN, "bob")
    assert reviews.version(RUN) != first
    assert sum(reviews.version(RUN)) > sum(first)
    assert reviews.version(ANOTHER) == (0, 0)


def test_batches_are_ordered_by_the_database_and_not_by_the_clock(reviews, monkeypatch):
    for sample, clock in enumerate((3, 2, 2, 1)):
        monkeypatch.setattr("time.time_ns", lambda clock=clock: clock)
        reviews.record(RUN, "ann", [Decision(sample, "keep")])
    for remaining in ([0, 1, 2], [0, 1], [0], []):
        assert reviews.undo(RUN, "ann") == 1
        assert sorted(state(reviews)) == remaining


def test_undos_at_the_same_time_take_different_batches(reviews):
    for sample in range(24):
        reviews.record(RUN, "ann", [Decision(sample, "keep")])
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: reviews.undo(RUN, "ann"), range(24)))
    assert counts == [1] * 24
    assert state(reviews) == {}


def test_records_at_the_same_time_take_different_batches(reviews):
    barrier = threading.Barrier(8)

    def work(sample: int) -> None:
        barrier.wait()
        reviews.record(RUN, "ann", [Decision(sample, "keep")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert reviews.history(RUN)["batch"].nunique() == 8


ANN_AND_BOB = st.sampled_from(["ann", "bob"])
STEP = st.tuples(ANN_AND_BOB, st.sampled_from(["record", "record", "undo", "redo"]), st.integers(0, 3))


@settings(max_examples=50, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_any_steps_of_two_reviewers_come_to_what_two_stacks_come_to(steps):
    reviews = Reviews("sqlite://")
    done, undone = {"ann": [], "bob": []}, {"ann": [], "bob": []}
    versions = {}
    for number, (who, step, sample) in enumerate(steps):
        if step == "record":
            reviews.record(RUN, who, [Decision(sample, "relabel", number)])
            done[who].append((number, sample))
            undone[who].clear()
        elif step == "undo":
            assert reviews.undo(RUN, who) == (1 if done[who] else 0)
            undone[who] += [done[who].pop()] if done[who] else []
        else:
            assert reviews.redo(RUN, who) == (1 if undone[who] else 0)
            done[who] += [undone[who].pop()] if undone[who] else []
        expected = {sample: ("relabel", number) for number, sample in sorted(done["ann"] + done["bob"])}
        assert state(reviews) == expected
        for one in ("ann", "bob"):
            assert state(reviews, one) == {sample: ("relabel", number) for number, sample in done[one]}
        rows = tuple(sorted(done["ann"] + done["bob"]))
        assert versions.setdefault(reviews.version(RUN), rows) == rows
    reviews.close()


def older_database(address: str) -> MetaData:
    """Make the table that version 0.1.0 made, with two standing decisions and one that was undone."""
    metadata = MetaData()
    table = Table(
        "decisions",
        metadata,
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
    engine = create_engine(address)
    metadata.create_all(engine)
    clock = 1_790_000_000_000_000_000
    with engine.begin() as connection:
        for i, undone in enumerate((False, False, True)):
            row = {"batch": clock + i, "time": datetime.now(UTC), "reviewer": "ann", "run": "run", "sample": i}
            connection.execute(insert(table).values(**row, action="keep", undone=undone))
    engine.dispose()
    return metadata


def test_a_database_of_an_older_version_goes_on_without_losing_a_row(address):
    older_database(address)
    for _ in range(2):  # opened for the first time, and again
        reviews = Reviews(address)
        assert sorted(state(reviews)) == [0, 1]
        reviews.close()
    reviews = Reviews(address)
    assert reviews.redo(RUN, "ann") == 1
    reviews.record(RUN, "ann", [Decision(7, "exclude")])
    assert len(reviews.history(RUN)) == 4
    assert reviews.undo(RUN, "ann") == 1
    assert reviews.undo(RUN, "ann") == 1
    assert sorted(state(reviews)) == [0, 1]
    assert reviews.redo(RUN, "ann") == 1
    assert sorted(state(reviews)) == [0, 1, 2]
    assert reviews.history(RUN)["batch"].is_monotonic_increasing
    reviews.close()


def test_an_older_program_can_go_on_writing_to_a_newer_database(address):
    metadata = older_database(address)
    reviews = Reviews(address)
    row = {"batch": 1_800_000_000_000_000_000, "time": datetime.now(UTC), "reviewer": "ann", "run": "run", "sample": 9}
    before = reviews.version(RUN)
    with reviews.engine.begin() as connection:
        connection.execute(insert(metadata.tables["decisions"]).values(**row, action="keep"))
    assert 9 in state(reviews)
    assert reviews.version(RUN) != before
    reviews.close()


def test_two_programs_may_bring_a_database_up_to_date_at_once(address):
    older_database(address)
    with ThreadPoolExecutor(4) as pool:
        for reviews in list(pool.map(Reviews, [address] * 4)):
            assert len(reviews.history(RUN)) == 3
            reviews.close()


def test_read_only_an_older_database_is_read_as_it_is(address):
    metadata = older_database(address)
    reviews = Reviews(address, read_only=True)
    assert sorted(state(reviews)) == [0, 1]
    assert reviews.version(RUN) == (3, 1)
    with pytest.raises(UsageError, match="opened read-only"):
        reviews.record(RUN, "ann", [Decision(1, "keep")])
    with reviews.engine.connect() as connection:
        assert len(connection.execute(select(metadata.tables["decisions"])).all()) == 3
    reviews.close()
    if address.startswith("sqlite"):
        with sqlite3.connect(address.removeprefix("sqlite:///")) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        connection.close()
        assert names == [("decisions",)]


def test_read_only_a_missing_database_holds_no_decisions_and_is_not_made(tmp_path):
    cache = tmp_path / "a cache?"
    reviews = Reviews.of_cache(cache, read_only=True)
    assert reviews.history(RUN).empty
    assert reviews.current(RUN).empty
    assert reviews.disagreements(RUN) == []
    assert reviews.version(RUN) == (0, 0)
    for change in (reviews.undo, reviews.redo):
        with pytest.raises(UsageError, match="nothing can be decided here"):
            change(RUN, "ann")
    assert not cache.exists()
    writer = Reviews.of_cache(cache)
    writer.record(RUN, "ann", [Decision(3, "exclude")])
    assert state(reviews) == {3: ("exclude", None)}
    writer.record(RUN, "ann", [Decision(4, "exclude")])
    assert sorted(state(reviews)) == [3, 4]
    for one in (reviews, writer):
        one.close()


@pytest.mark.parametrize(
    ("reviewer", "message"), [("a" * 101, "at most 100 characters"), ("a\0b", "no database"), ("\ud800", "no database")]
)
def test_a_name_that_a_database_cannot_hold_is_refused(reviews, reviewer, message):
    with pytest.raises(UsageError, match=message):
        reviews.record(RUN, reviewer, [Decision(1, "keep")])
    reviews.record(RUN, "ä" * 100, [Decision(1, "keep")])
    assert len(reviews.history(RUN)) == 1


def test_a_damaged_database_is_an_error_in_words(tmp_path):
    path = tmp_path / "r.db"
    path.write_bytes(b"this is no database" * 1_000)
    for read_only in (False, True):
        with pytest.raises(StorageError, match="is damaged"):
            Reviews(f"sqlite:///{path}", read_only)


def test_a_locked_database_is_an_error_in_words(tmp_path):
    reviews = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    reviews.engine.dispose()
    event.listen(reviews.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
    other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="in use by another program"):
        reviews.record(RUN, "ann", [Decision(1, "keep")])
    other.execute("ROLLBACK")
    other.close()
    reviews.record(RUN, "ann", [Decision(1, "keep")])
    reviews.close()


@pytest.mark.parametrize(
    ("address", "message"),
    [("nonsense", "no URL"), ("sqlite:////proc/none/r.db", "cannot be"), ("oracle+none://x", "cannot be used")],
)
def test_an_address_that_cannot_be_opened_is_an_error_in_words(address, message):
    with pytest.raises(StorageError, match=message):
        Reviews(address)


def test_decisions_survive_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path / 'r.db'}"
    Reviews(url).record(RUN, "ann", [Decision(1, "keep")])
    assert state(Reviews(url)) == {1: ("keep", None)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((1, "burn"), "Expected an action among keep"),
        ((1, "relabel"), "names the new label"),
        ((1, "keep", 3), "names the new label"),
    ],
)
def test_decisions_check_themselves(fields, message):
    with pytest.raises(UsageError, match=message):
        Decision(*fields)
