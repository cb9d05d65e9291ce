"""Which runs are there, and what changed between two of them?"""

import streamlit as st

from lsi.ui import runs_view
from lsi.ui.sidebar import current_view

view = current_view()
st.title("Runs", anchor=False)
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
runs_view.table(view.run.name)
runs_view.side_by_side(view)
