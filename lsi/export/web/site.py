"""A run as a folder for any web server, or none: gallery, map, filter and details, with no Python behind them.

`index.html` brings its script and style, `data.js` the numbers, `images-…` a WebP an image: a folder a run, so that
neither a browser nor an end before its time shows the images of one run under the scores of another. The page asks
nobody else and opens from a disk too. It shows what the run and the reviewers said when it was written.
"""

import base64
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from lsi.audit.label_issues import most_suspect_first
from lsi.data.plan import counted
from lsi.data.thumbnails import placeholder, thumbnail
from lsi.data.trees.outputs import SITE_DATA, SITE_MARK
from lsi.errors import DataError, UnreachableError, UsageError
from lsi.export import charts
from lsi.export.report import without_place
from lsi.export.web import PARTS
from lsi.export.wording import what_lsi_is
from lsi.files import atomic
from lsi.hashing import key
from lsi.runs.records import ACTIONS, as_shown, decision_codes, new_labels, texts_by_sample
from lsi.runs.run import Run

PAGE = "index.html"
SIDE = 256  # px of the longer side of an image; smaller ones stay as they are
_IMAGES = re.compile(r"images(-[0-9a-f]{16})?")  # without a hash: of versions before
_OTHER = (138, 146, 154, 220)


def write_site(
    run: Run,
    folder: Path,
    *,
    positions: np.ndarray | None,
    decisions: pd.DataFrame,
    remarks: list[dict[str, Any]],
) -> Path:
    """Write the site of a run, and return its first page. An earlier site in this folder is written anew.

    Args:
        run: the run.
        folder: where to write: empty, not there yet, or a site that this function wrote.
        positions: (n, 2) of the map; None: no map.
        decisions: those in force, indexed by position, with columns action and label.
        remarks: tags and notes, as `remark_records` gives them.

    Raises:
        UsageError: the folder holds something else.
    """
    check_site_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    images = "" if run.images is None else f"images-{key(run=run.name)}"
    if images:
        _write_images(run, folder / images)
    with atomic(folder / SITE_DATA) as temporary:
        text = json.dumps({"base": images} | _data(run, positions, decisions, remarks), allow_nan=False)
        temporary.write_text(f"{SITE_MARK}{text};\n", encoding="utf-8")
    with atomic(folder / PAGE) as temporary:
        temporary.write_text(_page(run), encoding="utf-8")
    for other in folder.iterdir():
        if other.is_dir() and _IMAGES.fullmatch(other.name) and other.name != images:
            _remove_images(other, keep=set())
    return folder / PAGE


