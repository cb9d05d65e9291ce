import json
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from lsi.errors import DataError, UsageError
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.records import records_to_add, remark_records, remarks_in, texts_by_sample
from lsi.runs.remarks import add_remark, add_rows, remarks, remarks_elsewhere, remove_note, remove_tag, rows_of
from lsi.runs.trail import trail
from tests.runs.test_decisions import RUN


@pytest.fixture
def reviews(tmp_path):
    found = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")
    yield found
    found.close()


def said(reviews, about=RUN) -> list[tuple]:
    return list(remarks(reviews, about)[["sample", "kind", "text", "reviewer"]].itertuples(index=False, name=None))


def test_a_tag_is_on_a_sample_or_not_and_notes_add_up(reviews):
    assert add_remark(reviews, RUN, "ann", [3, 4, 3], "tag", " blurry ") == 2
    assert add_remark(reviews, RUN, "bob", [4, 5], "tag", "blurry") == 1, "4 has it already, whoever put it there"
    assert add_remark(reviews, RUN, "ann", [3], "note", "Ask the clinic.\nTwice.") == 1
    assert add_remark(reviews, RUN, "bob", [3], "note", "Asked.") == 1
    assert said(reviews) == [
        (3, "tag", "blurry", "ann"),
        (4, "tag", "blurry", "ann"),
        (5, "tag", "blurry", "bob"),
        (3, "note", "Ask the clinic.\nTwice.", "ann"),
        (3, "note", "Asked.", "bob"),
    ]


def test_what_is_taken_away_is_gone_and_can_be_said_again(reviews):
    add_remark(reviews, RUN, "ann", [3, 4], "tag", "blurry")
    add_remark(reviews, RUN, "ann", [3], "note", "blurry")
    assert remove_tag(reviews, RUN, "bob", [4, 5], "blurry") == 1
    assert remove_tag(reviews, RUN, "bob", [4], "blurry") == 0
    number = int(remarks(reviews, RUN).query("kind == 'note'")["id"].iloc[0])
    assert remove_note(reviews, RUN, "bob", number) == 1
    assert remove_note(reviews, RUN, "bob", number) == 0
    assert said(reviews) == [(3, "tag", "blurry", "ann")]
    assert add_remark(reviews, RUN, "bob", [4], "tag", "blurry") == 1
    assert list(trail(reviews)["what"]) == ["tagged", "noted", "removed", "removed", "tagged"]


def test_every_run_on_the_same_data_shows_them_and_no_other(reviews):
    add_remark(reviews, RUN, "ann", [3, 4], "tag", "blurry")
    turned = replace(RUN, run="other", ids=list(RUN.ids)[::-1], contents=list(RUN.contents)[::-1])
    n = len(RUN.ids)
    assert [row[0] for row in said(reviews, turned)] == [n - 4, n - 5]
    changed = replace(RUN, contents=["another picture" if i == 3 else c for i, c in enumerate(RUN.contents)])
    assert [row[0] for row in said(reviews, changed)] == [4]
    assert [record["id"] for record in remarks_elsewhere(reviews, changed)] == ["s3"]
    assert said(reviews, replace(RUN, dataset="elsewhere")) == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [("tag", ""), ("tag", "  "), ("tag", "two\nlines"), ("tag", "x" * 61), ("note", "\n"), ("note", "x" * 2001),
     ("note", "\ud800"), ("tag", "a\0b")],
)  # fmt: skip
def test_texts_that_no_database_keeps_are_refused(reviews, kind, text):
    with pytest.raises(UsageError, match="Expected"):
        add_remark(reviews, RUN, "ann", [0], kind, text)
    assert said(reviews) == []


def test_samples_that_are_not_there_are_refused(reviews):
    with pytest.raises(UsageError, match="Expected samples 0"):
        add_remark(reviews, RUN, "ann", [0, len(RUN.ids)], "tag", "blurry")


def test_each_remark_changes_the_version_that_pages_look_at(reviews):
    versions = [reviews.version(RUN)]
    for act in (
        lambda: add_remark(reviews, RUN, "ann", [3], "tag", "blurry"),
        lambda: remove_tag(reviews, RUN, "ann", [3], "blurry"),
        lambda: add_remark(reviews, RUN, "ann", [3], "note", "see"),
    ):
        act()
        versions.append(reviews.version(RUN))
    assert len(set(versions)) == 4
    assert len(reviews.current(RUN)) == 0, "what people say is no decision"


