"""Errors that a person can act on: each says what was expected, what came, and what to do."""


class LsiError(Exception):
    """Base of every error that this library raises on purpose."""


class UsageError(LsiError, ValueError):
    """The settings or arguments do not fit together; nothing was computed."""


class DataError(LsiError, ValueError):
    """The data do not fit: labels, features, images or files are not what was expected."""


class ConvergenceError(LsiError, ArithmeticError):
    """An iteration ended before it met its tolerance; no score was made from it."""


class NumericalError(LsiError, ArithmeticError):
    """Rounding destroyed a result, such as a precision matrix that is not positive definite."""


class MissingRunError(LsiError, LookupError):
    """No run of that name lies in the cache."""


class StorageError(LsiError, OSError):
    """The database of decisions cannot be read or written, or the disk has no room."""
