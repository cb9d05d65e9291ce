"""Which runs are there, and what changed between two of them?"""

from lsi.runs.listing import list_runs
from lsi.ui import runs_view
from lsi.ui.bar import page_view
from lsi.ui.session import cache

view = page_view()
runs = list_runs(cache())
runs_view.table(runs, view.run.name)
runs_view.side_by_side(view, runs)
runs_view.what_was_done()
