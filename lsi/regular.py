"""Opening files that end: a named pipe or a device would keep whoever reads it waiting for ever."""

import errno
import io
import os
import stat
from pathlib import Path


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading in binary.

    Raises:
        OSError: it is not there, cannot be read, or is no regular file.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no file can have this name", str(path))
    # a pipe that nobody writes to would block already here, and what lies there may change before a second look
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "expected a regular file", str(path))
    return os.fdopen(handle, "rb")
