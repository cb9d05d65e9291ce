"""Jobs: `python -m lsi compute` in a process of its own, followed through a file.

A job is a folder `cache/jobs/<key>` with `job.json` (settings, process, and the names of two files that belong to that
process alone), the report of progress and the log. Whoever looks reads these; nothing hangs on the process that started
it. The same settings are the same job, and so are the same decisions of the database.

Several machines may share the cache. Only its own can see a job's process and end it; for the others it runs until it
says that it has ended, or has given no sign for `SILENT_SECONDS`.
"""

import logging
import os
import platform
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from lsi.config import Settings
from lsi.environment import CACHE_VARIABLE, CONFINED_VARIABLE, ROOTS_VARIABLE, data_roots
from lsi.errors import UsageError
from lsi.files import cache_folder, read_json, write_json
from lsi.hashing import key
from lsi.references import check_backbone_is_no_code

log = logging.getLogger(__name__)

KIND = "jobs"
UPLOADS = "uploads"  # folder of the cache with what was uploaded
JOB, PROGRESS, LOG = "job.json", "progress.json", "log.txt"
LOG_LINES = 12
GROUPS = ("data", "noise", "features", "score", "where")  # of the settings, whose fields are options
SINGLE = ("seed", "device", "decisions")  # settings that are options themselves
SILENT_SECONDS = 600.0  # without a sign, after which a job on another machine has failed; it gives two a minute
_CANCEL_SECONDS = 3.0


@dataclass(frozen=True)
class Job:
    """One job's folder; every property reads it anew.

    `was_running` says of one that was to be started whether it ran already.
    """

    folder: Path
    was_running: bool = field(default=False, compare=False)

    @property
    def facts(self) -> dict[str, Any]:
        """What was started, and by which process."""
        return read_json(self.folder / JOB) or {}

    @property
    def progress(self) -> dict[str, Any]:
        """The last report: stage, done, total, unit, rate a second, seconds left; at the end `run`."""
        return read_json(self.file(PROGRESS)) or {}

    def file(self, name: str) -> Path:
        """Return the path of PROGRESS or LOG of the process that is named last; an earlier one may still write its."""
        return self.folder / str(self.facts.get("files", {}).get(name, name))

    @property
    def settings(self) -> Settings:
        """The settings that it computes.

        Raises:
            UsageError: the job is of a version whose settings this one cannot read.
        """
        try:
            return Settings.from_dict(self.facts["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self.folder.name}: this job was started by another version of the program.") from error

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
        return _process(self.facts) is not None or self.is_elsewhere

    @property
    def is_elsewhere(self) -> bool:
        """Whether its process runs on another machine, by its last sign: nobody can end it here."""
        facts = self.facts
        if facts.get("host", _HOST) == _HOST or self.progress.get("ended") or _process(facts) is not None:
            return False
        return time.time() - self.last_sign < SILENT_SECONDS

    @property
    def run_name(self) -> str | None:
        """The name of the finished run."""
        return self.progress.get("run")

    @property
    def last_sign(self) -> float:
        """When it last reported or logged something, in seconds since 1970; of one that has ended, about its end."""
        files = (self.folder / JOB, self.file(PROGRESS), self.file(LOG))
        return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)

    def log_tail(self, lines: int = LOG_LINES) -> list[str]:
        """Return the last lines of the log."""
        path = self.file(LOG)
        if not path.exists():
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]

    @property
    def is_dismissed(self) -> bool:
        """Whether somebody has taken note of how it ended."""
        return bool(self.facts.get("dismissed"))

    def dismiss(self) -> None:
        """Take note of how it ended, so that it is shown no longer; one that was started again is shown."""
        with self.lock():
            if self.state == "running":
                return
            write_json(self.folder / JOB, self.facts | {"dismissed": True})

    def lock(self) -> FileLock:
        """Return the lock under which its process is exchanged and its facts are changed."""
        return FileLock(self.folder / "lock")

    def cancel(self) -> None:
        """End the process and what it started; what it finished stays in the cache.

        Raises:
            UsageError: it runs on another machine.
        """
        with self.lock():
            facts, process = self.facts, _process(self.facts)
            if self.state != "running":
                return
            if process is None:
                raise UsageError(f"This computation runs on {facts['host']}, where alone it can be cancelled.")
            with suppress(OSError):  # on a disk that it has filled it is to end all the same
                write_json(self.folder / JOB, facts | {"cancelled": True})
        family = _family(process)
        for member in family:
            _ask(member, "terminate")
        _, alive = psutil.wait_procs(family, timeout=_CANCEL_SECONDS)
        for member in alive:
            _ask(member, "kill")
        psutil.wait_procs(alive, timeout=_CANCEL_SECONDS)


