"""Errors that a person can act on: each says what was expected, what came, and what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

# a disk, a network or this machine failed, not the file; not every system has every name
_SURROUNDINGS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "EDQUOT", "ESTALE", "EAGAIN", "EINTR", "EBUSY",
                 "ENOTCONN", "ECONNRESET", "ETIMEDOUT", "ENETDOWN", "ENETUNREACH", "EHOSTDOWN",
                 "EHOSTUNREACH", "EREMOTEIO")
    if hasattr(errno, name)
)  # fmt: skip


class LsiError(Exception):
    """Base of every error that this library raises on purpose."""


class UsageError(LsiError, ValueError):
    """The settings or arguments do not fit together; nothing was computed."""


class DataError(LsiError, ValueError):
    """The data do not fit: labels, features, images or files are not what was expected."""


class UnreachableError(DataError):
    """Data could not be reached or held here just now: this says nothing of them, and another try may succeed."""


class ConvergenceError(LsiError, ArithmeticError):
    """An iteration ended before it met its tolerance; no score was made from it."""


class NumericalError(LsiError, ArithmeticError):
    """Rounding destroyed a result, such as a precision matrix that is not positive definite."""


class MissingRunError(LsiError, LookupError):
    """No run of that name lies in the cache."""


class StorageError(LsiError, OSError):
    """The database of decisions cannot be read or written, or the disk has no room."""


def of_reading(message: str, cause: BaseException) -> DataError:
    """Return the error for what could not be read: an `UnreachableError` where the fault lies around the data.

    That is where memory, a disk or a network failed. What is concluded from a file's own content may be kept; what is
    concluded from these may not.

    Args:
        message: what the error says.
        cause: what was raised by whatever reads.
    """
    return (UnreachableError if is_of_surroundings(cause) else DataError)(message)


def is_of_surroundings(error: BaseException) -> bool:
    """Say whether an error is of memory, a disk or a network rather than of the data.

    Clients of networks have errors of their own, which their names tell.
    """
    if isinstance(error, UnreachableError | MemoryError | ConnectionError | TimeoutError):
        return True
    name = type(error).__name__.casefold()
    is_of_network = "timeout" in name or "connect" in name
    return is_of_network or (isinstance(error, OSError) and error.errno in _SURROUNDINGS)


@contextmanager
def unreadable_passed_over() -> Iterator[None]:
    """Pass over data that cannot be read, but not over what cannot be reached: something else would be concluded then.

    Raises:
        UnreachableError: it cannot be reached.
    """
    try:
        yield
    except UnreachableError:
        raise
    except DataError:
        pass
