import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect

from lsi.cli import main
from lsi.errors import StorageError
from lsi.runs import database
from lsi.runs.decisions import Decision, Reviews
from lsi.runs.trail import COLUMNS, note, trail
from tests.runs.test_decisions import RUN


@pytest.fixture
def reviews(tmp_path):
    """A database in which something was done."""
    found = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")
    note(found, "ann", "started", "fashion", job="abc", settings={"seed": 1})
    found.record(RUN, "bob", [Decision(3, "relabel", 7, given=29), Decision(4, "exclude")])
    assert found.undo(RUN, "bob") == 2
    assert found.redo(RUN, "bob") == 2
    note(found, "ann", "exported", "run", n_kept=9)
    yield found
    found.close()


def test_what_was_done_is_listed_in_order_with_who_and_what(reviews):
    rows = trail(reviews)
    assert rows.columns.tolist() == COLUMNS
    assert list(zip(rows["who"], rows["what"], rows["about"], strict=True)) == [
        ("ann", "started", "fashion"),
        ("bob", "relabel", "data"),
        ("bob", "exclude", "data"),
        ("bob", "undid", "data"),
        ("bob", "redid", "data"),
        ("ann", "exported", "run"),
    ]
    assert json.loads(rows["facts"][0]) == {"job": "abc", "settings": {"seed": 1}}
    assert json.loads(rows["facts"][1]) == {
        "run": "run",
        "sample_id": "s3",
        "content": "hash 3",
        "label_name": "c7",
        "given_name": "c29",
    }
    assert rows["time"].is_monotonic_increasing
    assert str(rows["time"].dt.tz) == "UTC"


@pytest.mark.parametrize("last", [1, 3, 100])
def test_the_latest_are_the_end_of_all(reviews, last):
    pd.testing.assert_frame_equal(trail(reviews, last), trail(reviews)[max(6 - last, 0) :].reset_index(drop=True))


def test_old_decisions_that_are_read_in_are_not_the_latest(reviews):
    about = {"action": "exclude", "label_name": None, "given_name": None, "reviewer": "carl"}
    old = [about | {"sample_id": f"s{i}", "content": f"hash {i}", "time": datetime(2020, 1, i, tzinfo=UTC)}
           for i in (11, 12, 13, 14)]  # fmt: skip
    assert reviews.add("data", old).added == 4
    assert trail(reviews)["who"].tolist() == ["carl"] * 4 + ["ann", "bob", "bob", "bob", "bob", "ann"]
    assert trail(reviews, 4)["what"].tolist() == ["exclude", "undid", "redid", "exported"]


def test_an_undo_that_finds_nothing_is_no_event(reviews):
    assert reviews.undo(RUN, "eve") == 0
    assert "eve" not in set(trail(reviews)["who"])


def test_read_only_writes_nothing_and_reads_all(reviews, tmp_path):
    looking = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}", read_only=True)
    note(looking, "eve", "exported", "run")
    assert len(trail(looking)) == 6
    looking.close()
    nothing = Reviews(f"sqlite:///{tmp_path / 'none.db'}", read_only=True)
    note(nothing, "eve", "exported", "run")
    assert trail(nothing).empty
    assert not (tmp_path / "none.db").exists()


def test_decisions_of_a_version_without_events_are_listed(reviews, tmp_path):
    with reviews.engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.commit()
    assert not inspect(reviews.engine).has_table("events")
    looking = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}", read_only=True)
    assert trail(looking)[["who", "what", "about"]].to_numpy().tolist() == [
        ["bob", "relabel", "run"],
        ["bob", "exclude", "run"],
    ]
    looking.close()


def test_what_cannot_be_written_down_is_an_error(reviews):
    with reviews.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE events")
    with pytest.raises(StorageError, match="no such table"):
        note(reviews, "ann", "deleted", "run")


def test_the_command_prints_and_writes_it(reviews, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LSI_DATABASE_URL", raising=False)
    assert main(["trail", "--cache", str(tmp_path), "--rows", "2"]) == 0
    printed = capsys.readouterr().out
    assert "exported" in printed
    assert "started" not in printed
    assert main(["trail", "--cache", str(tmp_path), "--output", str(tmp_path / "trail.csv")]) == 0
    assert pd.read_csv(tmp_path / "trail.csv")["what"].tolist()[::5] == ["started", "exported"]
    assert main(["trail", "--cache", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.partition("\n")[2])) == 6
