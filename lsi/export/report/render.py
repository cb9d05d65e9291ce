"""From a run to the page: figures by Plotly, text by a template that escapes everything that comes from data."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup

from lsi.audit.curation import CurationCheck
from lsi.audit.label_issues import most_suspect_first
from lsi.data import Images
from lsi.data.thumbnails import thumbnail
from lsi.errors import DataError
from lsi.export import charts
from lsi.export.wording import high_means, quality_words, what_lsi_is
from lsi.runs.numbers import nats
from lsi.runs.reading import knows_duplicates
from lsi.runs.records import is_kept_apart, when_of
from lsi.runs.run import Run
from lsi.runs.titles import unusual_settings

EXTREMES, SUSPECTS, MAP_POINTS = 12, 24, 5_000
# the part of plotly.js that draws what a report holds, a third of the whole: npm's plotly.js-cartesian-dist-min
PLOTLY = Path(__file__).with_name("plotly-cartesian.min.js")
_SIZE = 128


@dataclass(frozen=True)
class Check:
    """What was curated, in words, and the check of that; where it could not be made, None and `why` not."""

    what: str
    result: CurationCheck | None
    why: str = ""


def render(
    run: Run, *, check: Check | None, positions: np.ndarray | None, decisions: pd.DataFrame | None = None
) -> str:
    """Return the report as HTML.

    Args:
        run: the run.
        check: of a curated set; None: nothing was curated.
        positions: (n, 2) of the map; None: no map.
        decisions: those in force, indexed by position, with columns action and label; None: none.
    """
    manifest, names, images = run.manifest, run.class_names, run.images
    table = run.captioned()
    by_lsi = np.argsort(-table["lsi"].to_numpy(), kind="stable")
    suspects = np.flatnonzero(table["is_label_issue"])
    suspects = suspects[most_suspect_first(table.iloc[suspects])]

    def tiles(rows: np.ndarray) -> list[dict[str, Any]]:
        return [_tile(run, table.iloc[int(i)], int(i), images) for i in rows]

    lsi = table["lsi"].to_numpy()
    figures = {"histogram": charts.histogram(lsi, lsi), "budget": charts.budget(lsi, 0.8)}
    if run.task == "classification":
        figures |= {"classes": charts.lsi_boxes_by_class(table, names), "matrix": charts.matrix(table, names)}
    if positions is not None:
        figures["map"] = charts.scatter(positions, lsi, MAP_POINTS)
    return _template().render(
        run=run.name,
        task=run.task,
        high=high_means(run.task),
        manifest=manifest,
        what=what_lsi_is(run.noun),
        plan=[without_place(run, line) for line in run.plan_lines],
        before=_before(run),
        decided=_decided(run, _since(run, decisions), tiles),
        flagged=quality_words(manifest.get("quality")),
        changed=len(images.changes(np.arange(len(table)))) if images is not None else 0,
        noun=run.noun,
        most=tiles(by_lsi[:EXTREMES]),
        least=tiles(by_lsi[::-1][:EXTREMES]),
        suspects=tiles(suspects[:SUSPECTS]),
        check=check,
        knows_duplicates=knows_duplicates(manifest),
        figures={name: _figure(name, figure) for name, figure in figures.items()},
        settings=unusual_settings(run),
        skipped=[{k: without_place(run, v) for k, v in one.items()} for one in manifest["dataset"]["skipped"]],
        plotly=Markup(PLOTLY.read_text(encoding="utf-8")),
    )


def _decided(run: Run, decisions: pd.DataFrame | None, tiles: Callable) -> dict[str, Any]:
    """Return what was decided: numbers by action, and the relabelled and excluded samples as tiles, before and after.

    Args:
        run: the run.
        decisions: those in force.
        tiles: makes tiles of positions.
    """
    if decisions is None or decisions.empty:
        return {}
    of_label = decisions.get("is_of_label", pd.Series(True, decisions.index))
    is_apart = is_kept_apart(decisions.assign(is_of_label=of_label))  # a keep of the sample confirms no label
    counts = decisions["action"].mask(is_apart, "apart").value_counts()
    changed, gone = (decisions[decisions["action"] == action] for action in ("relabel", "exclude"))
    relabelled = tiles(changed.index[:SUSPECTS].to_numpy())
    for tile, label in zip(relabelled, changed["label"], strict=False):
        tile["new"] = run.class_names[int(label)]
    excluded = tiles(gone.index[:SUSPECTS].to_numpy())
    return {"counts": {str(k): int(v) for k, v in counts.items()}, "relabelled": relabelled, "excluded": excluded}


def _before(run: Run) -> dict[str, int]:
    """Return how many samples the decisions that the run started from excluded, relabelled and confirmed."""
    facts = run.manifest.get("decided") or {}
    return {name: facts[f"n_{name}"] for name in ("excluded", "relabelled", "confirmed") if facts.get(f"n_{name}")}


def _since(run: Run, decisions: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the decisions that the run did not start from."""
    if decisions is None or not run.decided_before:
        return decisions
    before = {(str(r["id"]), str(r["content"]), when_of(r)) for r in run.decided_before}
    about, times = run.subject, [when_of({"time": when}) for when in decisions["time"]]
    rows = zip(decisions.index.tolist(), times, strict=True)
    is_new = [(str(about.ids[i]), str(about.contents[i]), when) not in before for i, when in rows]
    return decisions[is_new]


def without_place(run: Run, text: str) -> str:
    """Return a text without the folder that the data lie in: a report is read by others than whoever computed it."""
    data = run.asked("data").get("data")
    return text if data is None else text.replace(f"{Path(data).parent}{os.sep}", "")


def _tile(run: Run, row: Any, position: int, images: Images | None) -> dict[str, Any]:
    picture, missing = "", ""
    if images is not None:
        try:
            data = thumbnail(images.read(position), _SIZE, enlarge=True)
            picture = "data:image/webp;base64," + base64.b64encode(data).decode()
        except DataError as error:  # never another image under an old score: the report says why there is none
            missing = without_place(run, str(error))
    return {
        "picture": picture,
        "missing": missing,
        "text": str(row["text"]) if "text" in row else "",
        "index": int(row["index"]),
        "given": row["given"],
        "predicted": row["predicted"],
        "lsi": nats(float(row["lsi"])),
        "label_score": float(row["label_score"]),
    }


def _figure(name: str, figure: go.Figure) -> Markup:
    """Return a figure as HTML, under a name of its own: the same run is the same report, byte for byte."""
    figure.update_layout(template="plotly_white")
    config = {"displaylogo": False, "responsive": True}
    return Markup(figure.to_html(config, full_html=False, include_plotlyjs=False, div_id=f"figure-{name}"))


@cache
def _template():
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=select_autoescape(default=True)).get_template("report.html.jinja")
