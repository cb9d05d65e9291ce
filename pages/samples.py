"""Which images matter?"""

import streamlit as st

from lsi.ui import bulk, detail, samples
from lsi.ui.sidebar import page_view, shown_positions

view = page_view("Samples")
positions = shown_positions(view)
samples.histogram(view, positions)
order, size = samples.controls(view, positions)
selected, opened = samples.grid(view, order, size)
if opened is not None:
    detail.show(view, opened)
if selected:
    bulk.actions(view, selected, "selected", "selected")
else:
    st.caption("Click selects, shift-click selects a range, double-click or Enter opens. Nothing is selected.")
    bulk.actions(view, [int(i) for i in positions], "filtered", "filtered")
