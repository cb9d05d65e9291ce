"""Tasks for Label Studio: what it shows, what is suggested, and the names by which its answers are found again.

Format: https://labelstud.io/guide/predictions and https://labelstud.io/guide/storage (local files). Answers come back
as decisions through `lsi.runs.label_studio`.
"""

import base64
import mimetypes
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from lsi.data.images import encoded
from lsi.errors import UsageError
from lsi.export.tables import file_paths
from lsi.files import atomic, write_json
from lsi.runs.images import RunImages
from lsi.runs.label_studio import DECISION, LABEL
from lsi.runs.run import Run

LOCAL_FILES = "/data/local-files/?d="  # Label Studio's own address of files below its LOCAL_FILES_DOCUMENT_ROOT
TASKS, CONFIG = "label-studio.json", "label-studio.xml"


def refuse_unshown(run: Run) -> None:
    """Raise where Label Studio cannot show the samples of a run.

    Raises:
        UsageError: the run has no class labels, or its samples have neither images nor text.
    """
    run.need_labels("Label Studio")
    if run.images is None and "text" not in run.scores.columns:
        raise UsageError(f"{run.name} has neither images nor text that Label Studio could show.")


def write_tasks(run: Run, positions: np.ndarray, folder: Path, image_root: str = LOCAL_FILES) -> list[Path]:
    """Write one task a sample, the least likely labels first, and the labelling interface; return both paths.

    A task holds the sample, its given and suggested label, label_score and lsi, whether the label is suspected, and
    the suggestion as a prediction whose score is the label_score. Images that lie in files are named by their path
    below the data's folder; others travel in the task.

    Args:
        run: a run of labels.
        positions: (s,) rows of its table.
        folder: where to write.
        image_root: what stands before the path of an image: an address, or a folder that Label Studio serves.

    Raises:
        UsageError: the run has no class labels, or its samples have neither images nor text.
        DataError: an image that travels in a task cannot be read.
    """
    refuse_unshown(run)
    images = run.images
    kind = "image" if images is not None else "text"
    names, paths = run.class_names, file_paths(run) if images is not None else None
    order = np.asarray(positions)[np.argsort(run.scores["label_score"].to_numpy()[positions], kind="stable")]
    tasks = []
    for position in order.tolist():
        row = run.scores.iloc[position]
        shown = str(row["text"]) if images is None else _address(images, position, paths, image_root)
        suggested = names[int(row["suggested_label"])]
        data = {kind: shown, "lsi_dataset": run.subject.dataset, "lsi_id": str(row["id"]),
                "lsi_content": str(run.subject.contents[position]), "given_label": names[int(row["given_label"])],
                "suggested_label": suggested, "label_score": round(float(row["label_score"]), 6),
                "lsi": float(row["lsi"]), "is_suspected": bool(row["is_label_issue"])}  # fmt: skip
        answer = {"id": "suggestion", "type": "choices", "from_name": LABEL, "to_name": kind,
                  "value": {"choices": [suggested]}}  # fmt: skip
        tasks.append({"data": data, "predictions": [
            {"model_version": run.name, "score": data["label_score"], "result": [answer]}]})  # fmt: skip
    write_json(folder / TASKS, tasks)
    with atomic(folder / CONFIG) as temporary:
        temporary.write_text(interface(kind, names), encoding="utf-8")
    return [folder / TASKS, folder / CONFIG]


def interface(kind: str, class_names: list[str]) -> str:
    """Return the labelling interface: the sample, its given label, one choice of class, and two ways out.

    Args:
        kind: image or text.
        class_names: k texts.
    """
    shown = (
        '<Image name="image" value="$image" zoom="true"/>' if kind == "image" else '<Text name="text" value="$text"/>'
    )
    choices = "\n".join(f"    <Choice value={quoteattr(name)}/>" for name in class_names)
    return f"""<View>
  <Header value="Given: $given_label"/>
  {shown}
  <Choices name="{LABEL}" toName="{kind}" choice="single-radio" showInline="true">
{choices}
  </Choices>
  <Choices name="{DECISION}" toName="{kind}" choice="single-radio" showInline="true">
    <Choice value="exclude"/>
    <Choice value="unsure"/>
  </Choices>
</View>
"""


def _address(images: RunImages, position: int, paths: list[str] | None, image_root: str) -> str:
    """Return where Label Studio finds an image: its file, or the image itself where it lies in no file of its own."""
    if paths is not None and isinstance(images.source(position), Path):
        return image_root + quote(paths[position])
    data, suffix = encoded(images, position)
    kind = mimetypes.guess_type(f"image{suffix}")[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
