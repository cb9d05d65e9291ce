"""The first steps of starting a computation: which data, how they would be read, and which labels count."""

from pathlib import Path
from typing import Any

import streamlit as st

from lsi.compute import jobs
from lsi.config import DataSettings
from lsi.errors import LsiError, UsageError
from lsi.references import split_file
from lsi.ui import browse, preview
from lsi.ui.paths import below_data_roots
from lsi.ui.session import cache, run_names
from lsi.ui.uploads import TYPES, store_upload
from lsi.ui.wording import plain

EXAMPLE, PATH, UPLOAD = "An example", "A folder or file", "An upload"
FIELD = "compute-field-"
CHOSEN = "compute-kind-chosen"  # whether somebody said which kind of data
_UPLOADED, _BROWSED = "compute-uploaded", "compute-browsed"
_USUAL = {"kind": EXAMPLE, "dataset": "fashion", "data": "", "labels": "", "upload": None}
_HELP = "A folder with one subfolder for each class, an archive of one, a table of paths and labels, Parquet of the " \
        "Hugging Face Hub, WebDataset, or NumPy arrays."  # fmt: skip


def which_data() -> None:
    """Ask for the data, and say how they would be read as soon as they are named."""
    st.markdown("**1. Which data?**")
    usual = PATH if run_names() else EXAMPLE  # who has seen an example comes with data
    now = st.session_state.get(f"{FIELD}kind")
    if now is None or (CHOSEN not in st.session_state and now != usual):  # what is written undoes a click on its way
        st.session_state[f"{FIELD}kind"] = usual
    kind = st.segmented_control("Which data?", [EXAMPLE, PATH, UPLOAD], key=f"{FIELD}kind", on_change=_chosen,
                                required=True, label_visibility="collapsed")  # fmt: skip
    if kind == PATH:
        typed, chosen = st.columns(2, vertical_alignment="bottom")
        typed.text_input("Folder or file", key=f"{FIELD}data", placeholder="photos/train", help=_HELP)
        with chosen:
            _look_around()
    elif kind == UPLOAD:
        st.file_uploader("A file from your computer", TYPES, key=f"{FIELD}upload",
                         help="A .zip or .tar with one folder for each class, or with a table of paths and labels; or "
                         "a table or arrays alone.")  # fmt: skip
    else:
        st.selectbox("Example", ["fashion", "digits"], key=f"{FIELD}dataset", accept_new_options=True,
                     on_change=_chosen, help="Both are built in. Or the name of a dataset that torchvision downloads, "
                     "such as cifar10.")  # fmt: skip
    _plan()


def _chosen() -> None:
    st.session_state[CHOSEN] = True


def which_labels() -> None:
    """Ask for other labels than those that come with the data."""
    st.markdown("**2. Which labels?**")
    st.text_input("Those that come with the data count, unless a file of others is named here", key=f"{FIELD}labels",
                  placeholder="labels.csv:column", help="A .npy, .npz, .csv or .parquet file, with :KEY for the array "
                  "or column. It is joined by a column of paths or ids where it has one, else in the order of the "
                  "samples.")  # fmt: skip


def said(field: str) -> Any:
    """Return what a field of the form holds; the usual value of one that is not on screen."""
    return st.session_state.get(f"{FIELD}{field}", _USUAL.get(field))


def data_settings() -> DataSettings:
    """Return what the form says of the data.

    Raises:
        LsiError: it does not fit together, or the data lie where they may not be read.
    """
    usual, kind = DataSettings(), said("kind")
    data = None
    if kind == PATH:
        data = path_of(said("data"))
        if data is None:
            raise UsageError("Name a folder or a file, or choose one.")
    elif kind == UPLOAD:
        data = _uploaded()
        if data is None:
            raise UsageError("Choose a file to upload.")
    return DataSettings(
        usual.dataset if data is not None else said("dataset").strip(),
        data,
        file_of(said("labels")),
        (said("split") or "").strip() or usual.split,
        int(said("subset")) or None,
        task=said("task"),
        targets=_targets(said("targets")),
        merge_classes="case" if said("merge") else "none",
        boxes=said("boxes"),
        image_column=said("image_column").strip() or None,
        label_column=said("label_column").strip() or None,
        split_column=said("split_column").strip() or None,
        id_column=said("id_column").strip() or None,
    )


def path_of(text: str | None) -> Path | None:
    """Return a typed path where it may be read; None for nothing.

    Raises:
        UsageError: it lies elsewhere.
    """
    return below_data_roots(Path(text.strip())) if text and text.strip() else None


def file_of(text: str | None) -> str | None:
    """Return PATH[:KEY] with the path below the folders that may be read; None for nothing.

    Raises:
        UsageError: it lies elsewhere.
    """
    if not text or not text.strip():
        return None
    path, key = split_file(text.strip())
    return str(below_data_roots(path)) + (f":{key}" if key else "")


def _look_around() -> None:
    """Offer what lies in the folder that is named: choosing one goes on from there."""
    place = browse.place_of(said("data"))
    where = "the folders that may be read" if place is None else f"{place.name or place}/"
    st.selectbox("Choose", browse.entries(place), index=None, key=_BROWSED, placeholder=f"Choose in {where}",
                 label_visibility="collapsed", on_change=_step, args=(place,))  # fmt: skip


def _step(place: Path | None) -> None:
    choice = st.session_state[_BROWSED]
    if choice is not None:
        found = browse.step(place, choice)
        st.session_state[f"{FIELD}data"] = "" if found is None else str(found)
    st.session_state[_BROWSED] = None


def _plan() -> None:
    """Show how the data that the form names would be read; while that is not known, look again every second."""
    kind = said("kind")
    if kind == EXAMPLE or (kind == PATH and not said("data").strip()) or (kind == UPLOAD and said("upload") is None):
        return
    try:
        settings = data_settings()
    except LsiError as error:
        st.error(plain(error))
        return
    with st.spinner("Looking at the data …"):
        found = preview.look(settings)
    if found is None:
        st.info("Still looking at the data. They can be computed meanwhile.")
        _look_again(settings)
    elif found.problem:
        st.error(plain(_by_its_name(found.problem.removeprefix("--data: "), settings)))
    else:
        lines = [_by_its_name(found.lines[0], settings), *found.lines[1:]]
        st.markdown("**How these data would be read**\n" + "\n".join(f"- {plain(line)}" for line in lines))


def _by_its_name(line: str, settings: DataSettings) -> str:
    """Return a line with an upload called as its owner calls it, not by where it is kept."""
    upload = said("upload") if said("kind") == UPLOAD else None
    return line if upload is None else line.replace(str(settings.data), upload.name)


@st.fragment(run_every=1.0)
def _look_again(settings: DataSettings) -> None:
    if preview.look(settings) is not None:
        st.rerun()


def _uploaded() -> Path | None:
    """Return where the upload is kept, None where there is none; it is stored once, not at every look at the form."""
    upload = said("upload")
    if upload is None:
        return None
    known = st.session_state.get(_UPLOADED)
    if known is None or known[0] != upload.file_id or not known[1].is_file():
        known = upload.file_id, store_upload(upload.name, upload.getvalue(), cache() / jobs.UPLOADS)
        st.session_state[_UPLOADED] = known
    return known[1]


def _targets(text: str) -> str | None:
    """Return names of columns as they are, and a file only below the folders that may be read."""
    is_file = "/" in text or Path(text.strip().partition(":")[0]).suffix in (".npy", ".npz", ".csv")
    return file_of(text) if is_file else text.strip() or None
