"""How results are printed."""

import json
from typing import Any

import pandas as pd

from lsi.runs.numbers import as_written


def text_table(table: pd.DataFrame) -> str:
    """Return a table as aligned text."""
    return table.to_string(index=False, float_format=lambda v: as_written(float(v)), max_colwidth=60)


def print_json(value: Any) -> None:
    """Print plain values as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
