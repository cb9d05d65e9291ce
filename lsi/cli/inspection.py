"""The command that says how data would be read; it loads no torch."""

from dataclasses import replace

from lsi.cli import commands
from lsi.cli.output import print_json
from lsi.config import Settings
from lsi.data import inspect
from lsi.environment import default_data_root
from lsi.errors import UsageError


def inspect_data(command: commands.Inspect) -> None:
    """Print the plan of the data that a command names.

    Raises:
        DataError: nothing readable lies there, or it can be understood in several ways.
        UsageError: they are named twice.
    """
    if command.path is not None and command.settings.data is not None:
        raise UsageError("Name the data once: behind `inspect`, or with --data.")
    given = command.settings if command.path is None else replace(command.settings, data=command.path)
    plan = inspect(Settings(data=given).resolved().data, default_data_root())
    if command.json:
        print_json(plan.to_dict())
    else:
        print("\n".join(plan.lines()))
