"""Decisions that a run starts from: what was excluded leaves, new labels count, confirmed ones are not suspected.

They come from a file that an export wrote, or from the database of decisions, and are matched by id and content, so
that they hold for any copy of the data and for one that grew.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lsi.config import DATABASE, Settings, Task
from lsi.data import Dataset
from lsi.errors import DataError, LsiError, UsageError
from lsi.files import read_json
from lsi.hashing import fingerprint, key
from lsi.runs.listing import list_runs
from lsi.runs.records import decision_records, find, in_force, is_by_rule, records_of, when_of
from lsi.runs.run import Run
from lsi.runs.subject import Subject, label_column

_KEPT = ("id", "content", "action", "label_name", "given_name", "reviewer", "time")  # of a record; all but its places


@dataclass(frozen=True)
class Decided:
    """What was decided before a run.

    Attributes:
        records: the decisions on its data, as `decision_records` gives them, of samples that left too.
        confirmed: (n,) whether a person said what the label is, of the samples that stay.
        label_in_data: (n,) texts, the labels before these decisions: the data's, or what noise made of them; None
            where there are no classes.
        facts: what the manifest says: parent run, and numbers of decisions.
    """

    records: list[dict[str, Any]]
    confirmed: np.ndarray
    label_in_data: np.ndarray | None
    facts: dict[str, Any]

    @property
    def mark(self) -> str:
        """A hash of all that changes a run beside samples and labels: the records too, which it keeps and counts."""
        texts = [] if self.label_in_data is None else self.label_in_data.tolist()
        said = [{name: record[name] for name in _KEPT} for record in self.records]
        without = self.facts["n_elsewhere"], self.facts["n_decisions"]
        records = key(records=sorted(said, key=lambda record: record["id"]), without_effect=without)
        return fingerprint(self.confirmed, *texts, records)


def subject_of(dataset: Dataset, task: Task) -> Subject:
    """Return the samples of a dataset as decisions name them, with their classes where these are what is learnt."""
    names, given = (dataset.class_names, dataset.labels) if task == "classification" else ((), None)
    contents = dataset.checksums if dataset.images is None else dataset.image_contents
    columns = {} if dataset.plan is None else dict(dataset.plan.columns)
    column = label_column(columns, dataset.target_names if task == "regression" else ())
    beside = frozenset() if dataset.metadata is None else frozenset(map(str, dataset.metadata.columns))
    return Subject("", dataset.name, dataset.ids.astype(str), contents, names, given, dataset.source_index, column,
                   beside - {column})  # fmt: skip


def apply_decisions(
    dataset: Dataset, task: Task, settings: Settings, cache: Path
) -> tuple[Dataset, np.ndarray, Decided]:
    """Return the dataset without what was excluded and under its new labels, positions (s,) of what stays, and why.

    Args:
        dataset: n samples.
        task: what is learnt of them.
        settings: what is computed; its decisions are "database", or the path of a decisions.json.
        cache: whose database of decisions is meant.

    Raises:
        UsageError: there are no decisions about these data.
        DataError: it is no file of decisions, or a class is unknown.
    """
    about, source = subject_of(dataset, task), str(settings.decisions)
    if source == DATABASE:
        parent, records, n_elsewhere = _of_database(about, settings, cache)
        n_decisions = len(records) + n_elsewhere
    else:
        parent, records = _of_file(Path(source))
        n_elsewhere, n_decisions = int((find(about, records) < 0).sum()), len(records)
    decided = in_force(about, records)
    if decided.empty:
        where = "The database of decisions" if source == DATABASE else source
        raise UsageError(f"{where} holds no decisions on the samples of {dataset.name}: decide first, or leave "
                         "--decisions out.")  # fmt: skip
    positions, actions = decided.index.to_numpy(), decided["action"].to_numpy()
    labels, stays, confirmed = dataset.labels.copy(), np.ones(len(dataset), bool), np.zeros(len(dataset), bool)
    changed = actions == "relabel"
    labels[positions[changed]] = decided["label"].to_numpy()[changed].astype(np.int64)
    stays[positions[actions == "exclude"]] = False
    is_kept = (actions == "keep") & decided["is_of_label"].to_numpy()
    confirmed[positions[changed | is_kept]] = True
    chosen = np.flatnonzero(stays)
    before = np.array(dataset.class_names, dtype=object)[dataset.labels] if task == "classification" else None
    cleaned, _ = replace(dataset, labels=labels).take(chosen).without_empty_classes()
    if task == "classification":
        cleaned.check_trainable()
    now = decision_records(about, decided)  # one a sample, with its row in the source as it is now
    n_by_rule = sum(map(is_by_rule, now))
    facts = {"parent": parent, "source": DATABASE if source == DATABASE else "file",
             "n_excluded": int((~stays).sum()) - n_by_rule, "n_by_rule": n_by_rule,
             "n_relabelled": int(changed.sum()), "n_confirmed": int(is_kept.sum()),
             "n_elsewhere": n_elsewhere, "n_decisions": n_decisions}  # fmt: skip
    return cleaned, chosen, Decided(now, confirmed[chosen], None if before is None else before[chosen], facts)


def _of_file(path: Path) -> tuple[str | None, list[dict[str, Any]]]:
    content = read_json(path)
    if content is None:
        raise DataError(f"--decisions {path}: there is no such file, or it is no JSON.")
    records = records_of(content)
    for record in records:
        when_of(record)  # refuses what is no time: the run keeps it, and its pages compare it
    return content.get("run") if isinstance(content, dict) else None, records


def _of_database(about: Subject, settings: Settings, cache: Path) -> tuple[str | None, list[dict[str, Any]], int]:
    from lsi.runs.decisions import Reviews  # SQLAlchemy takes half a second to import, and few runs need it

    reviews = Reviews.of_cache(cache)
    try:
        history = reviews.history(about)
        is_here = about.find(history["sample_id"].fillna("").tolist(), history["content"].fillna("").tolist()) >= 0
        made_on = [name for name in history["run"][is_here] if name]
        alike = [run.name for run in list_runs(cache) if _is_alike(run, settings)]
        parent = [*alike[:1], *made_on[-1:]]
        records = decision_records(about, reviews.current(about))
        return (parent[0] if parent else None), records, len(reviews.elsewhere(about))
    finally:
        reviews.close()


def _is_alike(run: Run, settings: Settings) -> bool:
    """Say whether a run was computed from the same data with the same settings, decisions aside."""
    names = ("data", "noise", "features", "score", "seed")
    try:
        return all(getattr(run.settings, name) == getattr(settings, name) for name in names)
    except (LsiError, KeyError, TypeError, ValueError):  # of a version whose settings this one cannot read
        return False
