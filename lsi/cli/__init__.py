"""The command line: `python -m lsi COMMAND`, made from the same settings as everything else."""

from lsi.cli.main import main

__all__ = ["main"]
