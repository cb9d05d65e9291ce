"""A PostgreSQL server of its own, over a socket in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, or None where they are not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), default=None)


@contextmanager
def serve(where: Path) -> Iterator[str]:
    """Start a server, and yield SQLAlchemy's URL of it."""
    root = Path(tempfile.mkdtemp(prefix="lsi-pg-"))
    user = {}
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(root, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": root}
    data = root / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        subprocess.run([where / "initdb", "-D", data, "-U", "lsi", "-A", "trust"], check=True, **quiet, **user)
        options = f"-k {root} -c listen_addresses='' -c fsync=off"
        control = [where / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-o", options, "-l", root / "log", "start"], check=True, **quiet, **user)
        try:
            yield f"postgresql+psycopg://lsi@/postgres?host={root}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet, **user)
    finally:
        shutil.rmtree(root, ignore_errors=True)
