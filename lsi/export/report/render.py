"""From a run to the page: figures by Plotly, text by a template that escapes everything that comes from data."""

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from lsi.audit.curation import CurationCheck
from lsi.data import Images
from lsi.data.thumbnails import thumbnail
from lsi.errors import DataError
from lsi.export import charts
from lsi.export.wording import high_means, quality_words, what_lsi_is
from lsi.runs.run import Run

EXTREMES, SUSPECTS, MAP_POINTS = 12, 24, 30_000
_SIZE = 128


@dataclass(frozen=True)
class Check:
    """The check of a curated set, and what was curated, in words."""

    what: str
    result: CurationCheck


def render(run: Run, *, check: Check | None, positions: np.ndarray | None) -> str:
    """Return the report as HTML.

    Args:
        run: the run.
        check: of a curated set; None: nothing was curated.
        positions: (n, 2) of the map; None: no map.
    """
    manifest, names, images = run.manifest, run.class_names, run.images
    table = run.captioned()
    by_lsi = np.argsort(-table["lsi"].to_numpy(), kind="stable")
    suspects = np.flatnonzero(table["is_label_issue"])
    suspects = suspects[np.argsort(table["label_score"].to_numpy()[suspects], kind="stable")]

    def tiles(rows: np.ndarray) -> list[dict[str, Any]]:
        return [_tile(table.iloc[int(i)], int(i), images) for i in rows]

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
        plan=run.plan_lines,
        flagged=quality_words(manifest.get("quality")),
        changed=len(images.changes()) if images is not None else 0,
        noun=run.noun,
        most=tiles(by_lsi[:EXTREMES]),
        least=tiles(by_lsi[::-1][:EXTREMES]),
        suspects=tiles(suspects[:SUSPECTS]),
        check=check,
        figures={name: _figure(figure) for name, figure in figures.items()},
        settings=json.dumps(manifest["settings"], indent=2, ensure_ascii=False),
        plotly=Markup(get_plotlyjs()),
    )


def _tile(row: Any, position: int, images: Images | None) -> dict[str, Any]:
    picture, missing = "", ""
    if images is not None:
        try:
            data = thumbnail(images.read(position), _SIZE, enlarge=True)
            picture = "data:image/webp;base64," + base64.b64encode(data).decode()
        except DataError as error:  # never another image under an old score: the report says why there is none
            missing = str(error)
    return {
        "picture": picture,
        "missing": missing,
        "text": str(row["text"]) if "text" in row else "",
        "index": int(row["index"]),
        "given": row["given"],
        "predicted": row["predicted"],
        "lsi": float(row["lsi"]),
        "label_score": float(row["label_score"]),
    }


def _figure(figure: go.Figure) -> Markup:
    figure.update_layout(template="plotly_white")
    html = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    return Markup(html)


@cache
def _template():
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=select_autoescape(default=True)).get_template("report.html.jinja")
