"""Which images matter?"""

import streamlit as st

from lsi.ui import bulk, detail, samples
from lsi.ui.sidebar import chips, current_view, filtered

st.title("Samples", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
positions = filtered(view)
chips(view, len(positions))
samples.histogram(view, positions)
if not len(positions):
    st.info("No image passes the filter. Remove a part of it above.")
    st.stop()
order, size = samples.controls(view, positions)
selected, opened = samples.grid(view, order, size)
if opened is not None:
    detail.show(view, opened)
if selected:
    bulk.actions(view, selected, "selected", "selected")
else:
    st.caption("Click selects, shift-click selects a range, double-click or Enter opens. Nothing is selected.")
    bulk.actions(view, [int(i) for i in positions], "filtered", "filtered")
