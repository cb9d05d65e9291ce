"""One self-contained HTML file that shows a run: plots live, images inline, opens offline."""

from lsi.export.report.render import Check, render

__all__ = ["Check", "render"]
