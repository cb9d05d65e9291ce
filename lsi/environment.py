"""What the environment says about a server: where things lie, who may ask, what is allowed."""

import os
import re
from pathlib import Path

from lsi.errors import UsageError

CACHE_VARIABLE = "LSI_CACHE"
DATA_VARIABLE = "LSI_DATA"
DATABASE_VARIABLE = "LSI_DATABASE_URL"  # of decisions and trail; without it a file in the cache
DATABASE_FILE = "reviews.db"
ROOTS_VARIABLE = "LSI_DATA_ROOTS"  # folders that the app may read
BASE_VARIABLE = "LSI_BASE_PATH"  # below which a proxy shows the app, such as /lsi
HOSTS_VARIABLE = "LSI_HOSTS"  # names beside those of this machine under which the app answers
ANONYMOUS_VARIABLE = "LSI_ALLOW_ANONYMOUS"  # the app may listen to other machines without a login
LOG_VARIABLE = "LSI_LOG"  # text, or json for one object a line
METRICS_VARIABLE = "LSI_METRICS"  # HOST:PORT at which figures for Prometheus are served
READ_ONLY_VARIABLE = "LSI_READ_ONLY"  # set where the app shows everything and changes nothing
CONFINED_VARIABLE = "LSI_CONFINED"  # set where a computation was started from the app
SPIN_VARIABLE = "GOMP_SPINCOUNT"  # of GNU's OpenMP: how often a thread that waits looks again before it sleeps
_ON, _OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def default_cache() -> Path:
    """Return the cache folder: `LSI_CACHE`, or `cache` in the working folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or "cache")


def default_data_root() -> Path:
    """Return the folder that torchvision downloads to: `LSI_DATA`, or `data` in the cache."""
    return Path(os.environ.get(DATA_VARIABLE) or default_cache() / "data")


def data_root_of(run: Path) -> Path:
    """Return the folder that torchvision's datasets lie in that a run was computed from: `LSI_DATA`, or in its cache.

    Args:
        run: its folder; where its cache has none, the one of today's is meant.
    """
    beside = run.absolute().parent.parent / "data"
    return default_data_root() if os.environ.get(DATA_VARIABLE) or not beside.is_dir() else beside


def data_roots() -> list[Path]:
    """Return the folders that the app may read, links resolved: those of `LSI_DATA_ROOTS`, or the working folder."""
    return [Path(r).resolve() for r in os.environ.get(ROOTS_VARIABLE, ".").split(os.pathsep) if r]


def allowed_hosts() -> tuple[str, ...]:
    """Return the names under which the app answers: those of `LSI_HOSTS`, beside those of this machine itself."""
    named = [name.strip().lower() for name in os.environ.get(HOSTS_VARIABLE, "").split(",")]
    return ("localhost", "127.0.0.1", "::1", *(name for name in named if name))


def base_path() -> str:
    """Return below which path the app answers, such as /lsi; empty where it has the address for itself.

    Raises:
        UsageError: `LSI_BASE_PATH` is no such path.
    """
    named = os.environ.get(BASE_VARIABLE, "").rstrip("/")
    if named and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", named):
        raise UsageError(f"{BASE_VARIABLE}: expected a path such as /lsi, got {named!r}.")
    return named


def app_root() -> Path:
    """Return the folder of app.py and pages: in the package where it was installed, else the working tree."""
    packaged = Path(__file__).parent / "ui" / "served"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


def read_only() -> bool:
    """Say whether the app shows everything and changes nothing.

    Raises:
        UsageError: `LSI_READ_ONLY` says neither yes nor no.
    """
    return _is_on(READ_ONLY_VARIABLE)


def anonymous_allowed() -> bool:
    """Say whether the app may listen to other machines without a login.

    Raises:
        UsageError: `LSI_ALLOW_ANONYMOUS` says neither yes nor no.
    """
    return _is_on(ANONYMOUS_VARIABLE)


def check_switches() -> None:
    """See that what is switched on and off says which.

    Raises:
        UsageError: one says neither.
    """
    for variable in (READ_ONLY_VARIABLE, ANONYMOUS_VARIABLE):
        _is_on(variable)


def share_cores() -> None:
    """Let threads sleep that wait for one another, after microseconds instead of milliseconds.

    Called before torch is loaded, whose OpenMP on Linux reads this. By default its threads wait busily for one that
    another program keeps from its core, and a fit on all cores takes many times as long while that program runs.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, "1000")


def _is_on(variable: str) -> bool:
    said = os.environ.get(variable, "").strip().casefold()
    if said not in (*_ON, *_OFF):
        raise UsageError(f"{variable}: expected one of {', '.join(_ON)}, or {', '.join(_OFF[1:])}, got {said!r}.")
    return said in _ON
