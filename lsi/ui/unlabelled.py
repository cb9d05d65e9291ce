"""The samples without a label: what the probe, which has not seen them, takes them for."""

import numpy as np
import pandas as pd
import streamlit as st

from lsi.data.plan import counted
from lsi.hashing import fingerprint
from lsi.ui import components, detail
from lsi.ui.bar import current_filter
from lsi.ui.session import View

_ORDERS = {"Most confident": False, "Least confident": True}


def gallery(view: View) -> None:
    """Show the samples without a label, where there are any; a click opens one."""
    table = view.run.unlabelled
    if not len(table):
        return
    st.subheader(f"{counted(len(table), view.one)} without a label", anchor=False)
    st.write(
        f"They took no part in the fit. Below each stands the class that is predicted, and how probable it is. A click "
        f"opens the {view.one}."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = st.selectbox("Order", list(_ORDERS), key="unlabelled_order", width=220)
        names = view.run.class_names
        wanted = st.multiselect("Predicted class", range(len(names)), key=f"unlabelled_class-{view.run.name}",
                                format_func=lambda c: names[c], placeholder="Any")  # fmt: skip
    confidence, predicted = table["confidence"].to_numpy(), table["predicted_label"].to_numpy()
    rows = np.flatnonzero(np.isin(predicted, wanted)) if wanted else np.arange(len(table))
    rows = rows[np.argsort(confidence[rows] if _ORDERS[order] else -confidence[rows], kind="stable")]
    if current_filter().to_query():
        st.caption("The filter does not apply to them.")
    opened = components.gallery(_tiles(view, rows), f"unlabelled-{view.run.name}")[1]
    if opened is not None:
        detail.show_unlabelled(view, int(opened) - len(view.table))


def _tiles(view: View, rows: np.ndarray) -> components.Tiles:
    table = view.run.unlabelled.iloc[rows]
    texts = [] if view.has_images else table["text" if "text" in table.columns else "id"].astype(str).tolist()
    return components.Tiles(
        mark=fingerprint(rows, view.run.name),
        base=view.image_base,
        size=96,
        height=330,
        rows=pd.DataFrame(
            {
                "order": rows + len(view.table),
                "given": table["predicted_label"].to_numpy(),
                "predicted": table["predicted_label"].to_numpy(),
                "value": table["confidence"].to_numpy(),
                "issue": False,
                "decision": 0,
                "label": -1,
            }
        ),
        captions=view.run.class_names,
        decisions=[""],
        texts=texts,
        selectable=False,
    )
