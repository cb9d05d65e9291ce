"""What can go?"""

import streamlit as st

from lsi.ui import redundancy
from lsi.ui.sidebar import chips, current_view, filtered

st.title("Redundancy", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
positions = filtered(view)
chips(view, len(positions))
redundancy.groups(view, positions)
if len(positions):
    redundancy.budget(view, positions)
