"""Ending when asked to: a process in the middle of a long product does not hear Python's signal handlers."""

import os
import signal
import socket
import sys
import threading
import time

INTERRUPTED = "lsi: interrupted; the same command goes on from the stages that are done"
_GRACE_SECONDS = 0.7


def end_when_asked() -> None:
    """End within a second of SIGTERM: as by Ctrl-C where the program listens, and by force where it does not.

    Files are there whole or not at all, so that nothing finished is lost either way.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    heard, tells = socket.socketpair()
    tells.setblocking(False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        with heard, tells:
            while heard.recv(1) != bytes([signal.SIGTERM]):
                pass
            time.sleep(_GRACE_SECONDS)
            print(INTERRUPTED, file=sys.stderr, flush=True)
            os._exit(130)

    threading.Thread(target=watch, name="ends on SIGTERM", daemon=True).start()
