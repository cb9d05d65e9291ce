"""One self-contained HTML file that shows a run: plots live, images inline, opens offline."""

from lsi.export.report.render import Check, render, without_place

__all__ = ["Check", "render", "without_place"]
