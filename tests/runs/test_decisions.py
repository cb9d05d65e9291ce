import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
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
    inspect,
    make_url,
    select,
    text,
)

from lsi.errors import DataError, StorageError, UsageError
from lsi.runs import database, records
from lsi.runs.database import open_database, storage_errors
from lsi.runs.decisions import Decision, Imported, Reviews
from lsi.runs.records import records_to_add
from lsi.runs.run import Run
from lsi.runs.subject import Subject
from tests.postgresql import programs, serve

STEPS = int(os.environ.get("LSI_TEST_STEPS") or 500)  # of each of two reviewers

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
        connection.exec_driver_sql(
            "DROP TABLE IF EXISTS decisions, decision_changes, dataset_changes, events, remarks, alembic_version"
        )
    engine.dispose()
    return url


@pytest.fixture
def reviews(address) -> Iterator[Reviews]:
    reviews = Reviews(address)
    yield reviews
    reviews.close()


def state(reviews: Reviews, reviewer: str | None = None, about: Subject = RUN) -> dict[int, tuple[str, int | None]]:
    rows = reviews.current(about, reviewer)
    return {
        int(i): (r["action"], None if r["label"] != r["label"] or r["label"] is None else int(r["label"]))
        for i, r in rows.iterrows()
    }


def test_decisions_that_a_run_cannot_show_are_kept_as_records(reviews, address):
    reviews.record(RUN, "ann", [Decision(2, "exclude"), Decision(150, "keep", given=29), Decision(160, "exclude")])
    reviews.record(RUN, "bob", [Decision(3, "relabel", 28), Decision(160, "clear"), Decision(170, "relabel", 4)])
    smaller = subject("later", "data", given=0, classes=5, ids=range(100))
    records = reviews.elsewhere(smaller)
    assert sorted((r["id"], r["action"], r["label_name"], r["given_name"], r["reviewer"]) for r in records) == [
        ("s150", "keep", None, "c29", "ann"),
        ("s170", "relabel", "c4", "c29", "bob"),
        ("s3", "relabel", "c28", "c29", "bob"),
    ]
    assert reviews.elsewhere(RUN) == []
    dataset, added = records_to_add({"dataset": "data", "decisions": records})
    other = Reviews("sqlite://")
    assert other.add(dataset, added).added == 3
    assert state(other) == {3: ("relabel", 28), 150: ("keep", None), 170: ("relabel", 4)}
    other.close()


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


class TwoStacks:
    """What the decisions about one dataset must come to: a stack done and a stack undone for each reviewer."""

    def __init__(self, about: Subject) -> None:
        self.about, self.number = about, 0
        self.done, self.undone = {"ann": [], "bob": []}, {"ann": [], "bob": []}
        self.versions = {}

    def step(self, reviews: Reviews, who: str, step: str, sample: int) -> None:
        """Take one step here and in the database, which must say the same of it."""
        done, undone = self.done[who], self.undone[who]
        if step == "record":
            label = self.number % 29
            reviews.record(self.about, who, [Decision(sample, "relabel", label), Decision(sample + 4, "exclude")])
            done.append((self.number, sample, label))
            undone.clear()
        else:
            source, target = (done, undone) if step == "undo" else (undone, done)
            assert getattr(reviews, step)(self.about, who) == (2 if source else 0)
            target += [source.pop()] if source else []
        self.number += 1

    def compare(self, reviews: Reviews) -> None:
        every = sorted(self.done["ann"] + self.done["bob"])
        for who, batches in {"ann": self.done["ann"], "bob": self.done["bob"], None: every}.items():
            expected = {}
            for _, sample, label in batches:
                expected |= {sample: ("relabel", label), sample + 4: ("exclude", None)}
            assert state(reviews, who, self.about) == expected
        rows = tuple(every)
        assert self.versions.setdefault(reviews.version(self.about), rows) == rows


