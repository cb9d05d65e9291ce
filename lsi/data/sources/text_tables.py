"""Tables as text: CSV with any usual separator and encoding, and JSON lines, as frames whose values keep their text."""

import codecs
import csv
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from lsi.data.formats import SUFFIXES
from lsi.data.naming import text_of_path
from lsi.data.trees import Tree
from lsi.data.trees.filenames import suffix_of
from lsi.errors import DataError

SEPARATED = (".csv", ".tsv", ".tab", ".psv")
LINES = (".jsonl", ".ndjson", ".json")
TABLES = (*SEPARATED, *LINES)
MAX_COLUMNS = 10_000
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
         codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
_UNNAMED = "Unnamed: "
_LINE_END = re.compile(r"\r\n|\n|\r")  # JSON may hold the other characters that end a line as they are
_LFS = b"version https://git-lfs"


def is_sample_submission(name: str) -> bool:
    """Say whether a table is an example of what Kaggle wants back: it names images and gives them any labels."""
    return "samplesubmission" in re.sub(r"[\W_]", "", PurePosixPath(name).name.casefold())


def read_frame(tree: Tree, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return a table of text, one row a sample, and sentences on how it was read.

    A CSV's values stay the text that stands there. Blank lines do not count, as pandas does not count them.

    Args:
        tree: where the table lies.
        name: of the table.

    Raises:
        DataError: the file is no such table; the message names the line.
    """
    where, data = text_of_path(name), tree.read(name)
    if not data.strip():
        raise DataError(f"{where}: the file is empty.")
    if data.startswith(_LFS):
        raise DataError(f"{where}: a Git LFS pointer, not the table itself: run `git lfs pull`.")
    text, notes = _decoded(data, where)
    if PurePosixPath(name).suffix.lower() in LINES:
        return _from_json(text, where), tuple(notes)
    separator, text = _separator(text, name)
    if separator != ",":
        notes.append(f"{where}: columns are separated by {_NAMES.get(separator, repr(separator))}.")
    return _from_csv(text, separator, where, notes), tuple(notes)


def _decoded(data: bytes, where: str) -> tuple[str, list[str]]:
    """Return the text, by its byte order mark, or as UTF-8, UTF-16 or Windows' Latin-1, whichever fits first."""
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), None)
    if encoding is None and len(data) > 3 and b"\0" in data[:4]:
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
    try:
        text = data.decode(encoding or "utf-8")
        noted = encoding not in (None, "utf-8-sig")
        return text.removeprefix("\ufeff"), [f"{where}: read as {encoding.upper()}."] if noted and encoding else []
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise DataError(
                f"{where}: not readable as {encoding.upper()} ({error.reason} at byte {error.start})."
            ) from None
    if b"\0" in data:
        raise DataError(f"{where}: expected text, got binary data.")
    try:
        return data.decode("cp1252"), [f"{where}: no UTF-8, read as Windows-1252 (Latin-1)."]
    except UnicodeDecodeError:
        return data.decode("latin-1"), [f"{where}: no UTF-8, read as Latin-1."]


_NAMES = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _separator(text: str, name: str) -> tuple[str, str]:
    """Return the separator that the header holds most often, and the text without Excel's line that names it."""
    said = re.match(r'\s*"?sep=(.)"?\r?\n', text, re.IGNORECASE)
    if said:
        return said[1], text[said.end() :]
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").partition("\n")[0])
    if PurePosixPath(name).suffix.lower() in (".tsv", ".tab") and "\t" in header:
        return "\t", text
    counts = {separator: header.count(separator) for separator in (",", ";", "\t", "|")}
    best = max(counts, key=lambda s: counts[s])
    return (best if counts[best] else ","), text


