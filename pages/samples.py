"""Which images matter?"""

import streamlit as st

from lsi.ui import bulk, panel, samples, unlabelled
from lsi.ui.bar import current_filter, page_view, shown_positions

view = page_view()
positions = shown_positions(view)
with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
    ranking = samples.controls(view, positions)
    beside = panel.choose(view)
    actions = st.container(width="stretch")
left, right = st.columns([5, 3], gap="small") if beside else (st.container(), None)
with left:
    selected, _ = samples.grid(view, ranking)
if right is not None:
    with right:
        panel.draw(view, beside, positions, ranking.order)
with actions:
    if selected:
        bulk.actions(view, selected, "selected", "selected")
    elif current_filter().chips():
        bulk.actions(view, positions, "filtered", "filtered")
unlabelled.gallery(view)