@settings(max_examples=50, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_any_steps_of_two_reviewers_come_to_what_two_stacks_come_to(steps):
    reviews, model = Reviews("sqlite://"), TwoStacks(subject("run", "data", given=29))
    for step in steps:
        model.step(reviews, *step)
        model.compare(reviews)
    reviews.close()


def test_many_steps_of_two_reviewers_in_many_datasets_come_to_what_two_stacks_come_to(reviews):
    rng = np.random.default_rng(0)
    models = [
        TwoStacks(subject(f"run {i % 7}", f"data {i}", given=29, ids=range(8))) for i in range(max(STEPS // 100, 2))
    ]
    who = rng.permuted(np.repeat(["ann", "bob"], STEPS))
    steps = rng.choice(["record", "undo", "redo"], len(who), p=[0.5, 0.3, 0.2])
    for i, (name, step) in enumerate(zip(who, steps, strict=True)):
        model = models[rng.integers(len(models))]
        model.step(reviews, str(name), str(step), int(rng.integers(4)))
        if i % 25 == 0:
            model.compare(reviews)
    for model in models:
        model.compare(reviews)
    assert reviews.counts() == {
        m.about.dataset: len(state(reviews, None, m.about)) for m in models if any(m.done.values())
    }


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


def test_every_run_on_the_same_data_shows_the_decisions(reviews):
    """Another backbone or seed; a dataset that grew, in another order; a folder of another name is other data."""
    reviews.record(RUN, "ann", [Decision(3, "exclude"), Decision(4, "relabel", 7), Decision(5, "keep", given=29)])
    grown = subject("grown", "data", given=29, ids=range(300, -1, -1))
    assert {300 - i: a for i, a in reviews.current(grown)["action"].items()} == {3: "exclude", 4: "relabel", 5: "keep"}
    assert reviews.current(grown)["label"].dropna().to_dict() == {296: 7}
    assert reviews.current(subject("part", "data", given=29, ids=range(4, 6)))["action"].tolist() == ["relabel", "keep"]
    assert reviews.current(subject("run", "elsewhere", given=29)).empty
    assert reviews.undo(grown, "ann") == 3
    assert state(reviews) == {}


def test_a_sample_whose_content_changed_is_another_sample(reviews):
    reviews.record(RUN, "ann", [Decision(3, "exclude"), Decision(4, "exclude")])
    changed = replace(RUN, contents=["new" if i == 3 else c for i, c in enumerate(RUN.contents)])
    assert reviews.current(changed).index.tolist() == [4]


def test_a_decision_says_what_the_label_is_whatever_label_is_given(reviews):
    """In a second labelling, or once a folder is cleaned, what was kept or chosen may be given or not."""
    reviews.record(RUN, "ann", [Decision(0, "keep", given=29), Decision(1, "relabel", 7, given=29)])
    cleaned = replace(RUN, run="cleaned", given=np.array([29, 7, *RUN.given[2:]]))
    second = replace(RUN, run="second", given=np.array([5, 6, *RUN.given[2:]]))
    assert [(r.action, r.label) for r in reviews.current(cleaned).itertuples()] == [("keep", None), ("keep", None)]
    assert reviews.current(second)[["action", "label"]].values.tolist() == [["relabel", 29], ["relabel", 7]]


def test_a_class_that_a_run_lacks_is_counted_and_its_order_does_not_matter(reviews):
    reviews.record(RUN, "ann", [Decision(0, "relabel", 7), Decision(1, "relabel", 8)])
    other = replace(RUN, class_names=("c8", *(f"c{i}" for i in range(7)), *(f"c{i}" for i in range(9, 30))))
    assert reviews.current(other)["label"].to_dict() == {1: 0}
    assert reviews.n_foreign(other) == 1
    assert reviews.n_foreign(RUN) == 0


def test_rows_of_before_are_about_the_samples_of_their_run_once_it_is_met(address):
    """Two runs on the same data, decided in turn by a version that kept positions; undo goes on in order of time."""
    metadata = older_database(address)
    engine = create_engine(address)
    row = {"batch": 1_790_000_000_000_000_000, "time": datetime.now(UTC), "reviewer": "ann", "run": "second"}
    with engine.begin() as connection:
        values = insert(metadata.tables["decisions"]).values(**row, sample=9, action="relabel", label=3, given=29)
        connection.execute(values.values(undone=False))
    engine.dispose()
    reviews, second = Reviews(address), replace(RUN, run="second")
    assert sorted(state(reviews)) == [0, 1]
    reviews.record(RUN, "bob", [Decision(20, "keep")])
    assert sorted(state(reviews)) == [0, 1, 20]
    reviews.record(second, "bob", [Decision(21, "keep")])
    for about in (RUN, second, replace(RUN, run="third")):
        found = reviews.current(about)
        assert sorted(found.index) == [0, 1, 9, 20, 21]
        assert found.loc[9, ["action", "label"]].tolist() == ["relabel", 3]
    taken = []
    for _ in range(3):
        before = set(reviews.current(RUN).index)
        assert reviews.undo(RUN, "ann") == 1
        taken += before - set(reviews.current(RUN).index)
    assert taken == [9, 1, 0]
    reviews.close()


def test_there_is_a_way_back_to_the_version_before_and_forth_again(address):
    reviews = Reviews(address)
    reviews.record(RUN, "ann", [Decision(3, "relabel", 7), Decision(4, "exclude")])
    for revision in ("0001", "head"):
        with reviews.engine.connect() as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            move = command.downgrade if revision == "0001" else command.upgrade
            move(config, revision)
            connection.commit()
        names = {column["name"] for column in inspect(reviews.engine).get_columns("decisions")}
        assert ("dataset" in names) == (revision == "head")
        assert state(reviews) == {3: ("relabel", 7), 4: ("exclude", None)}
    reviews.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(address):
    Reviews(address).close()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StorageError, match="newer version"):
        Reviews(address)


def test_a_migration_that_cannot_run_is_not_taken_for_a_newer_database(address, tmp_path, monkeypatch):
    Reviews(address).close()
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0003'"))
    engine.dispose()
    monkeypatch.setattr(database, "_MIGRATIONS", tmp_path / "none")
    with pytest.raises(StorageError, match=r"revision 0003 to 0005: Path doesn't exist"):
        Reviews(address)


def test_decisions_made_elsewhere_are_added_once_and_never_over_later_ones(reviews):
    reviews.record(RUN, "ann", [Decision(3, "exclude")])
    when, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)

    def record(sample: int, time: datetime, **about) -> dict:
        return {"sample_id": f"s{sample}", "content": f"hash {sample}", "action": "keep", "label_name": None,
                "given_name": "c29", "reviewer": "eve", "time": time} | about  # fmt: skip

    records = [record(3, when), record(5, when), record(6, later, action="relabel", label_name="c2")]
    assert reviews.add("data", records) == Imported(2, 0, 1)
    assert reviews.add("data", records) == Imported(0, 2, 1)
    assert state(reviews) == {3: ("exclude", None), 5: ("keep", None), 6: ("relabel", 2)}
    assert reviews.undo(RUN, "eve") == 2
    assert state(reviews) == {3: ("exclude", None)}


def test_two_programs_may_bring_a_database_up_to_date_at_once(address):
    older_database(address)
    with ThreadPoolExecutor(4) as pool:
        for reviews in list(pool.map(Reviews, [address] * 4)):
            assert len(reviews.history(RUN)) == 3
            reviews.close()


def test_a_database_that_cannot_be_written_names_the_way_to_read_it():
    with pytest.raises(StorageError, match="LSI_READ_ONLY=1 only reads it"), storage_errors(make_url("sqlite:///x.db")):
        raise sqlite3.OperationalError("attempt to write a readonly database")


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


def test_read_only_an_older_database_is_read_anew_once_another_program_has_migrated_it(address):
    older_database(address)
    reader = Reviews(address, read_only=True)
    assert reader.version(RUN) == (3, 1)
    writer = Reviews(address)
    writer.record(RUN, "ann", [Decision(4, "exclude")])
    assert reader.version(RUN) == writer.version(RUN) != (3, 1)
    assert state(reader) == state(writer)
    for one in (reader, writer):
        one.close()


def test_a_version_is_asked_for_in_one_statement(reviews):
    asked = []
    reviews.record(RUN, "ann", [Decision(4, "exclude")])
    reviews.version(RUN)
    event.listen(reviews.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    reviews.version(RUN)
    assert len([statement for statement in asked if "decisions" in statement]) == len(asked) == 1


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


def test_read_only_a_folder_that_cannot_be_written_shows_what_is_decided_meanwhile_elsewhere(tmp_path, monkeypatch):
    """SQLite reads there only a file that never changes, and another program may have the folder under another path."""
    address = f"sqlite:///{tmp_path / 'r.db'}"
    writer = Reviews(address)
    writer.record(RUN, "ann", [Decision(3, "exclude")])
    writer.close()
    monkeypatch.setattr(database, "access", lambda path, mode: False)  # root may write anywhere
    reader = Reviews(address, read_only=True)
    before = reader.version(RUN)
    assert sorted(state(reader)) == [3]
    writer = Reviews(address)
    writer.record(RUN, "ann", [Decision(4, "exclude")])
    assert sorted(state(reader)) == [3, 4]  # of the journal
    assert reader.version(RUN) == writer.version(RUN) != before
    reader.close()  # whoever leaves last brings the journal into the file
    writer.record(RUN, "ann", [Decision(5, "exclude")])
    writer.close()
    assert sorted(state(reader)) == [3, 4, 5]
    writer = Reviews(address)
    writer.record(RUN, "ann", [Decision(6, "exclude")])
    writer.close()
    assert sorted(state(reader)) == [3, 4, 5, 6]
    reader.close()


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


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (Decision(-1, "keep"), "a sample 0 … 199, got -1"),
        (Decision(200, "exclude"), "a sample 0 … 199, got 200"),
        (Decision(0, "relabel", -1), "a class 0 … 29, got -1"),
        (Decision(0, "relabel", 30), "a class 0 … 29, got 30"),
    ],
)
def test_no_decision_is_recorded_about_another_sample_than_asked(reviews, decision, message):
    with pytest.raises(UsageError, match=message):
        reviews.record(RUN, "ann", [Decision(3, "keep"), decision])
    assert reviews.history(RUN).empty


