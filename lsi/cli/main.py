"""Parse the command line, run the command, and turn errors into one message and an exit code.

Exit codes: 0 done, 1 the run failed, 2 wrong usage, 130 interrupted. Heavy imports wait until a command needs them.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import tyro

from lsi.cli.commands import COMMANDS, App, Common, Inspect
from lsi.cli.ending import INTERRUPTED
from lsi.environment import CACHE_VARIABLE, share_cores
from lsi.errors import LsiError, MissingRunError, StorageError, UsageError
from lsi.files import NO_ROOM, no_room


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in given
    share_cores()
    try:
        command = _parse(given)
    except UsageError as error:
        print(f"lsi: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except SystemExit as stop:
        return int(stop.code or 0)
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        with _told_its_cache(command):
            _perform(command)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        return _failed(error, verbose)
    return 0


@contextmanager
def _told_its_cache(command: Common) -> Iterator[None]:
    """Name a command's cache in the environment too, by which torchvision's datasets are found."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(command.cache.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE_VARIABLE]
        else:
            os.environ[CACHE_VARIABLE] = before


def _failed(error: Exception, verbose: bool) -> int:
    """Say why a command failed, and return the exit code."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        error = StorageError(no_room("The disk is full"))
    if not isinstance(error, LsiError):
        if verbose:
            raise error
        print(f"lsi: failed: {type(error).__name__}: {error} (--verbose shows where)", file=sys.stderr)
        return 1
    if verbose:
        logging.getLogger(__name__).error("failed", exc_info=error)
    print(f"lsi: {error}", file=sys.stderr)
    return 2 if isinstance(error, UsageError | MissingRunError) else 1


def _perform(command: Any) -> None:
    """Run a parsed command with the modules that it needs."""
    if isinstance(command, App):
        from lsi.cli.launch import launch

        launch(command.cache, command.address, command.port)
        return
    if isinstance(command, Inspect):
        from lsi.cli.inspection import inspect_data

        inspect_data(command)
        return
    from lsi.cli.actions import perform

    perform(command)


def _parse(given: list[str]) -> Any:
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS,
        prog="lsi",
        description="Which samples of a dataset matter, which labels look wrong, and what can go.",
        args=_flags(given),
        config=(tyro.conf.OmitArgPrefixes,),
    )


def _flags(given: list[str]) -> list[str]:
    """Let `--flag True` and `--flag False` stand for `--flag` and `--no-flag`."""
    names = {f"--{name}" for kind in COMMANDS.values() for name in _boolean_fields(kind)}
    words: list[str] = []
    for word in given:
        before = words[-1] if words else ""
        if before.replace("_", "-") in names and word.lower() in ("true", "false"):
            words[-1] = before if word.lower() == "true" else "--no-" + before.removeprefix("--")
        else:
            words.append(word)
    return words


def _boolean_fields(kind: type) -> list[str]:
    names = []
    hints = get_type_hints(kind)
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            names += _boolean_fields(hints[item.name])  # type: ignore[arg-type]
        elif hints[item.name] is bool:
            names.append(item.name.replace("_", "-"))
    return names
