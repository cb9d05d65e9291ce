"""What leaves?"""

import streamlit as st

from lsi.ui import export_view
from lsi.ui.sidebar import chips, current_view, filtered

st.title("Export", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
positions = filtered(view)
chips(view, len(positions))
selection = export_view.counts(view, positions)
export_view.check(view, selection)
export_view.download(view, selection)
