"""What can go?"""

import streamlit as st

from lsi.ui import redundancy
from lsi.ui.sidebar import current_view

st.title("Redundancy", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
redundancy.groups(view)
redundancy.budget(view)
