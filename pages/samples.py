"""Which images matter?"""

import streamlit as st

from lsi.ui import bulk, detail, samples, unlabelled
from lsi.ui.sidebar import current_filter, page_view, shown_positions

view = page_view("Samples")
positions = shown_positions(view)
samples.histogram(view, positions)
ranking = samples.controls(view, positions)
above = st.container()
selected, opened = samples.grid(view, ranking)
if opened is not None:
    detail.show(view, opened)
with above:
    if selected:
        bulk.actions(view, selected, "selected", "selected")
    elif current_filter().chips():
        bulk.actions(view, positions, "filtered", "filtered")
    else:
        st.caption(
            "Click selects, Shift-click selects a range, double-click or Enter opens. K keeps, X excludes and S takes "
            "the suggestion for what is selected."
        )
unlabelled.gallery(view)
