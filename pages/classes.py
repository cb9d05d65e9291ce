"""Where does information sit?"""

import streamlit as st

from lsi.ui import classes
from lsi.ui.sidebar import chips, current_view, filtered

st.title("Classes", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
positions = filtered(view)
chips(view, len(positions))
if not len(positions):
    st.info("No image passes the filter. Remove a part of it above.")
    st.stop()
classes.per_class(view, positions)
classes.confusions(view, positions)
classes.compare(view)