def start(settings: Settings, cache: Path, project: bool = True, decided: str = "") -> Job:
    """Start a job, or return the one that already runs with these settings; a job that has ended is started anew.

    Args:
        settings: what to compute; relative paths are those of the working folder.
        cache: where everything computed is kept.
        project: compute the 2-D view too.
        decided: where it starts from the decisions of the database, what tells those in force from all others.

    Raises:
        UsageError: the backbone is one that can run any code.
        StorageError: the cache cannot be written.
    """
    settings = settings.resolved()
    check_backbone_is_no_code(settings.features.backbone)
    job = Job(cache / KIND / key(settings=settings.to_dict(), **({"decided": decided} if decided else {})))
    cache_folder(job.folder)
    with job.lock():
        if job.facts and job.state == "running":
            return Job(job.folder, was_running=True)
        token = secrets.token_hex(4)
        files = {PROGRESS: f"progress-{token}.json", LOG: f"log-{token}.txt"}
        words = [sys.executable, "-m", "lsi", "compute", *to_arguments(settings), "--cache", str(cache.resolve())]
        words += ["--quiet", "--verbose", "--progress", str((job.folder / files[PROGRESS]).resolve())]
        words += ["--project"] if project else []
        environment = {**os.environ, CACHE_VARIABLE: str(cache.resolve()), **confinement(cache)}
        with (job.folder / files[LOG]).open("wb") as output:
            process = subprocess.Popen(
                words, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, **_DETACHED
            )
        facts = {"pid": process.pid, "host": _HOST, "started": time.time(), "files": files, "decided": decided}
        facts |= _times_of(process.pid) | {"settings": settings.to_dict()}
        write_json(job.folder / JOB, facts)
        _remove_earlier(job.folder, set(files.values()))
    _CHILDREN.append(process)
    return job


def _remove_earlier(folder: Path, names: set[str]) -> None:
    """Remove what earlier processes of a job reported and logged.

    Args:
        folder: of the job.
        names: what stays.
    """
    for path in (*folder.glob("progress*.json"), *folder.glob("log*.txt")):
        if path.name not in names:
            with suppress(OSError):  # Windows keeps what a process holds open
                path.unlink()


def confinement(cache: Path) -> dict[str, str]:
    """Return the environment that keeps a job below the folders that may be read, uploads among them."""
    roots = [str(root) for root in (*data_roots(), (cache / UPLOADS).resolve())]
    return {CONFINED_VARIABLE: "1", ROOTS_VARIABLE: os.pathsep.join(dict.fromkeys(roots))}


def list_jobs(cache: Path) -> list[Job]:
    """Return all jobs that this version can read, the newest first."""
    jobs = []
    for path in (cache / KIND).glob(f"*/{JOB}"):
        job = Job(path.parent)
        try:
            jobs.append((float(job.facts["started"]), job, job.settings))
        except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s is left out: %s", path, error)
    return [job for _, job, _ in sorted(jobs, key=lambda entry: entry[0], reverse=True)]


def to_arguments(settings: Settings) -> list[str]:
    """Return the command-line words that mean these settings, those at their defaults left out."""
    defaults, words = Settings().to_dict(), []
    groups = settings.to_dict()
    flat = {k: v for g in GROUPS for k, v in groups[g].items()}
    usual = {k: v for g in GROUPS for k, v in defaults[g].items()}
    flat |= {name: groups[name] for name in SINGLE}
    usual |= {name: defaults[name] for name in SINGLE}
    for name, value in flat.items():
        if value == usual[name]:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    return words


_CHILDREN: list[subprocess.Popen] = []  # of this process: whoever started one must reap it
# a process of its own group or session, which an interrupt of the terminal does not reach
_DETACHED: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if sys.platform == "win32"
    else {"start_new_session": True}
)
_HOST = platform.node()
_TIMES = ("process_start", "process_since_boot")
_SAME_START_SECONDS = 0.01


def _process(facts: dict[str, Any]) -> psutil.Process | None:
    """Return the running process of a job, told from a later one of the same number by when it started."""
    _reap()
    pid = facts.get("pid")
    if not isinstance(pid, int):
        return None
    known, now = (facts.get(name) for name in _TIMES), _times_of(pid)
    times = zip(known, now.values(), strict=True) if now else ()
    if not any(isinstance(t, float) and abs(t - found) < _SAME_START_SECONDS for t, found in times):
        return None
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.Error:
        return None
    _reap()
    return None


def _reap() -> None:
    """Take note of children that have ended: they would stay zombies."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


def _times_of(pid: int) -> dict[str, float]:
    """Return when a process started, in seconds since 1970 and since the machine did; nothing where it is gone.

    Where somebody sets the clock, Linux changes the first of them, and macOS and Windows the second.
    """
    try:
        created = psutil.Process(pid).create_time()
        return dict(zip(_TIMES, (created, created - psutil.boot_time()), strict=True))
    except psutil.Error:
        return {}


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [*process.children(recursive=True), process]
    except psutil.Error:
        return [process]


def _ask(process: psutil.Process, what: str) -> None:
    """Terminate or kill a process, if it is still there and ours."""
    try:
        getattr(process, what)()
    except psutil.Error:
        return