def check_site_folder(folder: Path) -> None:
    """Raise where a site would lie among files that are somebody else's.

    Raises:
        UsageError: the folder holds something, and no site.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    data = folder / SITE_DATA
    if data.is_file():
        with data.open("rb") as file:
            is_ours = file.read(len(SITE_MARK)) == SITE_MARK.encode()
    else:  # one whose first writing was ended before its data came
        is_ours = all(
            _IMAGES.fullmatch(path.name) and path.is_dir() and all(map(_is_numbered, path.iterdir()))
            for path in folder.iterdir()
        )
    if not is_ours:
        raise UsageError(f"{folder} holds other files: name an empty folder, or one with a site of an earlier report.")


def _write_images(run: Run, folder: Path) -> None:
    """Write a WebP for each sample, and take away those that an earlier site had more."""
    folder.mkdir(exist_ok=True)
    assert run.images is not None
    _remove_images(folder, keep={f"{position}.webp" for position in range(len(run.scores))})
    for position in range(len(run.scores)):
        try:
            data = thumbnail(run.images.read(position), SIDE)
        except UnreachableError:
            raise
        except DataError as error:  # never another image under an old score
            data = placeholder(str(error), 128)
        with atomic(folder / f"{position}.webp") as temporary:
            temporary.write_bytes(data)


def _remove_images(folder: Path, keep: set[str]) -> None:
    """Take away the images of an earlier site, and their folder where it holds nothing else."""
    for path in folder.iterdir():
        if _is_numbered(path) and path.name not in keep:
            path.unlink()
    if not keep and not any(folder.iterdir()):
        folder.rmdir()


def _is_numbered(path: Path) -> bool:
    return path.suffix == ".webp" and path.stem.isdecimal()


def _data(
    run: Run, positions: np.ndarray | None, decisions: pd.DataFrame, remarks: list[dict[str, Any]]
) -> dict[str, Any]:
    table, n = run.captioned(), len(run.scores)
    if run.task == "classification":
        decisions = as_shown(decisions, table["is_label_issue"].to_numpy())
    given, predicted, texts = run.caption_codes()
    columns = {"given": (given, np.int32), "predicted": (predicted, np.int32), "lsi": (table["lsi"], np.float32),
               "score": (table["label_score"], np.float32),
               "rank": (np.argsort(most_suspect_first(table)), np.int32), "issue": (table["is_label_issue"], np.uint8),
               "decision": (decision_codes(n, decisions), np.uint8),
               "label": (new_labels(n, decisions), np.int32)}  # fmt: skip
    colours, legends = {}, {}
    if positions is not None:
        columns |= {"x": (positions[:, 0], np.float32), "y": (positions[:, 1], np.float32)}
        colours, legends = _colours(run, table)
    said = {kind: texts_by_sample(run.subject, remarks, kind) for kind in ("tag", "note")}
    spoken = {i: [tags or [], notes or []] for i, (tags, notes) in enumerate(zip(*said.values(), strict=True))
              if tags or notes}  # fmt: skip
    return {
        "name": run.name, "noun": run.noun, "task": run.task, "classes": texts, "actions": ["", *ACTIONS],
        "suffix": ".webp",
        "ids": [without_place(run, str(name)) for name in table["id"]],
        "texts": table["text"].astype(str).tolist() if run.images is None and "text" in table.columns else [],
        "columns": {name: _packed(values, kind) for name, (values, kind) in columns.items()},
        "colours": {name: _packed(values, np.uint8) for name, values in colours.items()},
        "legends": legends, "said": spoken,
    }  # fmt: skip


def _colours(run: Run, table: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, list[list[str]]]]:
    """Return (n, 4) colours of the points by what they can show, and what the colours mean, as the map takes it."""
    colours = {"LSI": charts.colours(table["lsi"].to_numpy(), "number")}
    legends = {"LSI": [[*entry, ""] for entry in charts.RANKS]}
    if run.task != "classification":
        return colours, legends
    given, names = table["given_label"].to_numpy(), run.class_names
    most = np.argsort(-np.bincount(given, minlength=len(names)), kind="stable")[: len(charts.PALETTE)]
    place = np.full(len(names), -1)
    place[most] = np.arange(len(most))
    colours["Class"] = charts.colours(place[given].clip(0), "category")
    colours["Class"][place[given] < 0] = _OTHER
    legends["Class"] = [[charts.PALETTE[i], names[c], ""] for i, c in enumerate(most)]
    if len(most) < len(names):
        legends["Class"].append([f"rgb{_OTHER[:3]}", counted(len(names) - len(most), "other class"), ""])
    colours["Suspected"] = charts.colours(table["is_label_issue"].to_numpy().astype(int), "category")
    legends["Suspected"] = [[charts.PALETTE[i], text, ""] for i, text in enumerate(("not suspected", "suspected"))]
    return colours, legends


def _packed(values: Any, kind: type) -> str:
    """Return numbers as base64 of their bytes, little-endian, as a browser reads them."""
    array = np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(array.tobytes()).decode()


def _page(run: Run) -> str:
    parts = {name: Markup((PARTS / f"{name}.html").read_text(encoding="utf-8")) for name in ("gallery", "map")}
    style = "".join((PARTS / f"{name}.css").read_text(encoding="utf-8") for name in ("site", "gallery", "map"))
    script = "".join([*map(_component, ("gallery", "map")), (PARTS / "site.js").read_text(encoding="utf-8")])
    return _template().render(
        title=f"{run.manifest['dataset']['name']}: which {run.noun} matter?",
        what=what_lsi_is(run.noun),
        run=run,
        summary=run.manifest["summary"],
        style=Markup(style),
        script=Markup(script),
        parts=parts,
    )


def _component(name: str) -> str:
    """Return a component as a function of a classic script: a browser loads no module from a disk."""
    text = (PARTS / f"{name}.js").read_text(encoding="utf-8")
    head, found, rest = text.partition("export default function ")
    assert found
    return f"const {name} = (() => {{\n{head}const render = function {rest}\nreturn render;\n}})();\n"


@cache
def _template():
    loader = FileSystemLoader(PARTS)
    return Environment(loader=loader, autoescape=select_autoescape(default=True)).get_template("site.html.jinja")
