"""Start the app from an installed package, or from the working tree: its script, pages and settings lie together."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from lsi.environment import CACHE_VARIABLE, allowed_hosts, app_root, base_path, check_switches
from lsi.errors import UsageError


def launch(cache: Path, address: str, port: int) -> None:
    """Serve the app until it is ended.

    Args:
        cache: where everything computed is kept.
        address: to listen on.
        port: to listen on.

    Raises:
        UsageError: something listens there already, the environment says of the app what cannot be, or the app ended
            with an error.
    """
    check_switches()
    below = base_path()
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise UsageError(f"The app cannot listen on {address}, port {port}: {error.strerror}.") from error
    host = "localhost" if address == "127.0.0.1" else address
    print(f"LSI Lens: http://{host}:{port}{below}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended either way, it ends the server too
    command = [sys.executable, "-m", "streamlit", "run", str(app_root() / "app.py"), "--server.address", address]
    command += ["--server.port", str(port)]
    for host in allowed_hosts():
        command += ["--server.allowedHosts", host]
    with subprocess.Popen(command, env=os.environ | {CACHE_VARIABLE: str(cache.absolute())}) as server:
        try:
            ended = server.wait()
        except KeyboardInterrupt:
            server.terminate()
            ended = 0
    if ended > 0:
        raise UsageError(f"The app ended with exit code {ended}; what it said stands above.")
