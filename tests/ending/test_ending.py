"""Whatever ends a process, everything that was finished is there, and going on comes to the same bytes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, text

from tests.cases import image_files
from tests.ending.scenario import BATCHES

KILLS = int(os.environ.get("LSI_TEST_KILLS") or 10)
FULL = int(os.environ.get("LSI_TEST_FULL_DISKS") or 3)
_VARIES = re.compile(
    rb'\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*([+]\d\d:\d\d|Z)?|"(blake2b|checksum|size|seconds)": [^\n]*'
)

pytestmark = pytest.mark.xdist_group("ending")


class Processes:
    """Does everything in processes that end when they are told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        image_files(folder / "data", ("cat", "dog", "cow"), 60)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.ending.scenario"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.writes = self.everything()["writes"]
        self.reference = self.files()

    def everything(self, at: int = 0, fault: str = "kill") -> dict[str, Any]:
        """Do everything that is not done yet; say how the process ended, what it said, and how often it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"folder": str(self.folder), "at": at, "fault": fault}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        said = answer["said"]
        writes = int(said.pop().split()[1]) if said and said[-1].startswith("writes ") else None
        return {"code": answer["code"], "said": said, "writes": writes}

    def start_anew(self) -> None:
        """Take away everything that was made."""
        for name in ("cache", "out"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def files(self) -> dict[str, bytes]:
        """Return every file by its path, without locks and database, with times and durations left out."""
        found = {}
        for root in ("cache", "out"):
            for path in sorted((self.folder / root).rglob("*")):
                if path.is_file() and "locks" not in path.parts and not path.name.startswith("reviews.db"):
                    found[str(path.relative_to(self.folder))] = _same(path)
        return found

    def decisions(self) -> list[tuple]:
        """Return the decisions in the database, without their times."""
        path = self.folder / "cache" / "reviews.db"
        if not path.is_file():
            return []
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            tables = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
            query = text("SELECT batch, sample, action, label, reviewer, undone FROM decisions ORDER BY id")
            rows = [tuple(row) for row in connection.execute(query)] if "decisions" in tables else []
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        engine.dispose()
        return rows

    def an_hour_passes(self) -> None:
        """Make what lies in the exported folder older: an export leaves alone what another may be writing now."""
        for path in (self.folder / "out").glob(".*.tmp"):
            os.utime(path, (time.time() - 4000, time.time() - 4000))

    def close(self) -> None:
        """End the process that starts them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait() == 0


def _same(path: Path) -> bytes:
    """Return a file's content without what differs between two runs of the same: times, and checksums of these."""
    content = path.read_bytes()
    if path.suffix in (".json", ".csv", ".html"):
        content = _VARIES.sub(b"", content)
        if path.name == "manifest.json":
            facts = json.loads(path.read_bytes())
            content = json.dumps({k: v for k, v in facts.items() if k not in ("seconds", "created")}).encode()
    return content


@pytest.fixture(scope="module")
def processes(tmp_path_factory) -> Iterator[Processes]:
    found = Processes(tmp_path_factory.mktemp("ending"))
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _anew(processes):
    processes.start_anew()


def spread(count: int, writes: int) -> list[int]:
    """Return this many of the numbers 1 … writes, evenly spread, both ends among them."""
    return sorted({round(at) for at in np.linspace(1, writes, count)})


def same_as_without_an_end(processes: Processes) -> None:
    files = processes.files()
    assert [name for name in files if name not in processes.reference] == []
    assert [name for name in processes.reference if name not in files] == []
    assert [name for name, content in files.items() if content != processes.reference[name]] == []
    rows = [(i + 1, d.sample, d.action, d.label, "ann", 0) for i, batch in enumerate(BATCHES) for d in batch]
    assert processes.decisions() == rows


def kept(processes: Processes, said: list[str]) -> None:
    """See that every batch that was acknowledged is in the database whole, and at most one more, whole too."""
    rows = processes.decisions()
    batches = [[row[1] for row in rows if row[0] == number + 1] for number in range(len(BATCHES))]
    expected = [[d.sample for d in batch] for batch in BATCHES]
    acknowledged = sum(word.startswith("batch") for word in said)
    assert batches[:acknowledged] == expected[:acknowledged]
    more = [batch for batch in batches[acknowledged:] if batch]
    assert more in ([], expected[acknowledged : acknowledged + 1])


def test_twice_the_same_comes_to_the_same_bytes(processes):
    assert processes.everything()["code"] == 0
    same_as_without_an_end(processes)


@pytest.mark.timeout(7200)
def test_killed_at_any_write_nothing_is_lost_and_going_on_comes_to_the_same_bytes(processes):
    for at in spread(KILLS, processes.writes):
        processes.start_anew()
        ended = processes.everything(at)
        assert ended["code"] == -9, at
        kept(processes, ended["said"])
        processes.an_hour_passes()
        again = processes.everything()
        assert again["code"] == 0, (at, again)
        same_as_without_an_end(processes)


@pytest.mark.timeout(7200)
def test_a_disk_that_is_full_is_one_sentence_and_going_on_comes_to_the_same_bytes(processes):
    for at in spread(FULL, processes.writes):
        processes.start_anew()
        ended = processes.everything(at, "full")
        assert ended["code"] == 1, at
        assert ended["said"][-1].startswith("sentence: "), (at, ended["said"])
        kept(processes, ended["said"])
        processes.an_hour_passes()
        again = processes.everything()
        assert again["code"] == 0, (at, again)
        same_as_without_an_end(processes)
