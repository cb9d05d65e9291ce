"""What other tools read: tasks for Label Studio, and a script that makes a FiftyOne dataset."""

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lsi.errors import UsageError
from lsi.export.label_studio import LOCAL_FILES, refuse_unshown, write_tasks
from lsi.export.selection import Selection
from lsi.export.tables import file_paths, final_labels, relabelled
from lsi.files import atomic, write_json
from lsi.runs.labels import labels_in_data
from lsi.runs.records import texts_by_sample
from lsi.runs.run import Run

Tool = Literal["label-studio", "fiftyone"]
SCRIPT, SAMPLES = "fiftyone_dataset.py", "fiftyone.json"


def write_for(
    run: Run,
    selection: Selection,
    folder: Path,
    tool: Tool,
    image_root: str = LOCAL_FILES,
    remarks: list[dict[str, Any]] | None = None,
) -> list[Path]:
    """Write what a tool reads, and return the paths.

    Args:
        run: the run.
        selection: Label Studio gets the kept samples, FiftyOne all of them.
        folder: where to write.
        tool: which one.
        image_root: of Label Studio: what stands before the path of an image.
        remarks: of FiftyOne: tags that people put on samples, as `remark_records` gives them.

    Raises:
        UsageError: the tool cannot show these samples.
        DataError: an image cannot be read.
    """
    refuse_tool(run, tool)
    if tool == "label-studio":
        return write_tasks(run, selection.kept, folder, image_root)
    paths = file_paths(run)
    assert paths is not None  # else it was refused
    write_json(folder / SAMPLES, {"run": run.name, "samples": _rows(run, selection, paths, remarks or [])})
    with atomic(folder / SCRIPT) as temporary:
        shutil.copyfile(Path(__file__).with_name(SCRIPT), temporary)
    return [folder / SAMPLES, folder / SCRIPT]


def refuse_tool(run: Run, tool: Tool) -> None:
    """Raise where a tool cannot show the samples of a run.

    Args:
        run: the run.
        tool: which one.

    Raises:
        UsageError: it cannot.
    """
    images = run.images
    if tool == "label-studio":
        refuse_unshown(run)
    elif images is None or not all(isinstance(images.source(i), Path) for i in range(len(run.scores))):
        raise UsageError(
            f"{run.name}: these images do not lie in files of their own. Export them with --images copy, and load that "
            "folder as an ImageClassificationDirectoryTree."
        )


def _rows(run: Run, selection: Selection, paths: list[str], remarks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one record a sample: path, id, labels, scores, and tags: suspected, excluded, relabelled, and people's.

    The given label is that of the data, whatever was decided before the run.

    Args:
        run: the run.
        selection: what is removed and relabelled.
        paths: of the n images.
        remarks: tags and notes.
    """
    own_tags = texts_by_sample(run.subject, remarks, "tag")
    table, has_labels = run.scores, run.task == "classification"
    names, labels, in_data = run.class_names, final_labels(run, selection), labels_in_data(run)
    removed, changed, rows = set(selection.removed.tolist()), set(relabelled(run, selection).tolist()), []
    for position, row in enumerate(table.to_dict("records")):
        tags = ["suspected"] * bool(row["is_label_issue"]) + ["excluded"] * (position in removed)
        tags += ["relabelled"] * (position in changed)
        tags += [str(row["split"])] if row.get("split") else []
        tags += [tag for tag in own_tags[position] or () if tag not in tags]
        rows.append({
            "path": paths[position], "lsi_id": str(row["id"]), "tags": tags,
            "given_label": in_data[position] if has_labels else None,
            "label": names[int(labels[position])] if has_labels else None,
            "suggested_label": names[int(row["suggested_label"])] if has_labels else None,
            "lsi": float(row["lsi"]), "label_score": _number(row["label_score"]),
            "near_duplicate_group": int(row["near_duplicate_group"]),
        })  # fmt: skip
    return rows


def _number(value: Any) -> float | None:
    """Return a number as JSON can hold it."""
    return float(value) if np.isfinite(value) else None