def test_read_only_says_nothing_and_shows_all(reviews, tmp_path):
    add_remark(reviews, RUN, "ann", [3], "tag", "blurry")
    guest = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}", read_only=True)
    assert said(guest) == [(3, "tag", "blurry", "ann")]
    with pytest.raises(UsageError, match="read-only"):
        add_remark(guest, RUN, "eve", [3], "tag", "mine")
    guest.close()
    assert said(Reviews(f"sqlite:///{tmp_path / 'none.db'}", read_only=True)) == []


def test_records_go_to_another_database_once(reviews, tmp_path):
    add_remark(reviews, RUN, "ann", [3, 4], "tag", "blurry")
    add_remark(reviews, RUN, "bob", [4], "note", "Ask.")
    records = remark_records(RUN, remarks(reviews, RUN))
    content = json.loads(json.dumps({"decisions": [], "remarks": records}))
    other = Reviews(f"sqlite:///{tmp_path / 'other.db'}")
    add_remark(other, RUN, "eve", [3], "tag", "blurry")
    assert add_rows(other, RUN.dataset, rows_of(remarks_in(content))) == 2, "3 has the tag already"
    assert add_rows(other, RUN.dataset, rows_of(remarks_in(content))) == 0
    assert said(other) == [(3, "tag", "blurry", "eve"), (4, "tag", "blurry", "ann"), (4, "note", "Ask.", "bob")]
    pd.testing.assert_series_equal(remarks(other, RUN)["time"].tail(1), remarks(reviews, RUN)["time"].tail(1))
    assert texts_by_sample(RUN, records, "tag")[2:6] == [None, ["blurry"], ["blurry"], None]
    other.close()


def test_what_was_taken_away_does_not_come_back_from_a_file(reviews):
    add_remark(reviews, RUN, "ann", [3], "tag", "blurry")
    add_remark(reviews, RUN, "ann", [3], "note", "Ask.")
    rows = rows_of(json.loads(json.dumps(remark_records(RUN, remarks(reviews, RUN)))))
    remove_tag(reviews, RUN, "bob", [3], "blurry")
    remove_note(reviews, RUN, "bob", int(remarks(reviews, RUN)["id"].iloc[0]))
    assert add_rows(reviews, RUN.dataset, rows) == 0
    later = [row | {"time": row["time"] + timedelta(seconds=1)} for row in rows]
    assert add_rows(reviews, RUN.dataset, later) == 2, "said again since"


def test_remarks_without_decisions_follow_samples_under_another_name_of_their_folder(reviews):
    add_remark(reviews, RUN, "ann", [3], "tag", "blurry")
    content = {"dataset": "old name", "decisions": [], "remarks": remark_records(RUN, remarks(reviews, RUN))}
    assert records_to_add(content, RUN) == ("data", [])
    assert records_to_add(content, replace(RUN, ids=["other"], contents=["x"], given=None))[0] == "old name"
    assert records_to_add(content)[0] == "old name"


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "shout"}, {"text": None}, {"id": 3}, {"content": None}],
)
def test_records_that_are_no_remarks_are_refused(reviews, wrong):
    add_remark(reviews, RUN, "ann", [3], "tag", "blurry")
    record = remark_records(RUN, remarks(reviews, RUN))[0] | wrong
    with pytest.raises(DataError, match="expected a tag or a note"):
        remarks_in({"remarks": [record]})
    with pytest.raises(DataError, match="Expected a list"):
        remarks_in({"remarks": record})


@pytest.mark.parametrize("wrong", [{"text": " "}, {"text": "x" * 61}, {"reviewer": "x" * 101}])
def test_texts_from_elsewhere_are_refused_before_anything_is_added(wrong):
    record = {"id": "s3", "content": "hash 3", "kind": "tag", "text": "blurry", "reviewer": "ann"} | wrong
    with pytest.raises(UsageError, match="Expected"):
        rows_of(remarks_in({"remarks": [record]}))


def test_a_batch_that_is_undone_leaves_what_was_said(reviews):
    reviews.record(RUN, "ann", [Decision(3, "exclude")])
    add_remark(reviews, RUN, "ann", [3], "tag", "blurry")
    assert reviews.undo(RUN, "ann") == 1
    assert len(said(reviews)) == 1