def test_a_keep_of_the_sample_leaves_what_was_said_of_its_label(reviews):
    reviews.record(RUN, "ann", [Decision(1, "relabel", 4), Decision(2, "keep"), Decision(3, "exclude")])
    reviews.record(RUN, "bob", [Decision(i, "keep", is_of_label=False) for i in (1, 2, 3, 4)])
    found = reviews.current(RUN)
    assert found["action"].to_dict() == {1: "relabel", 2: "keep", 3: "keep", 4: "keep"}
    assert found["is_of_label"].to_dict() == {1: True, 2: True, 3: False, 4: False}


def test_what_is_said_of_other_labels_leaves_what_was_said_of_these(reviews):
    """Two columns of labels of one table are two questions about the same samples."""
    other = replace(RUN, run="other column", class_names=("yes", "no"), given=np.zeros(200, dtype=int))
    reviews.record(RUN, "ann", [Decision(1, "relabel", 4), Decision(2, "keep"), Decision(3, "exclude")])
    reviews.record(other, "bob", [Decision(1, "keep"), Decision(2, "relabel", 1), Decision(3, "keep")])
    assert reviews.current(RUN)["action"].to_dict() == {1: "relabel", 2: "keep"}, "3 was taken back"
    assert reviews.current(other)["action"].to_dict() == {1: "keep", 2: "relabel", 3: "keep"}
    assert reviews.disagreements(RUN) == [3]
    assert reviews.n_foreign(RUN) == 3
    reviews.record(other, "bob", [Decision(1, "unsure")])
    assert reviews.current(RUN)["action"].to_dict() == {1: "relabel", 2: "keep"}
    reviews.record(RUN, "ann", [Decision(2, "relabel", 7)])
    lacks = replace(RUN, class_names=tuple("gone" if c == "c7" else c for c in RUN.class_names))
    assert reviews.current(lacks)["action"].to_dict() == {1: "relabel"}, "a class that is gone since is of this column"


