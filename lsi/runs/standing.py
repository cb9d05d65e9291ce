"""What stands of the decisions about a dataset, as one run has samples and classes: pure functions of their rows.

Keep and relabel say what the label is. In a run whose given label is another one, keep becomes a relabel to the label
that was kept, and a relabel becomes keep where the given label is the new one already.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lsi.runs.records import decision_records, find, is_kept_apart, states_label, when_of
from lsi.runs.rows import stamp
from lsi.runs.subject import Subject

_WHOSE = ("sample_id", "content", "reviewer", "time", "undone")  # columns of the history
FOREIGN = "foreign"  # the action of a decision for a class that the run does not know
_COLUMNS = ["action", "label", "reviewer", "time", "given", "score", "disputed", "is_of_label", "given_name"]


def standing(history: pd.DataFrame, about: Subject) -> pd.DataFrame:
    """Return the rows that are not undone, on samples of the run, as the run has samples and labels.

    `is_of_label` is False for a keep or an exclusion that was said of a sample and not of its label, or target: as no
    duplicate of others or as one, or where the run has classes and the one that it was made in had none; and for what
    was said of other labels of the same sample.
    """
    rows = history[~history["undone"]]
    ids, contents = rows["sample_id"].fillna("").tolist(), rows["content"].fillna("").tolist()
    of_run = rows["dataset"].isna().to_numpy()
    positions = np.where(of_run, rows["sample"].to_numpy(dtype=np.int64), about.find(ids, contents))
    rows = rows.assign(sample=positions)[positions >= 0]
    if rows.empty:
        return rows.assign(is_of_label=True)
    actions, labels = zip(*(_in_run(about, row) for row in rows.to_dict("records")), strict=True)
    of_label, of_others = _is_of_label(rows), _is_of_other_labels(about, rows)
    if about.given is None:  # what was shown with a given label was decided about the target
        of_label |= rows["given"].notna()
    actions = np.where(of_others, FOREIGN, np.array(actions, dtype=object))
    return rows.assign(action=actions, label=labels, is_of_label=of_label & ~of_others)


def _is_of_other_labels(about: Subject, rows: pd.DataFrame) -> pd.Series:
    """Return which rows speak of another column of labels of the same data: they name it, or no class of the run.

    A class that has gone since is known where a row names it beside one of the run. An exclusion is of the sample.
    """
    of_column = rows["label_column"].isin(about.beside) & (rows["given"].notna() | rows["given_name"].notna())
    names = rows[["given_name", "label_name"]]
    of_these = names[names.isin(about.class_names).any(axis=1)]
    beside = {name for name in of_these.to_numpy().ravel() if isinstance(name, str)}
    is_known = names.isin([*about.class_names, *beside]).any(axis=1)
    of_others = rows["given_name"].notna() & ~is_known & (about.given is not None)
    return (rows["action"] != "exclude") & (of_column | of_others)


def _is_of_label(rows: pd.DataFrame) -> pd.Series:
    return ~rows["action"].isin(["keep", "exclude"]) | rows["given_name"].notna() | rows["dataset"].isna()


def _speaks(rows: pd.DataFrame) -> pd.Series:
    """Return which rows of the history say something of the label, or that the sample leaves, for whatever reason."""
    return (rows["action"] != "keep") | _is_of_label(rows)


def in_force(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the latest of the standing rows of each sample, indexed by it, without those taken back or foreign.

    A keep that says nothing of the label leaves in force what was said of it before, and so does what was said of
    other labels.
    """
    latest = _latest(rows, ["sample"]).set_index("sample")
    latest = latest.assign(disputed=latest.index.isin(disagreements(rows)))
    return latest.loc[~latest["action"].isin(["clear", FOREIGN]), _COLUMNS]


