"""What was found at a place and how it is read: the plan that is printed before anything is computed."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

_SHOWN_CLASSES = 6
_SHOWN_COLUMNS = 8


@dataclass(frozen=True)
class Plan:
    """How the data at a place are read; everything that was left out, renamed or joined has a line in it.

    Attributes:
        place: the path or name that was given.
        kind: what lies there, such as "class folders", "Hugging Face Parquet" or "table".
        noun: what the samples are, in the plural.
        n_samples: how many are used, those without a label not counted.
        classes: name and number of samples of each class that is used, in the order of their indices.
        splits: name and number of samples of each split that is there.
        split: the split that is used, "all", or "" where there are none.
        columns: what each column was taken for, by role: image, label, split, id, text, features.
        metadata: names of the columns that are kept beside.
        n_unlabelled: samples without a label, left out of the fit.
        ignored: what lies there and is no sample, with its number.
        notes: whole sentences on anything else that a reader should know.
        source_length: rows or files of the source that indices refer to.
    """

    place: str
    kind: str
    noun: str
    n_samples: int
    classes: tuple[tuple[str, int], ...] = ()
    splits: tuple[tuple[str, int], ...] = ()
    split: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    metadata: tuple[str, ...] = ()
    n_unlabelled: int = 0
    ignored: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    source_length: int = 0

    def lines(self) -> list[str]:
        """Return the plan as lines to print, the most important first."""
        lines = [self._headline()]
        single = [name for name, count in self.classes if count == 1]
        if len(single) < len(self.classes) and single:
            lines.append(f"{counted(len(single), 'class')} of a single sample: {some(single, _SHOWN_CLASSES)}")
        if self.columns:
            lines.append("columns: " + ", ".join(f"{role} = {name}" for role, name in self.columns))
        if self.metadata:
            lines.append("kept beside: " + some(self.metadata, _SHOWN_COLUMNS))
        if self.n_unlabelled:
            lines.append(f"{counted(self.n_unlabelled, 'sample')} without a label: left out of the fit, still shown")
        if self.ignored:
            lines.append("ignored: " + ", ".join(agreeing(count, what) for what, count in self.ignored))
        return lines + list(self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them, with the lines among them."""
        values = asdict(self)
        for name in ("classes", "splits", "columns", "ignored"):
            values[name] = dict(values[name])
        return values | {"lines": self.lines()}

    def _headline(self) -> str:
        line = f"{self.place}: {self.kind}, {agreeing(self.n_samples, self.noun)}"
        if self.classes:
            shown = some([f"{name} {count:,}" for name, count in self.classes], _SHOWN_CLASSES)
            line += f" in {len(self.classes):,} {'class' if len(self.classes) == 1 else 'classes'} ({shown})"
        else:
            line += " without labels"
        if self.splits:
            word = "split" if len(self.splits) == 1 else "splits"
            sizes = ", ".join(f"{name or '(none)'} {count:,}" for name, count in self.splits)
            line += f"; {word} {sizes}; using {self.split}"
        return line


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it is not one."""
    plural = f"{noun}es" if noun.endswith(("s", "x")) else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def agreeing(count: int, what: str) -> str:
    """Return a number and what it counts; the first plural becomes a singular where it is one."""
    singular = re.sub(r"(file|image|row|sample|text)s|(box)es", r"\1\2", what, count=1)
    return f"{count:,} {singular if count == 1 else what}"


def some(names: Iterable[str], most: int) -> str:
    """Return the first names with commas between, and dots where there are more than `most`."""
    words = list(names)
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")
