"""The app's own components: the gallery, the review queue and the map, written in plain JavaScript."""

from lsi.ui.components.log import drain_decision_log, unwritten
from lsi.ui.components.widgets import (
    MapPoints,
    MapTools,
    ReviewItems,
    Tiles,
    gallery,
    one_entry_a_page,
    queue,
    remember,
    scatter,
)

__all__ = [
    "MapPoints",
    "MapTools",
    "ReviewItems",
    "Tiles",
    "drain_decision_log",
    "gallery",
    "one_entry_a_page",
    "queue",
    "remember",
    "scatter",
    "unwritten",
]