def _from_csv(text: str, separator: str, where: str, notes: list[str]) -> pd.DataFrame:
    try:
        header = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row), [])
    except csv.Error as error:
        raise DataError(f"{where}: the header cannot be read ({error}).") from None
    if len(header) > MAX_COLUMNS:
        raise DataError(
            f"{where}: {len(header):,} columns are more than the {MAX_COLUMNS:,} that are read: put features into "
            "an array (.npz, .npy), or a column of lists (.parquet)."
        )
    names = _distinct([name.strip().strip("\ufeff") for name in header], where, notes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(io.StringIO(text, newline=""), sep=separator, names=names, header=0, dtype=str,
                                index_col=False, keep_default_na=False, na_filter=False)  # fmt: skip
    except (pd.errors.ParserWarning, pd.errors.ParserError, ValueError):
        frame = _row_by_row(text, separator, names, where)
    frame = frame.fillna("")
    nameless = [c for c in names if c.startswith(_UNNAMED) and (frame[c].astype(str).str.strip() == "").all()]
    frame = frame.drop(columns=nameless)
    if not len(frame):
        raise DataError(f"{where}: the table has a header and no rows.")
    return frame


def _row_by_row(text: str, separator: str, names: list[str], where: str) -> pd.DataFrame:
    """Return a table whose rows are not all as long as the header: a separator at a row's end is no field.

    Raises:
        DataError: a row has too many fields, or a quote is never closed.
    """
    rows: list[list[str]] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        for fields in (fields for fields in reader if fields):
            while len(fields) > len(names) and not fields[-1].strip():
                fields.pop()
            if len(fields) > len(names):
                raise DataError(
                    f"{where}, line {reader.line_num}: expected {len(names)} fields like the header, got {len(fields)}."
                )
            rows.append(fields + [""] * (len(names) - len(fields)))
    except csv.Error as error:
        raise DataError(f"{where}: not readable as a table separated by {separator!r} ({error}).") from None
    return pd.DataFrame(rows[1:], columns=names, dtype=str)


def _distinct(names: list[str], where: str, notes: list[str]) -> list[str]:
    """Return names of columns that differ: a second one of a name gets a number, a nameless one its place."""
    seen: Counter[str] = Counter()
    distinct = []
    for place, name in enumerate(names):
        seen[name] += 1
        distinct.append(f"{_UNNAMED}{place}" if not name else name if seen[name] == 1 else f"{name}.{seen[name] - 1}")
    twice = [name for name, count in seen.items() if name and count > 1]
    if twice:
        notes.append(f"{where}: {len(twice)} names stand for several columns ({', '.join(twice[:3])}): later ones are "
                     "numbered.")  # fmt: skip
    return distinct


def _from_json(text: str, where: str) -> pd.DataFrame:
    """Return JSON lines, one JSON list of objects, or one object of labels by file name, as a frame."""
    try:
        whole = json.loads(text)
    except ValueError as error:
        if text.lstrip().startswith("["):
            raise DataError(f"{where}: not readable as JSON ({error}).") from None
        whole = [_parsed(line, number, where) for number, line in enumerate(_LINE_END.split(text), 1) if line.strip()]
    if isinstance(whole, dict) and _is_labels_by_name(whole):
        several = next((name for name, label in whole.items() if isinstance(label, list) and len(label) > 1), None)
        if several is not None:
            raise DataError(f"{where}: expected one label an image, got several ({several}: {whole[several]!r}); "
                            "multi-label data are not supported.")  # fmt: skip
        whole = [{"path": name, "label": label} for name, label in whole.items()]
    records = [whole] if isinstance(whole, dict) else whole
    if isinstance(whole, dict) and {"images", "annotations"} <= whole.keys():
        raise DataError(f"{where}: annotations of boxes, as COCO has them: --boxes makes each box a sample.")
    if not isinstance(records, list) or not records or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{where}: expected one JSON object a sample, with a path or text and a label.")
    columns = list(dict.fromkeys(str(name) for record in records for name in record))
    return pd.DataFrame({c: pd.Series([record.get(c) for record in records], dtype=object) for c in columns})


def _is_labels_by_name(whole: dict[str, Any]) -> bool:
    """Say whether a JSON object gives labels by file name, and is no sample itself."""
    lists = any(isinstance(value, list) for value in whole.values())  # of labels, unless they name the files of splits
    is_flat = len(whole) > 1 and not any(isinstance(value, dict) for value in whole.values())
    is_flat &= not lists or all(suffix_of(name) in SUFFIXES for name in whole)
    return is_flat and not {"label", "class", "category", "target"} & {name.casefold() for name in whole}


def _parsed(line: str, number: int, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}, line {number}: not readable as JSON ({error}).") from None


def vectors(values: Sequence[Any], where: str, numbered_as: np.ndarray) -> np.ndarray:
    """Return ready-made features (n, d), float32: lists of numbers, or their text as JSON or with blanks between.

    Args:
        values: n lists or texts.
        where: what messages name.
        numbered_as: (n,) the row of the table that each stands in, for messages.

    Raises:
        DataError: a row is missing, holds something else or is of another length, or a number is NaN or infinite.
    """
    rows: list[np.ndarray] = []
    for row, value in zip(numbered_as.tolist(), values, strict=True):
        try:
            parsed = _numbers_in(value) if isinstance(value, str) else value
            vector = np.asarray(parsed, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{where}: expected a list of numbers in row {row}, got {str(value)[:60]!r}.") from None
        if vector.ndim != 1 or not len(vector):
            raise DataError(f"{where}: expected a list of numbers in row {row}, got {str(value)[:60]!r}.")
        if rows and len(vector) != len(rows[0]):
            raise DataError(f"{where}: expected {len(rows[0])} numbers in row {row} as in row "
                            f"{numbered_as[0]}, got {len(vector)}.")  # fmt: skip
        if not np.isfinite(vector).all():
            raise DataError(f"{where}: row {row} holds NaN or infinity.")
        rows.append(vector.astype(np.float32))
    return np.stack(rows)


def _numbers_in(text: str) -> Any:
    stripped = text.strip()
    if stripped.startswith("[") and "," in stripped:
        return json.loads(stripped)
    return [float(word) for word in stripped.strip("[]()").replace(",", " ").replace(";", " ").split()]


def parquet_columns(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of a Parquet file but for an index without a name that holds no text, and which are an index.

    Raises:
        DataError: it cannot be read.
    """
    try:
        table = pq.read_table(path)
        frame = table.to_pandas(ignore_metadata=True)  # else an index of paths is no column
        index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    except Exception as error:  # pyarrow raises its own errors
        raise DataError(f"{path}: not readable as Parquet ({error}).") from None
    columns = {str(c): frame[c].to_numpy() for c in frame.columns}
    kept = {c: v for c, v in columns.items() if not c.startswith("__index_level_") or v.dtype.kind == "O"}
    return kept, [c for c in index if isinstance(c, str)]
