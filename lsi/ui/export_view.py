"""What the decisions come to, whether they help, and the files."""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import streamlit as st

from lsi.curation import CurationCheck
from lsi.errors import LsiError
from lsi.export import Selection, check_selection, decision_records, export, selection_of
from lsi.store import fingerprint
from lsi.ui.session import View, decisions, plain


def counts(view: View) -> Selection:
    """Show how many samples stay, go and change their label; return them."""
    selection = selection_of(view.run, decisions(view.run.name))
    for column, (name, value) in zip(
        st.columns(3),
        {"Kept": selection.kept, "Excluded": selection.removed, "Relabelled": selection.relabelled}.items(),
        strict=True,
    ):
        column.metric(name, f"{len(value):,}", border=True)
    if not len(selection.removed) and not selection.relabelled:
        st.info("Nothing is excluded or relabelled yet: decide on the other pages, or export everything as it is.")
    if "split" in view.table.columns and view.table["split"].str.contains("test", case=False).any():
        st.warning("This run holds a test split. A cleaned test split measures something else than the original one.")
    return selection


def check(view: View, selection: Selection) -> None:
    """Offer the check of the curated set, and show what it says."""
    st.subheader("Does it help?", anchor=False)
    st.write(
        "A probe is retrained on the curated set, on the original, and on as many images removed at random, five "
        "times, each time tested on 30 % of the images that it has not seen and whose labels stay as they are."
    )
    changed = len(selection.removed) or selection.relabelled
    if st.button("Check", icon=":material/science:", disabled=not changed):
        try:
            st.session_state["check"] = (_mark(view, selection), _check(view, selection))
        except LsiError as error:
            st.error(plain(error))
    mark, found = st.session_state.get("check", (None, None))
    if found is not None and mark == _mark(view, selection):
        st.success(found.sentence) if found.low > 0 else st.info(found.sentence)


def download(view: View, selection: Selection) -> None:
    """Offer everything as one archive."""
    st.subheader("Files", anchor=False)
    st.write(
        f"Index lists of {len(selection.kept):,} kept and {len(selection.removed):,} removed images (txt, csv, json, "
        f"npy, parquet), {len(selection.relabelled):,} relabelled, cleanlab's columns, a PyTorch snippet, the "
        "decisions and the manifest."
    )
    st.download_button("Download", lambda: _archive(view, selection), f"{view.run.name}.zip", "application/zip",
                       on_click="ignore", type="primary", icon=":material/download:")  # fmt: skip
    st.code(f"python -m lsi export {view.run.name} --decisions --output cleaned", language="bash")


def _archive(view: View, selection: Selection) -> bytes:
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as root, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        records = decision_records(view.run, decisions(view.run.name))
        for path in export(view.run, selection, Path(root), decisions=records):
            archive.write(path, path.name)
    return buffer.getvalue()


def _mark(view: View, selection: Selection) -> str:
    relabelled = np.array(sorted(selection.relabelled.items()), dtype=np.int64)
    return fingerprint(view.run.name, selection.removed, relabelled)


def _check(view: View, selection: Selection) -> CurationCheck:
    with st.spinner("Retraining …"):
        return check_selection(view.run, view.features, selection)
