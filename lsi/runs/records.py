"""Decisions, tags and notes as plain records in decisions.json: written by exports, read back beside the same data.

A record names its sample by id and content and its classes by name, so that it needs neither the run nor the database
that it comes from. Records of versions before that name source index and class number alone are read too, on the run
that they were made on.
"""

from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from lsi.errors import DataError
from lsi.runs.label_studio import decisions_of
from lsi.runs.subject import Subject

Kind = Literal["tag", "note"]
ACTIONS = ("keep", "relabel", "exclude", "unsure")
UNDECIDED = "undecided"


def decision_records(about: Subject, decided: pd.DataFrame) -> list[dict[str, Any]]:
    """Return decisions as plain records.

    Args:
        about: the samples.
        decided: decisions in force, indexed by position, with columns action, label, reviewer and time; is_of_label
            where some keep or exclude a sample and say nothing of its label, given_name where there are no classes.
    """
    records = []
    for position, row in zip(decided.index.tolist(), decided.to_dict("records"), strict=True):
        number = None if pd.isna(row["label"]) else int(row["label"])
        given = row.get("given_name") if about.given is None else about.name(int(about.given[position]))
        has_given = row.get("is_of_label", True) and isinstance(given, str)
        of = {} if about.label_column is None else {"label_column": about.label_column}
        of_target = about.given is None and row["action"] == "keep" and not has_given and row.get("is_of_label", False)
        records.append({
            "index": int(about.source_index[position]), "id": str(about.ids[position]),
            "content": str(about.contents[position]), "action": str(row["action"]), "label": number,
            "label_name": about.name(number), "given_name": given if has_given else None,
            "reviewer": str(row["reviewer"]), "time": str(row["time"]),
            **of, **({"of_target": True} if of_target else {}),
        })  # fmt: skip
    return records


BY_RULE = ("rule", "filter")  # what stands in the place of a reviewer's name


def exclusion_records(about: Subject, positions: np.ndarray, reviewer: str) -> list[dict[str, Any]]:
    """Return records that exclude these samples, for what a rule and no person leaves out.

    Args:
        about: the samples.
        positions: (s,) of them.
        reviewer: one of BY_RULE.
    """
    decided = {"action": "exclude", "label": np.nan, "reviewer": reviewer, "time": ""}
    return decision_records(about, pd.DataFrame(decided, index=np.asarray(positions, dtype=np.int64)))


def as_decisions(content: Any) -> Any:
    """Return what a file of decisions holds; the tasks of Label Studio as the decisions that they are.

    Raises:
        DataError: it is a list of something else.
    """
    return decisions_of(content) if isinstance(content, list) else content


def records_of(content: Any) -> list[dict[str, Any]]:
    """Return the records in what `decisions.json` holds, or an export of Label Studio.

    Raises:
        DataError: it is no such file, an action is none, or a sample is not named by texts.
    """
    content = as_decisions(content)
    records = content.get("decisions") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError("Expected the decisions.json that an export wrote, or an export of Label Studio.")
    for record in records:
        if (found := record.get("action")) not in ACTIONS:
            raise DataError(f"Sample {record.get('index')}: expected {' or '.join(ACTIONS)}, got {found!r}.")
        if not isinstance(record.get("id"), str) or not isinstance(record.get("content", ""), str):
            raise DataError(f"Sample {record.get('index')}: expected texts as id and content.")
    return records


def find(about: Subject, records: list[dict[str, Any]]) -> np.ndarray:
    """Return the position of each record's sample, (r,); −1 where these samples have none of that id and content."""
    positions = about.find([str(r.get("id")) for r in records], [str(r.get("content")) for r in records])
    rows: dict[int, int] = {}
    for i, record in enumerate(records):
        if "content" not in record:
            rows = rows or {int(index): position for position, index in enumerate(about.source_index)}
            at = rows.get(record.get("index", -1), -1)
            positions[i] = at if at >= 0 and about.ids[at] == record.get("id") else -1
    return positions


def in_force(about: Subject, records: list[dict[str, Any]]) -> pd.DataFrame:
    """Return what records come to on samples: indexed by position, with columns as those of `decision_records`.

    The last record of a sample counts, and a keep that says nothing of the label leaves what was said of it before.
    Records of samples that are not among these are left out, and new labels where the samples have no classes.

    Args:
        about: the samples.
        records: as `records_of` gives them.

    Raises:
        DataError: a record names a class that the samples do not have, or is about another column of labels.
    """
    latest: dict[int, dict[str, Any]] = {}
    rows: dict[int, tuple] = {}
    for position, record in zip(find(about, records).tolist(), records, strict=True):
        if position < 0 or (position in rows and leaves_said(record, latest[position])):
            continue
        action, label = _on(about, position, record)
        given = record.get("given_name")
        is_of_label = record["action"] not in ("keep", "exclude") or "given_name" not in record or given is not None
        is_of_label |= about.given is None and record.get("of_target") is True
        who = str(record.get("reviewer") or ""), record.get("time") or ""
        latest[position] = record
        rows[position] = (action, label, *who, is_of_label, given)
        if action == "relabel" and about.given is None:
            del rows[position]
    columns = ["action", "label", "reviewer", "time", "is_of_label", "given_name"]
    table = pd.DataFrame([*rows.values()], np.array([*rows], np.int64), columns)
    return table.astype({"label": "float64", "is_of_label": bool})


