"""Jobs: `python -m lsi compute` in a process of its own, followed through a file.

A job is a folder `cache/jobs/<key>` with `job.json` (settings, process), `progress.json` and `log.txt`. Whoever looks
reads these; nothing hangs on the process that started it. The same settings are the same job.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lsi.config import CACHE_VARIABLE, Settings
from lsi.files import read_json, write_json
from lsi.hashing import key

KIND = "jobs"
JOB, PROGRESS, LOG = "job.json", "progress.json", "log.txt"
LOG_LINES = 12
_CANCEL_SECONDS = 3.0


@dataclass(frozen=True)
class Job:
    """One job's folder; every property reads it anew."""

    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        """What was started, and by which process."""
        return read_json(self.folder / JOB) or {}

    @property
    def progress(self) -> dict[str, Any]:
        """The last report: stage, done, total, unit, rate a second, seconds left; at the end `run`."""
        return read_json(self.folder / PROGRESS) or {}

    @property
    def settings(self) -> Settings:
        """The settings that it computes."""
        return Settings.from_dict(self.facts["settings"])

    @property
    def state(self) -> str:
        """Running, done, cancelled or failed; a process that vanished has failed."""
        facts, progress = self.facts, self.progress
        if progress.get("run"):
            return "done"
        if facts.get("cancelled"):
            return "cancelled"
        return "running" if self.alive else "failed"

    @property
    def alive(self) -> bool:
        """Whether its process runs; a job that is done may still compute the 2-D view."""
        facts = self.facts
        return _alive(facts.get("pid"), facts.get("process_start"))

    @property
    def run_name(self) -> str | None:
        """The name of the finished run."""
        return self.progress.get("run")

    def log_tail(self, lines: int = LOG_LINES) -> list[str]:
        """Return the last lines of the log."""
        path = self.folder / LOG
        if not path.exists():
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]

    def cancel(self) -> None:
        """End the process; what it finished stays in the cache."""
        facts = self.facts
        if self.state != "running":
            return
        write_json(self.folder / JOB, facts | {"cancelled": True})
        _signal(facts["pid"], signal.SIGTERM)
        deadline = time.monotonic() + _CANCEL_SECONDS
        while _alive(facts["pid"], facts["process_start"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _alive(facts["pid"], facts["process_start"]):
            _signal(facts["pid"], signal.SIGKILL)


def start(settings: Settings, cache: Path, project: bool = True) -> Job:
    """Start a job, or return the one that already runs or has finished with these settings."""
    job = Job(cache / KIND / key(settings=settings.to_dict()))
    job.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(job.folder / "lock"):
        if job.facts and job.state == "running":
            return job
        (job.folder / PROGRESS).unlink(missing_ok=True)
        words = [sys.executable, "-m", "lsi", "compute", *to_arguments(settings), "--cache", str(cache.resolve())]
        words += ["--quiet", "--verbose", "--progress", str((job.folder / PROGRESS).resolve())]
        words += ["--project"] if project else []
        environment = {**os.environ, CACHE_VARIABLE: str(cache.resolve())}
        with (job.folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )
        facts = {"pid": process.pid, "process_start": _process_start(process.pid), "started": time.time()}
        write_json(job.folder / JOB, {**facts, "settings": settings.to_dict()})
    _CHILDREN.append(process)
    return job


def list_jobs(cache: Path) -> list[Job]:
    """Return all jobs, the newest first."""
    jobs = [Job(p.parent) for p in (cache / KIND).glob(f"*/{JOB}")]
    return sorted(jobs, key=lambda j: j.facts.get("started", 0), reverse=True)


def to_arguments(settings: Settings) -> list[str]:
    """Return the command-line words that mean these settings, those at their defaults left out."""
    defaults, words = Settings().to_dict(), []
    groups = settings.to_dict()
    flat = {k: v for g in ("data", "noise", "features", "score") for k, v in groups[g].items()}
    usual = {k: v for g in ("data", "noise", "features", "score") for k, v in defaults[g].items()}
    flat |= {"seed": settings.seed, "device": settings.device}
    usual |= {"seed": defaults["seed"], "device": defaults["device"]}
    for name, value in flat.items():
        if value == usual[name]:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return words


_CHILDREN: list[subprocess.Popen] = []


def _alive(pid: int | None, started: str | None) -> bool:
    for child in _CHILDREN:
        child.poll()  # a finished child of ours would stay a zombie
    return pid is not None and started is not None and _process_start(pid) == started


def _process_start(pid: int) -> str | None:
    """Return when a process started, which tells it from a later one with the same number; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return _posix_alive(pid)
    return None if fields[0] in ("Z", "X") else fields[19]


def _posix_alive(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "running"


def _signal(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except OSError:
        return
