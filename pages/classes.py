"""Where does information sit?"""

import streamlit as st

from lsi.ui import classes
from lsi.ui.sidebar import current_view

st.title("Classes", anchor=False)
view = current_view()
if view is None:
    st.info("No run yet. Start one on the Overview.")
    st.stop()
classes.per_class(view)
classes.confusions(view)
classes.compare(view)
