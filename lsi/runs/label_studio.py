"""What people answered in Label Studio, as decisions: its JSON and JSON-MIN exports.

Format: https://labelstud.io/guide/export. Tasks are those that an export of ours wrote: they name dataset, id and
content of their sample, so that neither the run nor its cache is needed.
"""

from typing import Any

from lsi.errors import DataError

LABEL, DECISION = "label", "decision"  # the two questions of the interface
_OTHERS = ("exclude", "unsure")


def decisions_of(tasks: list[Any]) -> dict[str, Any]:
    """Return the answers as what decisions.json holds; skipped tasks and those without an answer say nothing.

    The class that is given confirms it, another one relabels, and exclude or unsure stand before both. Of several
    people everyone's answer is a decision of their own.

    Raises:
        DataError: tasks are not those of an export, of several datasets, or an answer is none.
    """
    if not tasks:
        raise DataError("There is no task in this file.")
    records, datasets = [], set()
    for number, task in enumerate(tasks):
        data = _data(task, number)
        datasets.add(data["lsi_dataset"])
        for answer in _answers(task, data):
            record = _record(data, *answer)
            if record is not None:
                records.append(record)
    if len(datasets) > 1:
        raise DataError(
            f"These tasks are of several datasets ({', '.join(sorted(map(str, datasets)))}): export each alone."
        )
    records.sort(key=lambda record: str(record["time"]))  # ISO times of one zone
    return {"dataset": datasets.pop(), "decisions": records}


def _data(task: Any, number: int) -> dict[str, Any]:
    """Return the fields of a task, which JSON-MIN has at its top."""
    data = task.get("data", task) if isinstance(task, dict) else None
    needed = ("lsi_dataset", "lsi_id", "lsi_content", "given_label")
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in needed):
        raise DataError(
            f"Task {number}: expected a Label Studio export (JSON or JSON-MIN) of tasks that `lsi export --tools "
            "label-studio` wrote, with lsi_dataset, lsi_id, lsi_content and given_label in their data."
        )
    return data


def _answers(task: dict[str, Any], data: dict[str, Any]) -> list[tuple[dict[str, str], str, str]]:
    """Return of each answer what was chosen for each question, by whom, and when."""
    if "annotations" not in task:  # JSON-MIN: a row an answer
        chosen = {name: _choice(data.get(name), data) for name in (LABEL, DECISION)}
        return [({k: v for k, v in chosen.items() if v}, _person(task.get("annotator")), _time(task))]
    found = []
    for annotation in task["annotations"] or ():
        if not isinstance(annotation, dict) or annotation.get("was_cancelled"):
            continue
        chosen = {}
        for result in annotation.get("result") or ():
            if isinstance(result, dict) and result.get("from_name") in (LABEL, DECISION):
                value = result.get("value")
                chosen[result["from_name"]] = _choice(value if isinstance(value, dict) else None, data)
        found.append((chosen, _person(annotation.get("completed_by")), _time(annotation)))
    return found


def _choice(value: Any, data: dict[str, Any]) -> str:
    """Return the one text that was chosen, empty for none."""
    choices = value.get("choices", []) if isinstance(value, dict) else [] if value is None else [value]
    if not all(isinstance(one, str) for one in choices) or len(choices) > 1:
        raise DataError(f"Sample {data['lsi_id']!r}: expected one choice of a text, got {choices!r}.")
    return choices[0] if choices else ""


def _record(data: dict[str, Any], chosen: dict[str, str], person: str, when: str) -> dict[str, Any] | None:
    record = {"id": data["lsi_id"], "content": data["lsi_content"], "given_name": data["given_label"],
              "label_name": None, "reviewer": person, "time": when}  # fmt: skip
    if chosen.get(DECISION):
        if chosen[DECISION] not in _OTHERS:
            raise DataError(f"Sample {data['lsi_id']!r}: expected {' or '.join(_OTHERS)}, got {chosen[DECISION]!r}.")
        return record | {"action": chosen[DECISION]}
    if not chosen.get(LABEL):
        return None
    if chosen[LABEL] == data["given_label"]:
        return record | {"action": "keep"}
    return record | {"action": "relabel", "label_name": chosen[LABEL]}


def _person(who: Any) -> str:
    """Return a name for whoever answered: an address where the export has it, else their number."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return who if isinstance(who, str) and who else f"label-studio {who}" if who is not None else "label-studio"


def _time(facts: dict[str, Any]) -> str:
    return str(facts.get("updated_at") or facts.get("created_at") or "")
