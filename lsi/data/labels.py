"""How labels become class indices: one function for folders, tables, arrays and other labellings."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from lsi.data.plan import counted, some
from lsi.errors import DataError

_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")  # a whole number that was a float when it became text
_SEVERAL = re.compile(r"\s*\[[^\[\]]+,[^\[\]]+\]\s*")  # a list as text
_SEPARATORS = ("|", ";", ",", " ")
_SEVERAL_LABELS = "{}: expected one label a sample, got several (row {}: {!r}); multi-label data are not supported."
UNLABELLED = -1
_ALIKE = "differ by case, blanks or the coding of accents alone"
NO_CLASS = ("all",)  # the class of samples without labels


@dataclass(frozen=True)
class Labels:
    """Labels as class indices.

    Attributes:
        values: (n,) class indices 0 … k − 1, UNLABELLED where a sample has no label.
        names: of the k classes, each with a sample.
        notes: sentences on what was dropped, joined or taken for missing.
    """

    values: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelRules:
    """How label values are understood.

    Attributes:
        where: what messages name, such as "train.csv, column class".
        class_names: whole numbers are positions in it, text is one of it; None: the distinct values are the classes.
        minus_one_is_missing: −1 stands for a missing label, as in data of the Hugging Face Hub.
        merge: "case": names that differ by case or blanks alone are one class; "none": they are several, and reported.
        is_text: values are names as they stand, of folders: blanks around them count.
        rows: of the source that the values stand in, which messages name; None: they are counted from 0.
        others: labels of other splits as text: what is a name and what a position is told by all of them together.
    """

    where: str
    class_names: Sequence[str] | None = None
    minus_one_is_missing: bool = False
    merge: str = "none"
    is_text: bool = False
    rows: Sequence[int] | np.ndarray | None = None
    others: frozenset[str] = frozenset()

    def row(self, position: int) -> int:
        """Return the row of the source that a value stands in, by its position."""
        return position if self.rows is None else int(self.rows[position])


def encode_labels(values: Sequence[Any] | np.ndarray, rules: LabelRules) -> Labels:
    """Return labels as class indices.

    None, NaN, empty text and, where the rules say so, −1 are missing labels. Whole numbers that came as floats, or as
    text of floats, are whole numbers; a column of one-element lists is read as its elements, one-hot rows as the
    position of their 1. Without class names the distinct values are the classes and keep their text: integers in
    rising order, anything else by alphabet.

    Args:
        values: n labels.
        rules: how they are understood.

    Raises:
        DataError: a label is none of the class names, or a sample has several; the message names its row.
    """
    single = _single(values, rules)
    texts, notes = _texts(single, rules, frozenset(rules.class_names or ()))
    if rules.class_names is None:
        names = sorted({t for t in texts if t is not None})
        if all(_INTEGER.fullmatch(name) for name in names):
            names.sort(key=int)
        if "-1" in names and len(names) > 1:
            notes.append(f'{rules.where}: "-1" is taken for a class, not for a missing label.')
        positions = {name: i for i, name in enumerate(names)}
    else:
        are_texts = any(isinstance(value, str) for value in single)
        positions, names = _positions(texts, rules, are_texts=are_texts), _apart(rules.class_names)
        twice = [name for name, own in zip(names, rules.class_names, strict=True) if name != own]
        notes += [f"{rules.where}: several classes have one name; they are called {some(twice, 5)}."] if twice else []
    indices = np.array([UNLABELLED if t is None else positions[t] for t in texts], dtype=np.int64)
    indices, names, merged = _merged(indices, names, rules)
    indices, names, dropped = _without_empty(indices, names)
    if dropped:
        notes.append(f"{rules.where}: {counted(len(dropped), 'class')} without samples left out ({some(dropped, 5)}).")
    return Labels(indices, tuple(names), (*notes, *merged))


def class_positions(
    values: Sequence[Any] | np.ndarray,
    class_names: Sequence[str],
    where: str,
    rows: Sequence[int] | np.ndarray | None = None,
) -> Labels:
    """Return another labelling of the same samples as class indices: by class name, or else by class index.

    Args:
        values: n labels.
        class_names: of the k classes, which stay whether a label names them or not.
        where: what a message names.
        rows: of the file that the labels stand in, which messages name; None: they are counted from 0.

    Raises:
        DataError: a value is neither.
    """
    known = {_whole(name): i for i, name in enumerate(class_names)} | {name: i for i, name in enumerate(class_names)}
    rules = LabelRules(where, rows=rows)
    texts, notes = _texts(_single(values, rules), rules, frozenset(known))
    if any(t is not None and t not in known for t in texts):
        known = _positions(texts, replace(rules, class_names=class_names), mixed=not known.keys().isdisjoint(texts))
    indices = np.array([UNLABELLED if t is None else known[t] for t in texts], dtype=np.int64)
    return Labels(indices, tuple(class_names), tuple(notes))


def label_texts(values: Sequence[Any] | np.ndarray) -> frozenset[str]:
    """Return the distinct labels as text, as they are told from names of classes."""
    single = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    return frozenset(_whole(text.strip()) for text in set(map(str, single)))


def no_labels(n: int) -> Labels:
    """Return what stands for the labels of n samples that have none."""
    return Labels(np.zeros(n, dtype=np.int64), NO_CLASS)


def _single(values: Sequence[Any] | np.ndarray, rules: LabelRules) -> list[Any]:
    """Return one value a sample: lists of one element as their element, one-hot rows as the position of the 1."""
    rows = values.tolist() if isinstance(values, np.ndarray) else list(values)
    rows = [row.tolist() if isinstance(row, np.ndarray | np.generic) else row for row in rows]
    are_lists = [isinstance(row, list | tuple) for row in rows]
    if not any(are_lists):
        row = next((i for i, text in enumerate(rows) if isinstance(text, str) and _SEVERAL.fullmatch(text)), None)
        if row is not None:
            raise DataError(_SEVERAL_LABELS.format(rules.where, rules.row(row), rows[row]))
        return rows
    widths = {len(row) for row, is_list in zip(rows, are_lists, strict=True) if is_list}
    if widths == {1}:
        return [row[0] if is_list else row for row, is_list in zip(rows, are_lists, strict=True)]
    if len(widths) != 1:
        first = next((i for i, row in enumerate(rows) if are_lists[i] and len(row) != 1), 0)
        raise DataError(_SEVERAL_LABELS.format(rules.where, rules.row(first), rows[first]))
    alone = next((i for i, row in enumerate(rows) if not are_lists[i] and row is not None), None)
    if alone is not None:
        raise DataError(f"{rules.where}: expected all labels in one form, got rows of numbers and, in row "
                        f"{rules.row(alone)}, {rows[alone]!r}.")  # fmt: skip
    for i, row in enumerate(rows):
        is_one_hot = isinstance(row, list | tuple) and sorted(map(_number, row)) == [0.0] * (len(row) - 1) + [1.0]
        if row is not None and not is_one_hot:
            raise DataError(_SEVERAL_LABELS.format(rules.where, rules.row(i), row))
    return [None if row is None else [_number(v) for v in row].index(1.0) for row in rows]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) and not math.isnan(value) else math.nan


def _texts(values: list[Any], rules: LabelRules, known: frozenset[str]) -> tuple[list[str | None], list[str]]:
    """Return each label as text, None where it is missing, and notes; what is `known` to be a class stays as it is."""
    are_fractions = any(isinstance(v, float) and math.isfinite(v) and v != int(v) for v in values)
    texts: list[str | None] = []
    n_stripped = 0
    for row, value in enumerate(values):
        text = _text(value, are_fractions, rules.where, rules.row(row))
        if text is not None and not rules.is_text and text not in known and text != text.strip():
            n_stripped, text = n_stripped + 1, text.strip()
        texts.append(text or None)
    if rules.is_text:
        return texts, []
    notes = [f"{rules.where}: blanks around {counted(n_stripped, 'label')} do not count."] if n_stripped else []
    distinct = {text for text in texts if text is not None}
    _refuse_several(texts, distinct, known, rules)
    if all(_INTEGER.fullmatch(_whole(text)) for text in distinct):
        texts = [text if text is None or text in known else _whole(text) for text in texts]
    if rules.minus_one_is_missing or rules.class_names is not None or set(texts) == {"-1"}:
        texts = [None if text == "-1" else text for text in texts]
    return texts, notes


def _refuse_several(texts: list[str | None], distinct: set[str], known: frozenset[str], rules: LabelRules) -> None:
    """Refuse text that joins labels: between separators stand labels that other samples have alone.

    Blanks separate numbers only: "polar bear" is one name beside "bear".
    """
    for text in distinct - known:
        for separator in _SEPARATORS:
            parts = {part.strip() for part in text.split(separator)} - {""}
            if len(parts) > 1 and parts <= distinct and (separator != " " or all(map(_INTEGER.fullmatch, parts))):
                raise DataError(_SEVERAL_LABELS.format(rules.where, rules.row(texts.index(text)), text))


def _whole(text: str) -> str:
    """Return "1.0" as "1", anything else as it is."""
    found = _WHOLE.fullmatch(text)
    return text if found is None else found[1]


def _text(value: Any, are_fractions: bool, where: str, row: int) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise DataError(f"{where}: the label of row {row} is no UTF-8 text ({value[:20]!r}).") from None
    if isinstance(value, float) and not are_fractions and math.isfinite(value):
        return str(int(value))
    if isinstance(value, str | bool | int | float | np.generic):
        return str(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise DataError(f"{where}: expected a text or a number as label, got a {type(value).__name__} in row {row}.")


def _positions(
    texts: list[str | None], rules: LabelRules, *, mixed: bool = False, are_texts: bool = False
) -> dict[str, int]:
    """Return the class index of each text where the class names are given.

    Args:
        texts: labels, None where one is missing.
        rules: with the class names.
        mixed: some are class names, so that what is none of them is wrong, even a number.
        are_texts: they came as text, which are names where they could be numbers as well.

    Raises:
        DataError: a text is neither a name nor a number of a class.
    """
    names = list(rules.class_names or ())
    distinct = {t for t in texts if t is not None}
    by_name = {name: i for i, name in enumerate(names)}
    every = distinct | rules.others
    by_number = {t: int(t) for t in every if _INTEGER.fullmatch(t) and 0 <= int(t) < len(names)}
    is_named = mixed or len(every & by_name.keys()) + are_texts > len(by_number)
    positions = by_name if is_named else by_number or by_name
    unknown = distinct - positions.keys()
    if unknown:
        row = next(i for i, t in enumerate(texts) if t in unknown)
        number = f" or its number 0 … {len(names) - 1}"
        if texts[row] in by_number:
            number = " (a number is a position only where no label is the name of a class)"
        raise DataError(
            f"{rules.where}: expected one of the {len(names)} classes {some(names, 5)}{number}, got {texts[row]!r} in "
            f"row {rules.row(row)}."
        )
    return positions


def _apart(names: Sequence[str]) -> list[str]:
    """Return the names with the class's number behind those that several classes have."""
    often = Counter(names)
    return [name if often[name] == 1 else f"{name} ({i})" for i, name in enumerate(names)]