def _latest(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the latest row of each group; where that keeps a sample alone, the latest of its label, if it stands."""
    latest = rows.drop_duplicates(by, keep="last")
    apart = latest[_is_apart(latest)]
    if apart.empty:
        return latest
    of_label = rows[~_is_apart(rows)].drop_duplicates(by, keep="last")
    of_label = of_label[of_label["action"].isin(["keep", "relabel"])]
    said = of_label[pd.MultiIndex.from_frame(of_label[by]).isin(pd.MultiIndex.from_frame(apart[by]))]
    is_said = pd.MultiIndex.from_frame(latest[by]).isin(pd.MultiIndex.from_frame(said[by]))
    return pd.concat([latest[~is_said], said])


def _is_apart(rows: pd.DataFrame) -> np.ndarray:
    return is_kept_apart(rows) | ((rows["action"] == FOREIGN) & ~rows["is_of_label"].astype(bool)).to_numpy()


class _Said(NamedTuple):
    """A row about a sample: who decided and when, in seconds since 1970, and whether it counts and for what."""

    reviewer: str
    time: float
    is_undone: bool
    speaks: bool


def _begun(manifest: dict[str, Any]) -> float:
    """Return when the computation of a run began, in seconds since 1970."""
    return datetime.fromisoformat(manifest["created"]).timestamp() - sum(manifest.get("seconds", {}).values())


def still_standing(
    before: list[dict[str, Any]], about: Subject, history: pd.DataFrame, manifest: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return those of the records that a run started from which nobody has taken back or changed since.

    Args:
        before: the records.
        about: the samples of the run.
        history: of the dataset.
        manifest: of the run: it says when the run was begun, which is when what a rule left out was decided.
    """
    rows: dict[tuple[str, str], list[_Said]] = {}
    current = in_force(standing(history, about))
    history = history[~_is_of_other_labels(about, history)]
    for sample, content, who, when, *marks in zip(*(history[c] for c in _WHOSE), _speaks(history), strict=True):
        rows.setdefault((sample, content), []).append(_Said(who, stamp(when), *marks))
    held = decision_records(about, current[current["action"].isin(["keep", "unsure"])])
    others = elsewhere(history, about)
    others = [r for r, i in zip(others, find(about, others).tolist(), strict=True) if i not in current.index]
    now = {(record["id"], record["content"]): record for record in [*held, *others]}
    still = []
    for record, position in zip(before, find(about, before).tolist(), strict=True):
        sample, when = (record["id"], record["content"]), when_of(record)
        met = _is_met(record, _begun(manifest) if when is None else stamp(when), rows.get(sample, ()))
        if met and sample in now:
            still.append(record | now[sample])
        elif not met or position in current.index:
            still.append(record)
    return still


def _is_met(record: dict[str, Any], since: float, rows: Iterable[_Said]) -> bool:
    """Say whether what stands here takes the place of a record that a run started from.

    Its own row does, undone or not, and every later one that stands. A keep that says nothing of the label takes the
    place of none that says what the label is.
    """
    stated = states_label(record)
    return any(
        (row.reviewer, row.time) == (record["reviewer"], since)
        or (row.time > since and not row.is_undone and (row.speaks or not stated))
        for row in rows
    )


def n_foreign(rows: pd.DataFrame) -> int:
    """Return on how many samples the latest of the standing rows names a class that the run does not know."""
    of_label = rows[~is_kept_apart(rows)]
    return int((of_label.drop_duplicates("sample", keep="last")["action"] == FOREIGN).sum())


def disagreements(rows: pd.DataFrame) -> list[int]:
    """Return the samples on which the latest standing rows of two reviewers differ.

    A keep that says nothing of the label contradicts no other label.
    """
    latest = _latest(rows, ["sample", "reviewer"])
    doubted = latest["sample"][latest["action"].isin(["exclude", "unsure"])]
    silent = ~latest["is_of_label"].to_numpy(dtype=bool) & ~latest["sample"].isin(doubted)
    latest = latest[(latest["action"] != "clear") & ~silent]
    decided = [f"{action}/{label}" for action, label in zip(latest["action"], latest["label"], strict=True)]
    counts = latest.assign(decided=decided).groupby("sample")["decided"].nunique()
    return [int(s) for s in counts.index[counts > 1]]


def elsewhere(history: pd.DataFrame, about: Subject) -> list[dict[str, Any]]:
    """Return as records what is in force that is not about the run.

    It is on samples that the run does not have, for a class that it does not know, or of another column of labels.
    """
    rows = history[~history["undone"] & history["dataset"].notna()]
    is_other = _is_of_other_labels(about, rows)
    return _elsewhere(rows[~is_other], about) + _elsewhere(rows[is_other], None)


def _elsewhere(rows: pd.DataFrame, about: Subject | None) -> list[dict[str, Any]]:
    """Return as records what is in force among rows, without what the run, if there is one, has and knows."""
    rows = _latest(rows.assign(is_of_label=_is_of_label(rows)), ["sample_id", "content"])
    rows = rows[rows["action"] != "clear"].sort_index()
    if about is None:
        return [_record(row) for row in rows.to_dict("records")]
    positions = about.find(rows["sample_id"].tolist(), rows["content"].tolist())
    return [
        _record(row)
        for row, at in zip(rows.to_dict("records"), positions.tolist(), strict=True)
        if at < 0 or _in_run(about, row | {"sample": at})[0] == FOREIGN
    ]


def _record(row: dict[Any, Any]) -> dict[str, Any]:
    names = {name: None if pd.isna(row[name]) else str(row[name]) for name in ("label_name", "given_name")}
    of = {} if pd.isna(row["label_column"]) else {"label_column": str(row["label_column"])}
    who = {"reviewer": str(row["reviewer"]), "time": str(row["time"])}
    of_target = row["action"] == "keep" and names["given_name"] is None and not pd.isna(row["given"])
    return {"id": row["sample_id"], "content": row["content"], "action": row["action"], "label": None, **names, **who,
            **of, **({"of_target": True} if of_target else {})}  # fmt: skip


def _in_run(about: Subject, row: dict[Any, Any]) -> tuple[str, int | None]:
    """Return a decision on a class label as the run would say it: action, and label of a relabel."""
    action, position = str(row["action"]), int(row["sample"])
    if about.given is None:
        return FOREIGN if action == "relabel" else action, None
    if action not in ("keep", "relabel"):
        return action, None
    number, name = (row["label"], row["label_name"]) if action == "relabel" else (row["given"], row["given_name"])
    if pd.isna(row["dataset"]):  # made in this very run, by a version that knew no names
        return action, None if action == "keep" else int(number)
    if pd.isna(name):
        return action, None
    label = about.label(str(name))
    if label is None:
        return FOREIGN, None
    return ("keep", None) if label == int(about.given[position]) else ("relabel", label)
