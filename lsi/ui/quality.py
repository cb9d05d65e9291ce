"""Image quality: for each flag how many images have it, and the worst of them."""

from dataclasses import replace

import numpy as np
import streamlit as st

from lsi.data.plan import counted
from lsi.ui import flags, samples
from lsi.ui.bar import current_filter, filtered, go
from lsi.ui.buttons import pressed
from lsi.ui.detail import picture
from lsi.ui.session import View
from lsi.ui.wording import plain

_SHOWN = 4


def section(view: View) -> None:
    """Show the flags that images have, each with its worst images and a way to all of them.

    Of the filter all counts but which flags it asks for: the way to those with one flag asks for that alone.
    """
    if not view.has_images:
        return
    st.subheader("Image quality", anchor=False)
    if not view.flags:
        st.caption("This run was computed before image quality was measured. Compute it again to see it.")
        return
    chosen = current_filter()
    positions = filtered(view, replace(chosen, quality=()))
    if chosen.quality:
        st.markdown("The quality flags that the filter asks for do not count here.")
    found = {flag: flags.worst_first(view.run.scores, flag, positions) for flag in view.flags}
    found = {flag: rows for flag, rows in found.items() if len(rows)}
    if not found:
        st.info("None of these images is dark, bright, blurry, blank, of an odd shape, or a copy of another.")
        return
    count = len(np.unique(np.concatenate(list(found.values()))))
    st.markdown(
        f"{counted(count, 'image')} of {len(positions):,} {'has' if count == 1 else 'have'} a flag. Each is compared "
        "with the rest of the dataset; a flag is a reason to look, no proof. LSI says nothing of this."
    )
    for i, (flag, rows) in enumerate(found.items()):
        if i % 2 == 0:
            columns = st.columns(2)
        with columns[i % 2].container(border=True, height="stretch"):
            _flag(view, flag, rows)


def _flag(view: View, flag: str, rows: np.ndarray) -> None:
    facts = flags.FLAGS[flag]
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{facts.title}**: {counted(len(rows), 'image')}")
        if pressed("Show all", f"flag-{flag}", type="tertiary", icon=":material/arrow_forward:",
                   help="The samples with this flag."):  # fmt: skip
            order = next((n for n, o in flags.ORDERS.items() if o == (facts.order, facts.is_rising)), None)
            if order is not None:
                st.session_state[samples.ORDER] = order
            go("samples", replace(current_filter(), quality=(flag,)))
    st.caption(facts.means + (f" Below each: {facts.order}." if facts.order else ""))
    with st.container(horizontal=True):
        for position in [int(i) for i in rows[:_SHOWN]]:
            with st.container(width=88):
                picture(view, position, 84)
                st.markdown(_below(view, flag, position))


def _below(view: View, flag: str, position: int) -> str:
    row = view.run.scores.iloc[position]
    if flag == "is_exact_duplicate":
        return plain(view.table["given"].iloc[position])
    if flag in ("is_odd_size", "is_odd_aspect"):
        return f"{row['width']:.0f} × {row['height']:.0f}"
    return f"{row[flags.FLAGS[flag].order]:.2f}"