def test_what_is_said_of_another_column_of_the_same_classes_is_not_said_of_this_one(reviews):
    """A table that asks whether a face smiles, and whether it is old, answers both with yes or no."""
    smiles = replace(RUN, class_names=("yes", "no"), given=np.zeros(200, dtype=int), label_column="smiles",
                     beside=frozenset({"old"}))  # fmt: skip
    old = replace(smiles, run="old", given=np.ones(200, dtype=int), label_column="old", beside=frozenset({"smiles"}))
    said = [Decision(1, "keep"), Decision(2, "relabel", 1), Decision(3, "exclude"), Decision(4, "unsure")]
    reviews.record(smiles, "ann", [*said, Decision(5, "keep", is_of_label=False)])
    decided = {1: "keep", 2: "relabel", 3: "exclude", 4: "unsure", 5: "keep"}
    assert reviews.current(smiles)["action"].to_dict() == decided
    assert reviews.current(old)["action"].to_dict() == {3: "exclude", 5: "keep"}
    reviews.record(old, "bob", [Decision(1, "relabel", 0), Decision(2, "keep")])
    assert reviews.current(smiles)["action"].to_dict()[1] == "keep"
    assert reviews.disagreements(smiles) == reviews.disagreements(old) == []
    assert reviews.n_foreign(old) == 1
    renamed = replace(smiles, label_column="smiling")  # no other column of the data: the old name of this one
    assert reviews.current(renamed)["action"].to_dict()[1] == "keep"
    assert reviews.current(replace(renamed, given=old.given))["action"].to_dict()[1] == "relabel"

    written = records.decision_records(smiles, reviews.current(smiles))
    with pytest.raises(DataError, match="decided about the column 'smiles'; here 'old' is looked at"):
        records.in_force(old, written)
    others = reviews.elsewhere(old)
    assert sorted((r["id"], r["action"], r["label_column"]) for r in others) == [
        ("s1", "keep", "smiles"), ("s2", "relabel", "smiles"), ("s4", "unsure", "smiles")
    ]  # fmt: skip
    file = {"dataset": "other data", "decisions": [*written, *others]}
    dataset, added = records_to_add(file)
    reviews.add(dataset, added)
    there = replace(old, dataset="other data")
    assert reviews.current(there)["action"].to_dict() == {3: "exclude", 5: "keep"}
    assert len(reviews.current(replace(smiles, dataset="other data"))) == 5


