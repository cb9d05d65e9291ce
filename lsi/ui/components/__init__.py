"""The app's own components: the gallery, the review queue and the map, each a few hundred lines of plain JavaScript."""

from lsi.ui.components.widgets import gallery, queue, scatter, settle

__all__ = ["gallery", "queue", "scatter", "settle"]
