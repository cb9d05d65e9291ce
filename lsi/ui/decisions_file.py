"""Decisions that were made elsewhere, read in from a file."""

import json

import streamlit as st

from lsi.data.plan import counted
from lsi.errors import LsiError
from lsi.runs.listing import run_about
from lsi.runs.records import left_by_rule, records_to_add, remarks_in
from lsi.runs.remarks import add_rows, rows_of
from lsi.ui.buttons import pressed
from lsi.ui.deciding import note, reviewer, reviews
from lsi.ui.login import looks_only
from lsi.ui.session import View, cache
from lsi.ui.wording import plain


def read_in(view: View) -> None:
    """Offer to read in decisions that were made elsewhere, and say where some do not fit this run."""
    foreign = reviews().n_foreign(view.run.subject)
    if foreign:
        st.warning(
            f"{counted(foreign, 'decision')} on these {view.noun} name a class that this run does not have, or are "
            "about another column of labels, and count for nothing here."
        )
    if looks_only():
        return
    with st.expander("Read in decisions that were made elsewhere"):
        st.write(
            f"Decisions belong to the {view.noun}, by id and content: every run on the same data shows them. What was "
            "decided here later than in the file stays."
        )
        file = st.file_uploader(
            "A decisions.json of an export, or what Label Studio exports",
            "json",
            key="decisions_file",
            max_upload_size=50,
        )
        if file is not None and pressed("Read in", "read-in", icon=":material/upload:"):
            try:
                content = json.loads(file.getvalue())
                run = run_about(cache(), content, view.run)
                dataset, records = records_to_add(content, None if run is None else run.subject)
                said = rows_of(remarks_in(content))
                note(reviewer(), "read decisions in", dataset, decisions=len(records), file=file.name)
                came, heard = reviews().add(dataset, records), add_rows(reviews(), dataset, said)
            except (LsiError, ValueError) as error:
                st.error(plain(error))
                return
            about = "" if run is not None and run.subject_name == view.run.subject_name else f" about {dataset}"
            st.toast(
                f"{counted(came.added, 'decision')}{about} read in. {came.known:,} were here already, "
                f"{came.older:,} are older than what was decided here."
                + (f" Also {counted(heard, 'remark')} (tags and notes)." if heard else "")
                + ("" if run is not None else " No run here has these samples: they count once one has.")
                + left_by_rule(content)
            )
            st.rerun()