def test_a_target_that_was_confirmed_says_nothing_of_another_target(reviews):
    weight = replace(RUN, class_names=(), given=None, label_column="weight", beside=frozenset({"height"}))
    height = replace(weight, run="height", label_column="height", beside=frozenset({"weight"}))
    reviews.record(weight, "ann", [Decision(1, "keep", given=0), Decision(2, "exclude", given=0)])
    assert reviews.current(weight)["is_of_label"].to_dict() == {1: True, 2: True}
    assert reviews.current(height)["action"].to_dict() == {2: "exclude"}
    written = records.decision_records(weight, reviews.current(weight))
    with pytest.raises(DataError, match="'weight'"):
        records.in_force(height, written)


def test_an_exclusion_of_the_sample_leaves_whatever_was_said_of_its_label(reviews):
    reviews.record(RUN, "ann", [Decision(1, "relabel", 4), Decision(2, "keep")])
    reviews.record(
        RUN, "bob", [Decision(i, "exclude", is_of_label=False) for i in (1, 2, 3)] + [Decision(4, "exclude")]
    )
    found = reviews.current(RUN)
    assert found["action"].to_dict() == dict.fromkeys((1, 2, 3, 4), "exclude")
    assert found["is_of_label"].to_dict() == {1: False, 2: False, 3: False, 4: True}
    read_back = records.in_force(RUN, records.decision_records(RUN, found))
    assert read_back["is_of_label"].to_dict() == {1: False, 2: False, 3: False, 4: True}
    assert reviews.disagreements(RUN) == [1, 2]
    assert reviews.n_foreign(subject("later", "data", given=0, classes=3)) == 0


def test_a_keep_of_the_sample_disputes_no_label_and_loses_none_on_the_way(reviews):
    reviews.record(RUN, "ann", [Decision(i, "relabel", 4) for i in (1, 2, 3)] + [Decision(5, "exclude")])
    reviews.record(RUN, "bob", [Decision(i, "keep", is_of_label=False) for i in (1, 5)] + [Decision(2, "keep")])
    reviews.record(RUN, "ann", [Decision(3, "keep", is_of_label=False)])
    reviews.record(RUN, "bob", [Decision(3, "keep")])
    assert reviews.disagreements(RUN) == [2, 3, 5]
    without = subject("later", "data", given=0, classes=3, ids=range(100))
    records = {r["id"]: (r["action"], r["label_name"]) for r in reviews.elsewhere(without)}
    assert records["s1"] == ("relabel", "c4")
    assert reviews.n_foreign(without) == 3  # 1, and what was kept as a class that is not there


def test_undo_takes_back_what_was_decided_about_the_data_on_screen(reviews):
    """Two folders called train are one dataset to the database, and the samples tell them apart."""
    cats = subject("cats", "train", ids=range(50))
    dogs = Subject("dogs", "train", [f"d{i}" for i in range(50)], [f"x{i}" for i in range(50)])
    reviews.record(cats, "ann", [Decision(i, "exclude") for i in range(10)])
    reviews.record(dogs, "ann", [Decision(3, "keep")])
    assert [reviews.undo(dogs, "ann") for _ in range(2)] == [1, 0]
    assert len(reviews.current(cats)) == 10
    assert reviews.undo(cats, "ann") == 10
    reviews.record(dogs, "ann", [Decision(4, "exclude")])  # ends redo of dogs alone
    assert reviews.redo(dogs, "ann") == 0
    assert reviews.redo(cats, "ann") == 10


