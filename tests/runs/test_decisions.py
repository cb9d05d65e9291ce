import threading
from collections.abc import Iterator

import pytest

from lsi.errors import UsageError
from lsi.runs.decisions import Decision, Reviews
from tests.postgresql import programs, serve

pytestmark = pytest.mark.xdist_group("reviews")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    where = programs()
    if where is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    with serve(where) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def reviews(request, tmp_path) -> Iterator[Reviews]:
    if request.param == "sqlite":
        found = Reviews(f"sqlite:///{tmp_path / 'r.db'}")
    else:
        found = Reviews(request.getfixturevalue("postgresql"))
        with found.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM decisions")
    yield found
    found.engine.dispose()


def state(reviews: Reviews, reviewer: str | None = None) -> dict[int, tuple[str, int | None]]:
    rows = reviews.current("run", reviewer)
    return {
        int(i): (r["action"], None if r["label"] != r["label"] or r["label"] is None else int(r["label"]))
        for i, r in rows.iterrows()
    }


def test_the_latest_decision_counts(reviews):
    assert state(reviews) == {}
    reviews.record("run", "ann", [Decision(3, "exclude"), Decision(4, "keep")])
    reviews.record("run", "ann", [Decision(3, "relabel", 7, given=1, suggested=7, score=0.01)])
    reviews.record("other", "ann", [Decision(9, "keep")])
    assert state(reviews) == {3: ("relabel", 7), 4: ("keep", None)}
    reviews.record("run", "ann", [Decision(4, "clear")])
    assert state(reviews) == {3: ("relabel", 7)}
    assert len(reviews.history("run")) == 4


def test_undo_and_redo_go_batch_by_batch(reviews):
    reviews.record("run", "ann", [Decision(1, "keep")])
    reviews.record("run", "ann", [Decision(1, "exclude"), Decision(2, "exclude")])
    assert reviews.undo("run", "ann") == 2
    assert state(reviews) == {1: ("keep", None)}
    assert reviews.undo("run", "ann") == 1
    assert reviews.undo("run", "ann") == 0
    assert state(reviews) == {}
    assert [reviews.redo("run", "ann") for _ in range(3)] == [1, 2, 0]
    assert state(reviews) == {1: ("exclude", None), 2: ("exclude", None)}


def test_a_new_decision_ends_redo(reviews):
    reviews.record("run", "ann", [Decision(1, "keep")])
    reviews.undo("run", "ann")
    reviews.record("run", "ann", [Decision(2, "keep")])
    assert reviews.redo("run", "ann") == 0
    assert state(reviews) == {2: ("keep", None)}


def test_reviewers_do_not_undo_each_other_and_disagreements_show(reviews):
    reviews.record("run", "ann", [Decision(1, "keep"), Decision(2, "keep")])
    reviews.record("run", "bob", [Decision(1, "exclude"), Decision(2, "keep")])
    assert reviews.disagreements("run") == [1]
    assert reviews.current("run")["disputed"].to_dict() == {1: True, 2: False}
    assert state(reviews, "ann") == {1: ("keep", None), 2: ("keep", None)}
    reviews.undo("run", "bob")
    assert state(reviews) == {1: ("keep", None), 2: ("keep", None)}
    assert reviews.disagreements("run") == []


def test_version_changes_with_every_change(reviews):
    seen = [reviews.version("run")]
    reviews.record("run", "ann", [Decision(1, "keep")])
    seen.append(reviews.version("run"))
    reviews.undo("run", "ann")
    seen.append(reviews.version("run"))
    assert len(set(seen)) == 3


def test_two_threads_lose_nothing(reviews):
    def work(name: str) -> None:
        for i in range(20):
            reviews.record("run", name, [Decision(i, "keep")])

    threads = [threading.Thread(target=work, args=(n,)) for n in ("ann", "bob")]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(reviews.history("run")) == 40


def test_decisions_survive_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path / 'r.db'}"
    Reviews(url).record("run", "ann", [Decision(1, "keep")])
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