def _merged(indices: np.ndarray, names: list[str], rules: LabelRules) -> tuple[np.ndarray, list[str], list[str]]:
    """Join class names that differ by case or blanks alone where that is asked for; report them where not."""
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        groups.setdefault("".join(unicodedata.normalize("NFC", name).casefold().split()), []).append(i)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return indices, names, []
    shown = "; ".join(", ".join(repr(names[i]) for i in group) for group in alike[:3])
    if rules.merge != "case":
        note = f"Class names that {_ALIKE}: {shown}; --merge-classes case joins them."
        return indices, names, [note]
    counts = np.bincount(indices[indices >= 0], minlength=len(names))
    target = np.arange(len(names))
    for group in alike:
        target[group] = max(group, key=lambda i: counts[i])
    joined = np.where(indices >= 0, target[indices], UNLABELLED)
    new = np.cumsum(target == np.arange(len(names))) - 1
    names = [name for i, name in enumerate(names) if target[i] == i]
    joined = np.where(joined >= 0, new[joined], UNLABELLED)
    return joined, names, [f"Class names joined that {_ALIKE}: {shown}."]


def _without_empty(indices: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str], list[str]]:
    present = np.bincount(indices[indices >= 0], minlength=len(names)) > 0
    if present.all():
        return indices, names, []
    new = np.cumsum(present) - 1
    kept = [name for name, is_there in zip(names, present, strict=True) if is_there]
    dropped = [name for name, is_there in zip(names, present, strict=True) if not is_there]
    return np.where(indices >= 0, new[indices], UNLABELLED), kept, dropped
