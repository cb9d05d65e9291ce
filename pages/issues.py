"""Which labels look wrong?"""

import streamlit as st

from lsi.ui import detail, issues
from lsi.ui.bar import KEPT, chips, filtered, need_labels, page_view

view = page_view()
if view.run.task == "self":
    need_labels(view, "suspected label")
positions = issues.worklist(view)
passing = issues.suspects(view, filtered(view))
chips(view, len(positions))
issues.renew(view, positions, passing)
if not len(positions):
    st.info(f"No suspected {'label' if view.labelled else 'target'} passes the filter. Remove a part of it above.")
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
