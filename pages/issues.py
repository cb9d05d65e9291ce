"""Which labels look wrong?"""

from dataclasses import replace

import streamlit as st

from lsi.ui import detail, issues, samples
from lsi.ui.bar import KEPT, chips, current_filter, filtered, go, need_labels, page_view
from lsi.ui.buttons import pressed
from lsi.ui.filters import Filter

view = page_view()
if view.run.task == "self":
    need_labels(view, "suspected label")
positions = issues.worklist(view)
passing = issues.suspects(view, filtered(view))
chips(view, len(positions))
issues.renew(view, positions, passing)
if not len(positions):
    what = "label" if view.labelled else "target"
    hides = replace(current_filter(), issues=False).chips()
    found = f"No suspected {what} passes the filter. Remove a part of it above."
    st.info(found if hides else f"No {what} of this run is suspected.")
    see = f"See all {view.noun}, the most suspect first"
    if not hides and pressed(see, "see-all", icon=":material/arrow_forward:", type="tertiary"):
        st.session_state[samples.ORDER] = f"Most suspect {what}"
        go("samples", Filter())
    st.stop()
if not view.labelled:
    issues.ending(view, positions, passing)
    opened = issues.residuals(view, positions)
    if opened is not None:
        detail.show(view, opened)
    st.stop()
issues.progress(view)
issues.ending(view, positions, passing)
current = issues.review(view, positions)
if current not in positions:  # the browser has not yet told what it shows of a new list
    current = None
issues.several(view, positions)
issues.precision(view)
if current is not None:
    st.query_params[KEPT] = str(current)
    issues.remark(view, current)
    issues.reason(view, current)
