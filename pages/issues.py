"""Which labels look wrong?"""

import streamlit as st

from lsi.ui import issues
from lsi.ui.sidebar import chips, filtered, page_view

view = page_view("Label issues")
positions = issues.suspects(view, filtered(view))
chips(view, len(positions))
if not len(positions):
    st.info("No suspected label passes the filter. Remove a part of it above.")
    st.stop()
issues.progress(view)
issues.precision(view)
current = issues.review(view, positions)
if current is not None:
    issues.reason(view, current)
