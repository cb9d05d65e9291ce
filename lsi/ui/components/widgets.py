"""The Python side of the components: what goes in, what comes back, and the log that loses nothing."""

import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from lsi.ui.filters import Lasso

_HERE = Path(__file__).parent
_HTML = {
    "gallery": (
        '<div class="tools"><button type="button" data-do="all">Select all <kbd>A</kbd></button>'
        '<button type="button" data-do="invert">Invert <kbd>I</kbd></button>'
        '<button type="button" data-do="none">Clear <kbd>Esc</kbd></button><span role="status"></span></div>'
        '<div class="gallery" role="group" aria-label="Images"><div class="sheet"></div></div>'
    ),
    "map": (
        '<div class="map" role="img" aria-label="Map of the samples; the table below holds the same samples">'
        '<canvas></canvas><svg aria-hidden="true"></svg><div class="tip" hidden><img alt=""><span></span></div>'
        '<div class="legend"></div></div>'
    ),
}


@cache
def _component(name: str) -> Callable[..., Any]:
    html = _HTML.get(name) or (_HERE / f"{name}.html").read_text(encoding="utf-8")
    js, css = ((_HERE / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    v2: Any = st.components.v2  # type: ignore[attr-defined]
    return v2.component(f"lsi_{name}", html=html, css=css, js=js)


def gallery(
    *,
    mark: str,
    base: str,
    size: int,
    height: int,
    order: np.ndarray,
    given: np.ndarray,
    predicted: np.ndarray,
    value: np.ndarray,
    issue: np.ndarray,
    decision: np.ndarray,
    classes: Sequence[str],
    decisions: Sequence[str],
    texts: Sequence[str],
    key: str,
) -> tuple[list[int], int | None]:
    """Show samples as tiles; return the selected positions, and the one that was just opened, if any.

    Args:
        mark: changes when other samples are shown.
        base: of the image addresses; empty where there are no images.
        size: of a tile in pixels.
        height: of the gallery in pixels.
        order: positions, in the order shown; the arrays after it follow this order.
        given: class of the given label.
        predicted: class predicted by leave-one-out.
        value: number printed on the tile.
        issue: 1 for suspected labels.
        decision: index into `decisions`.
        classes: class names.
        decisions: names of the decisions, the first for none.
        texts: shown where there are no images.
        key: of the widget.
    """
    version = st.session_state.get(f"{key}_version", 0)
    state = st.session_state.get(key) or {}
    current = version == st.session_state.get(f"{key}_seen", 0)
    selected = [int(i) for i in state.get("selected") or []] if current else []
    st.session_state[f"{key}_seen"] = version
    result = _component("gallery")(
        key=key,
        data={
            "mark": mark,
            "base": base,
            "size": size,
            "height": height,
            "rows": pd.DataFrame(
                {
                    "order": order.astype(np.int32),
                    "given": given.astype(np.int32),
                    "predicted": predicted.astype(np.int32),
                    "value": value.astype(np.float32),
                    "issue": issue.astype(np.uint8),
                    "decision": decision.astype(np.uint8),
                }
            ),
            "classes": list(classes),
            "decisions": list(decisions),
            "texts": list(texts),
            "selected": selected,
            "selected_version": version,
        },
        on_selected_change=lambda: None,
        on_open_change=lambda: None,
    )
    shown = set(order.tolist())
    return [i for i in selected if i in shown], result.open


def clear_selection(key: str) -> None:
    """Empty a gallery's selection."""
    st.session_state[f"{key}_version"] = st.session_state.get(f"{key}_version", 0) + 1


def queue(
    *,
    mark: str,
    base: str,
    items: list[dict[str, Any]],
    classes: Sequence[str],
    revision: int,
    read_only: bool,
    decide: Callable[[list[tuple[int, str, int | None]]], None],
    key: str,
) -> int | None:
    """Show the review queue and return the position on screen.

    Decisions arrive as a numbered log and are passed to `decide`, each once; `decide` must not touch Streamlit.
    """
    box = st.session_state.setdefault(f"{key}_box", _Acknowledged())
    box.decide = decide
    result = _component("queue")(
        key=key,
        data={
            "mark": mark,
            "base": base,
            "items": items,
            "classes": list(classes),
            "ack": box.last,
            "revision": revision,
            "read_only": read_only,
        },
        on_log_change=lambda: settle(key),
        on_current_change=lambda: None,
    )
    if box.take(result.log or []):
        st.rerun()
    return None if result.current is None else int(result.current)


def settle(key: str) -> None:
    """Take what the queue has sent, and wait for whoever is taking.

    Call it before anything that shows decisions. Streamlit starts a run for the newest event while callbacks of older
    ones still write, and ends a callback at any touch of the session: neither may lose or hide a decision.
    """
    box = st.session_state.get(f"{key}_box")
    if box is not None:
        box.take((st.session_state.get(key) or {}).get("log") or [])


class _Acknowledged:
    """The last log entry that was taken; `take` touches nothing of Streamlit, so nothing can end it half-way."""

    def __init__(self) -> None:
        self.last = 0
        self.decide: Callable[[list[tuple[int, str, int | None]]], None] = lambda log: None
        self._lock = threading.Lock()

    def take(self, log: list[Any]) -> int:
        """Pass entries that are new to `decide`, once, and return how many there were."""
        with self._lock:
            new = [entry for entry in log if entry[0] > self.last]
            if new:
                self.decide([(int(i), str(action), None if c is None else int(c)) for _, i, action, c in new])
                self.last = new[-1][0]
            return len(new)


def scatter(
    *,
    mark: str,
    base: str,
    positions: np.ndarray,
    colors: np.ndarray,
    captions: tuple[np.ndarray, np.ndarray, Sequence[str]],
    lsi: np.ndarray,
    legend: Sequence[tuple[str, str]],
    lassos: tuple[Lasso, ...],
    on_lasso: Callable[[tuple[Lasso, ...]], None],
    box: bool,
    focus: int | None,
    key: str,
) -> int | None:
    """Show points on a map; return the one that was just clicked, if any.

    Args:
        mark: changes when other points are shown.
        base: of the image addresses; empty where there are no images.
        positions: (n, 2).
        colors: (n, 4) uint8, red, green, blue, opacity.
        captions: codes of what was given and of what is predicted for each point, and their texts, shown under the
            pointer.
        lsi: of each point, shown there too.
        legend: what the colours mean: a CSS colour and a text each.
        lassos: drawn so far.
        on_lasso: called with all lassos when one was drawn.
        box: dragging draws a box instead of a lasso.
        focus: a point to ring and centre on.
        key: of the widget.
    """

    def changed() -> None:
        found = st.session_state[key].get("lassos") or []
        on_lasso(tuple(Lasso(o["mode"], tuple((float(x), float(y)) for x, y in o["points"])) for o in found))

    result = _component("map")(
        key=key,
        data={
            "mark": mark,
            "base": base,
            "points": pd.DataFrame(
                {
                    "x": positions[:, 0].astype(np.float32),
                    "y": positions[:, 1].astype(np.float32),
                    "color": np.ascontiguousarray(colors, np.uint8).view(np.uint32)[:, 0],
                    "given": captions[0].astype(np.int32),
                    "predicted": captions[1].astype(np.int32),
                    "value": lsi.astype(np.float32),
                }
            ),
            "classes": list(captions[2]),
            "legend": [list(entry) for entry in legend],
            "tool": "box" if box else "lasso",
            "focus": focus,
            "lassos": [{"mode": o.mode, "points": [list(p) for p in o.points]} for o in lassos],
        },
        on_lassos_change=changed,
        on_open_change=lambda: None,
    )
    return None if result.open is None else int(result.open)