def records_to_add(content: Any, about: Subject | None = None) -> tuple[str, list[dict[str, Any]]]:
    """Return the dataset's name and the decisions of people in a file, as `Reviews.add` takes them.

    What a rule or a filter left out of an export was decided by nobody, and is no decision here.

    Args:
        content: what `decisions.json` holds, or an export of Label Studio.
        about: the samples; needed for files of versions that named samples by index and id alone.

    Raises:
        DataError: it is no such file, a record, tag or note is none, or a sample or class cannot be told without its
            run.
    """
    content = as_decisions(content)
    records = records_of(content)
    dataset = content.get("dataset") or (None if about is None else about.dataset)
    if about is not None and (find(about, records + remarks_in(content)) >= 0).any():
        dataset = about.dataset  # the same samples under the name that their folder has now
    if not all("content" in record for record in records) or not isinstance(dataset, str):
        if about is None:
            raise DataError("These decisions are of a version that kept no content: name a run on the same data.")
        check_found(about, records)
        in_force(about, records)  # refuses unknown classes
    return str(dataset), [_to_add(record, about) for record in records if not is_by_rule(record)]


def left_by_rule(content: Any) -> str:
    """Return a sentence on the records of a file that nobody decided, "" where there are none."""
    count = sum(map(is_by_rule, records_of(content)))
    return f" What a rule or a filter left out ({count:,}) is no decision, and was not read in." if count else ""


def is_by_rule(record: dict[str, Any]) -> bool:
    """Say whether a record is of what a rule or a filter left out, as `exclusion_records` writes them."""
    return record.get("reviewer") in BY_RULE and record.get("time") == ""


def is_silent(record: dict[str, Any]) -> bool:
    """Say whether a record keeps a sample and says nothing of its label: as no duplicate of others, say."""
    return record["action"] == "keep" and "given_name" in record and record["given_name"] is None


def states_label(record: dict[str, Any]) -> bool:
    """Say whether a record says what the label of a sample is."""
    return record["action"] in ("keep", "relabel") and not is_silent(record)


def leaves_said(since: dict[str, Any], before: dict[str, Any]) -> bool:
    """Say whether a later record about the same sample says nothing of the label that the one before says."""
    return is_silent(since) and states_label(before)


def check_found(about: Subject, records: list[dict[str, Any]]) -> None:
    """Raise where a record is about none of these samples.

    Raises:
        DataError: the first such record.
    """
    places = zip(records, find(about, records).tolist(), strict=True)
    if record := next((record for record, position in places if position < 0), None):
        raise DataError(f"{about.run or about.dataset} holds no sample {record.get('index')} with id {record['id']!r} "
                        "and that content: these decisions belong to other data, or to more of them than are read "
                        "here.")  # fmt: skip


def is_kept_apart(decided: pd.DataFrame) -> np.ndarray:
    """Return which decisions keep a sample and say nothing of its label, (r,): what is excluded leaves in any case.

    Args:
        decided: r rows with action and is_of_label.
    """
    return (decided["action"] == "keep").to_numpy() & ~decided["is_of_label"].to_numpy(dtype=bool)


def as_shown(decided: pd.DataFrame, suspected: np.ndarray) -> pd.DataFrame:
    """Return decisions as lists and maps show them: a keep that says nothing of the label leaves a suspect undecided.

    Args:
        decided: decisions in force, indexed by position; is_of_label where some keep a sample alone.
        suspected: (n,) whether the label of each sample is suspected.
    """
    if "is_of_label" not in decided.columns:
        return decided
    is_open = is_kept_apart(decided) & suspected[decided.index.to_numpy(dtype=np.int64)]
    return decided.assign(action=decided["action"].mask(is_open, UNDECIDED)) if is_open.any() else decided


def decision_codes(n_rows: int, decided: pd.DataFrame) -> np.ndarray:
    """Return the decision about each row as its place in ACTIONS, from 1 on, 0 for none, (n,) uint8."""
    codes = np.zeros(n_rows, dtype=np.uint8)
    rows = decided.index.to_numpy(dtype=np.int64)  # that of no decision is of no type
    inside = rows < n_rows
    codes[rows[inside]] = decided["action"][inside].map({action: i for i, action in enumerate((UNDECIDED, *ACTIONS))})
    return codes


