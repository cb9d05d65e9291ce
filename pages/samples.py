"""Which images matter?"""

import streamlit as st

from lsi.ui import bulk, detail, samples, unlabelled
from lsi.ui.sidebar import page_view, shown_positions

view = page_view("Samples")
positions = shown_positions(view)
samples.histogram(view, positions)
selected, opened = samples.grid(view, samples.controls(view, positions))
if opened is not None:
    detail.show(view, opened)
if selected:
    bulk.actions(view, selected, "selected", "selected")
else:
    st.caption("Click selects, shift-click selects a range, double-click or Enter opens. Nothing is selected.")
    bulk.actions(view, positions, "filtered", "filtered")
unlabelled.gallery(view)
