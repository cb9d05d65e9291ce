"""Decisions about many samples at once; each names its scope before it happens, and can be undone."""

import numpy as np
import streamlit as st
from jaxtyping import Int

from lsi.data.plan import counted
from lsi.ui import said
from lsi.ui.buttons import button
from lsi.ui.deciding import APART, decide_named, decide_undecided, reviewer, suggested, unchanged, undecided
from lsi.ui.filtering import as_meant
from lsi.ui.login import looks_only
from lsi.ui.session import View


def actions(
    view: View,
    positions: "list[int] | Int[np.ndarray, ' s']",
    what: str,
    key: str,
    of_label: bool = True,
) -> None:
    """Offer keep, relabel, exclude, clear and a tag for these positions; `what` says what they are.

    On what somebody decided since the page was drawn, that stays.

    Args:
        view: the run.
        positions: rows of its table.
        what: says what they are, such as selected or filtered.
        key: of the widgets.
        of_label: False where what is kept or excluded says nothing of labels; nor does it where the filter shows copies
            or poor images.
    """
    if looks_only() or not len(positions):
        return
    name, chosen = reviewer(), [int(i) for i in positions]
    keep, exclude = (as_meant("keep"), as_meant("exclude")) if of_label else APART.values()
    count, may = len(positions), unchanged(view, chosen)
    them = f"{count:,} {what} {view.noun if count > 1 else view.one}"
    with st.popover(f"Decide: {them}", icon=":material/checklist:", key=f"{key}-box"):
        button(f"Exclude {them}", key=f"{key}-exclude", on_click=decide_named,
                  args=(view, name, chosen, exclude, may),
                  icon=":material/block:")  # fmt: skip
        button(f"Keep {them}", key=f"{key}-keep", on_click=decide_named,
                  args=(view, name, chosen, keep, may))  # fmt: skip
        if view.labelled:
            offered = suggested(view, positions)
            changed = undecided(view, offered)
            stay = len(offered) - len(changed)
            if offered:
                rest = f" ({counted(stay, 'decided one')} stay{'s' if stay == 1 else ''})" if stay else ""
                button(f"Take the suggestion for {len(changed):,}{rest}",
                       key=f"{key}-suggestion", on_click=decide_undecided, args=(view, name, changed, "suggestion"),
                       disabled=not changed)  # fmt: skip
        button("Clear their decisions", key=f"{key}-clear", on_click=decide_named,
                  args=(view, name, chosen, "clear", may))  # fmt: skip
        said.on_several(view, positions, them, key)
        if not view.labelled:
            return
        label = st.selectbox("Relabel as", range(len(view.run.class_names)), index=None, width=200,
                             key=f"{key}-label-{view.run.name}",
                             format_func=lambda c: view.run.class_names[c])  # fmt: skip
        if label is not None:
            button(f"Relabel {them}", key=f"{key}-relabel", on_click=decide_named,
                      args=(view, name, chosen, "relabel", may, int(label)))  # fmt: skip
