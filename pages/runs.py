"""Which runs are there, and what changed between two of them?"""

import streamlit as st

from lsi.runs.listing import list_runs
from lsi.ui import runs_view
from lsi.ui.bar import current_view
from lsi.ui.session import cache

view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
runs = list_runs(cache())
runs_view.table(runs, view.run.name)
runs_view.side_by_side(view, runs)