def new_labels(n_rows: int, decided: pd.DataFrame) -> np.ndarray:
    """Return the new label that was decided for each row, −1 for none, (n,) int32."""
    labels = np.full(n_rows, -1, dtype=np.int32)
    changed = decided[decided["action"] == "relabel"]
    labels[changed.index.to_numpy(dtype=np.int64)] = changed["label"].to_numpy(dtype=np.int64)
    return labels


def remark_records(about: Subject, found: pd.DataFrame) -> list[dict[str, Any]]:
    """Return tags and notes as plain records, as `decisions.json` holds them.

    Args:
        about: the samples.
        found: as `lsi.runs.remarks.remarks` gives them.
    """
    return [
        {"index": int(about.source_index[row["sample"]]), "id": str(about.ids[row["sample"]]),
         "content": str(about.contents[row["sample"]]), "kind": row["kind"], "text": row["text"],
         "reviewer": row["reviewer"], "time": str(row["time"])}
        for row in found.to_dict("records")
    ]  # fmt: skip


def remarks_in(content: Any) -> list[dict[str, Any]]:
    """Return the tags and notes of a `decisions.json`, none where it has none.

    Raises:
        DataError: one of them is no tag or note.
    """
    records = content.get("remarks", []) if isinstance(content, dict) else []
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError("Expected a list of tags and notes under “remarks”.")
    for record in records:
        kind, words = record.get("kind"), [record.get(name) for name in ("id", "content", "text")]
        if kind not in get_args(Kind) or not all(isinstance(word, str) for word in words):
            raise DataError(f"Sample {record.get('index')}: expected a tag or a note with id, content and text.")
    return records


def texts_by_sample(about: Subject, records: list[dict[str, Any]], kind: Kind) -> list[list[str] | None]:
    """Return the tags, or the notes, of each of a run's n samples; None for a sample without any.

    Args:
        about: the samples.
        records: as `remark_records` gives them.
        kind: tag or note.
    """
    texts: list[list[str] | None] = [None] * len(about.ids)
    chosen = [record for record in records if record["kind"] == kind]
    for sample, record in zip(find(about, chosen).tolist(), chosen, strict=True):
        if sample >= 0:
            texts[sample] = [*(texts[sample] or []), record["text"]]
    return texts


def _on(about: Subject, position: int, record: dict[str, Any]) -> tuple[str, int | None]:
    """Return action and new label of a record about a sample: keep and relabel say what its label is."""
    action = str(record["action"])
    is_of_label = action != "exclude" and (not is_silent(record) or record.get("of_target") is True)
    if is_of_label and record.get("label_column") in about.beside:
        raise DataError(f"Sample {record.get('index')}: this was decided about the column "
                        f"{record['label_column']!r}; here {about.label_column!r} is looked at.")  # fmt: skip
    if about.given is None or action not in ("keep", "relabel"):
        return action, None
    name = record.get("label_name" if action == "relabel" else "given_name")
    if isinstance(name, str):
        if (label := about.label(name)) is None:
            raise DataError(f"Sample {record.get('index')}: {about.run or about.dataset} has no class {name!r}.")
        return ("keep", None) if label == int(about.given[position]) else ("relabel", label)
    if action == "keep":
        return action, None
    label, k = record.get("label"), len(about.class_names)
    if not (isinstance(label, int) and 0 <= label < k):
        raise DataError(f"Sample {record.get('index')}: expected a label 0 … {k - 1}, got {label!r}.")
    return action, label


def _to_add(record: dict[str, Any], about: Subject | None) -> dict[str, Any]:
    content, name, given = (record.get(part) for part in ("content", "label_name", "given_name"))
    if content is None:
        assert about is not None
        position = int(find(about, [record])[0])
        content, name = about.contents[position], about.name(record.get("label"))
        given = None if about.given is None else about.name(int(about.given[position]))
    if record["action"] == "relabel" and not isinstance(name, str):
        raise DataError(f"Sample {record.get('index')}: expected the new label's name, got {name!r}.")
    return {"sample_id": str(record["id"]), "content": str(content), "action": record["action"],
            "label": record.get("label"), "label_name": name, "given_name": given,
            "given": 0 if record.get("of_target") is True else None, "label_column": record.get("label_column"),
            "reviewer": str(record.get("reviewer", "")), "time": when_of(record)}  # fmt: skip


def when_of(record: dict[str, Any]) -> datetime | None:
    """Return when it was decided or said, aware; None for what a rule decided.

    Raises:
        DataError: the record's time is none.
    """
    if not record.get("time"):
        return None
    try:
        when = datetime.fromisoformat(str(record["time"]))
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)  # SQLite keeps no zone
    except (ValueError, OverflowError) as error:
        raise DataError(f"Sample {record.get('index')}: expected a time, got {record['time']!r}.") from error