def test_only_what_came_later_takes_back_what_a_run_started_from(reviews, tmp_path):
    """A colleague's file excludes 1 to 4; what ann had said of 1 before the file was made says nothing of it."""
    early, of_file = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    shared = {"action": "exclude", "label": None, "label_name": None, "given_name": None}
    records = [{"id": f"s{i}", "content": f"hash {i}", "reviewer": "carl", "time": str(of_file), "index": i} | shared
               for i in range(1, 5)]  # fmt: skip
    to_add = {"sample_id": "s1", "content": "hash 1", "reviewer": "ann", "time": early} | shared | {"action": "keep"}
    reviews.add("data", [to_add])
    child = Run(tmp_path / "child").with_decided_before(records)
    vars(child)["subject"] = subject("child", "data", given=29, ids=range(5, 100))
    assert reviews.as_it_stands(child).decided_before == records
    reviews.record(RUN, "ann", [Decision(2, "clear"), Decision(3, "keep")])
    standing = reviews.as_it_stands(child).decided_before
    assert [(r["id"], r["action"]) for r in standing] == [("s1", "exclude"), ("s3", "keep"), ("s4", "exclude")]
    assert [r["index"] for r in standing] == [1, 3, 4]


def from_carl(*decisions: tuple[int, str, str | None], time: datetime) -> list[dict]:
    """Return records of a file of a colleague: number of the sample, action, and new class."""
    return [{"id": f"s{i}", "content": f"hash {i}", "action": action, "label": None, "label_name": name,
             "given_name": "c29", "reviewer": "carl", "time": str(time), "index": i}
            for i, action, name in decisions]  # fmt: skip


def test_what_was_undone_or_says_nothing_of_the_label_takes_nothing_of_a_file_away(reviews, tmp_path):
    """The file was never read in; of sample 3 there is a keep as no duplicate, and 1 was excluded by mistake."""
    stated = [(i, "relabel", "c4") for i in (1, 3, 4)]
    records = from_carl(*stated, (2, "exclude", None), (5, "keep", None), time=datetime(2026, 2, 1, tzinfo=UTC))
    child = Run(tmp_path / "child").with_decided_before(records)
    vars(child)["subject"] = subject("child", "data", given=29)
    reviews.record(RUN, "ann", [Decision(1, "exclude")])
    assert reviews.undo(RUN, "ann") == 1
    reviews.record(RUN, "ann", [Decision(i, "keep", is_of_label=False) for i in (2, 3, 5)])
    reviews.record(RUN, "ann", [Decision(4, "keep")])
    standing = {r["id"]: r for r in reviews.as_it_stands(child).decided_before}
    for record in (records[0], records[1], records[4]):
        assert standing[record["id"]] == record
    assert standing.get("s2", {}).get("action") != "exclude", "a keep of the sample brings it back"
    assert standing.get("s4", {}).get("action") != "relabel"


def test_a_keep_of_the_sample_makes_no_label_of_a_file_older(reviews):
    early = datetime(2026, 2, 1, tzinfo=UTC)
    reviews.record(RUN, "ann", [Decision(i, "keep", is_of_label=False) for i in (1, 2)] + [Decision(3, "keep")])
    records = from_carl((1, "relabel", "c4"), (2, "exclude", None), (3, "relabel", "c4"), time=early)
    dataset, added = records_to_add({"dataset": "data", "decisions": records})
    assert reviews.add(dataset, added) == Imported(1, 0, 2)
    assert state(reviews) == {1: ("relabel", 4), 2: ("keep", None), 3: ("keep", None)}
    assert reviews.add(dataset, added) == Imported(0, 1, 2)


@pytest.mark.parametrize(("is_shared", "mode"), [(False, "wal"), (True, "delete")])
def test_a_file_of_decisions_on_another_machine_needs_no_memory_that_programs_share(
    tmp_path, monkeypatch, is_shared, mode
):
    monkeypatch.setattr("lsi.runs.database.on_network", lambda path: is_shared and path == tmp_path / "reviews.db")
    engine = open_database(f"sqlite:///{tmp_path / 'reviews.db'}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == mode
    engine.dispose()


def test_decisions_under_numbers_of_rows_hold_once_the_samples_have_names(reviews):
    contents = [f"x{i}" for i in range(4)]
    numbered = Subject("old", "pets", [f"{i:06d}" for i in range(4)], contents)
    reviews.record(numbered, "ann", [Decision(1, "exclude"), Decision(2, "exclude")])
    named = Subject("new", "pets", ["d.png", "c.png", "b.png"], ["x3", "x2", "other"], index=np.array([3, 2, 1]))
    assert reviews.current(named).index.tolist() == [1]
    assert named.find(["000003", "000001", "000009"], ["x3", "x1", "x9"]).tolist() == [0, -1, -1]
