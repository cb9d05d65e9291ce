"""What is in this dataset, and what should I do?"""

import streamlit as st

from lsi.export.wording import what_lsi_is
from lsi.ui import form, jobs_panel, overview, runs_view
from lsi.ui.bar import current_view, why_none
from lsi.ui.deciding import prepare_for_first_view
from lsi.ui.login import looks_only

view = current_view()
noun = "images" if view is None else view.noun
st.title(f"Which {noun} matter?", anchor=False)
st.write(what_lsi_is(noun))
jobs_panel.follow(is_home=True)
if view is None:
    st.info(why_none("below"))
else:
    runs_view.parent_line(view)
    overview.headline(view)
    overview.extremes(view)
if not looks_only():
    with st.expander("Compute another run", icon=":material/add:", expanded=False, key="compute-form"):
        form.form()
if view is not None:
    overview.details(view)
elif not st.session_state.setdefault("prepared", False):
    st.session_state["prepared"] = True  # once: a database that is away takes long to say so
    prepare_for_first_view()
