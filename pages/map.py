"""How does it lie in feature space?"""

import streamlit as st

from lsi.ui import bulk, detail, map_view
from lsi.ui.bar import chips, current_filter, filtered, page_view

view = page_view()
positions = filtered(view)
chips(view, len(positions))
where = map_view.positions(view)
if where is None:
    st.stop()
opened = map_view.draw(view, where, positions)
selected, tile = map_view.images(view, positions)
opened = tile if opened is None else opened
if opened is not None:
    detail.show(view, opened)
if selected:
    bulk.actions(view, selected, "selected", "map-selected")
elif current_filter().chips():
    bulk.actions(view, positions, "filtered", "map")
map_view.table(view, positions)
