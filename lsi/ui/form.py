"""The form that starts a computation: the data, how they would be read, the backbone, and the rest out of the way."""

from pathlib import Path
from typing import Any

import streamlit as st

from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import LsiError, UsageError
from lsi.references import check_backbone_is_no_code, kind_of_backbone, split_file
from lsi.ui import preview
from lsi.ui.buttons import button
from lsi.ui.deciding import note, reviewer
from lsi.ui.paths import below_data_roots
from lsi.ui.session import cache
from lsi.ui.uploads import TYPES, store_upload
from lsi.ui.wording import plain

_FORM, _PROBLEM, _STARTED, _UPLOADED = "compute-field-", "compute-problem", "compute-started", "compute-uploaded"
_DEFAULT_SPLIT = DataSettings.split


@st.fragment
def form() -> None:
    """Show the form, how the data that it names would be read, and start what it says.

    The button's callback starts the job: it runs before the page, so nothing on the page's way can lose the click.
    """
    _announce()
    left, middle, right = st.columns(3)
    left.text_input("Your data", "", key=f"{_FORM}data", placeholder="folder, archive, table or arrays",
                    help="A path below the folders that this server may read: one subfolder for each class, a table of "
                    "paths and labels, Parquet of the Hugging Face Hub, WebDataset, .npz …")  # fmt: skip
    left.text_input("Or a known dataset", "digits", key=f"{_FORM}dataset",
                    help="fashion and digits are built in; or a torchvision name such as cifar10.")  # fmt: skip
    middle.file_uploader("Or upload them", TYPES, key=f"{_FORM}upload",
                         help="A .zip or .tar with one folder for each class, or with a table of paths and labels; "
                         "or a table or arrays alone.")  # fmt: skip
    right.text_input("Other labels for the same samples", "", key=f"{_FORM}labels",
                     help="A .npy, .npz or .csv file, with :KEY for the array or column.")  # fmt: skip
    right.text_input("Backbone", "auto", key=f"{_FORM}backbone", help=_help(FeatureSettings, "backbone"))
    plan = st.container()
    with st.expander("Reading: split, columns, subset, task"):
        _data_fields()
    with st.expander("Your own model: weights, embeddings, probabilities"):
        _model_fields()
    with st.expander("Scores and experiments: posterior, seed, planted flips"):
        _score_fields()
    button("Compute", icon=":material/play_arrow:", type="primary", on_click=_compute)
    if _PROBLEM in st.session_state:
        st.error(plain(st.session_state.pop(_PROBLEM)))
    with plan:
        _plan()


def _announce() -> None:
    """After a start draw the whole page anew, which shows the job, and say where."""
    started = st.session_state.pop(_STARTED, None)
    if started == "just now":
        st.session_state[_STARTED] = "to be announced"
        st.rerun()
    if started is not None:
        st.toast("Started. How far it is stands at the top of this page.", icon=":material/play_arrow:")


def _data_fields() -> None:
    first, second, third = st.columns(3)
    first.selectbox("Split", [_DEFAULT_SPLIT, "validation", "test", "all"], key=f"{_FORM}split",
                    accept_new_options=True, help=_help(DataSettings, "split"))  # fmt: skip
    first.number_input("Subset (0: all)", 0, step=1000, key=f"{_FORM}subset", help=_help(DataSettings, "subset"))
    second.selectbox("Task", ["auto", "classification", "regression", "paired", "self"], key=f"{_FORM}task",
                     help=_help(DataSettings, "task"))  # fmt: skip
    second.text_input("Targets of a regression or of pairs", "", key=f"{_FORM}targets",
                      help=_help(DataSettings, "targets"))  # fmt: skip
    third.toggle("Ignore case in class names", key=f"{_FORM}merge",
                 help=_help(DataSettings, "merge_classes"))  # fmt: skip
    third.toggle("One sample for each bounding box", key=f"{_FORM}boxes", help=_help(DataSettings, "boxes"))
    columns = {"image_column": "Column of images", "label_column": "Column of labels",
               "split_column": "Column of splits", "id_column": "Column of names"}  # fmt: skip
    for place, (name, label) in zip(st.columns(len(columns)), columns.items(), strict=True):
        place.text_input(label, "", key=f"{_FORM}{name}", placeholder="by its name", help=_help(DataSettings, name))


def _model_fields() -> None:
    """Show the fields for files of one's own network, and for what it gave."""
    fields = {"weights": "Weights file", "embeddings": "Embeddings instead of a backbone",
              "probabilities": "Out-of-fold probabilities instead of a backbone"}  # fmt: skip
    places = st.columns(2)
    for i, (field, label) in enumerate(fields.items()):
        places[i % 2].text_input(label, "", key=f"{_FORM}{field}", help=_help(FeatureSettings, field))
    places[1].number_input("Image size", 8, 2048, None, key=f"{_FORM}image_size", placeholder="by the backbone",
                           help=_help(FeatureSettings, "image_size"))  # fmt: skip


def _score_fields() -> None:
    first, second, third = st.columns(3)
    first.selectbox("Structure of the posterior", ["auto", "full", "kron", "diag"], key=f"{_FORM}structure",
                    help=_help(ScoreSettings, "structure"))  # fmt: skip
    first.text_input("Prior precision", "auto", key=f"{_FORM}prior", help=_help(ScoreSettings, "prior_precision"))
    second.number_input("Seed", 0, step=1, key=f"{_FORM}seed")
    second.toggle("Say how precise a cut is", key=f"{_FORM}calibrate", help=_help(ScoreSettings, "calibrate"))
    third.slider("Labels to flip on purpose", 0, 50, 0, format="%d %%", key=f"{_FORM}flips",
                 help="To see how well they are found.")  # fmt: skip


def _plan() -> None:
    """Show how the data that the form names would be read; while that is not known, look again every second."""
    if not _said("data").strip() and _said("upload") is None:
        return
    try:
        settings = _data()
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
    upload = _said("upload")
    return line if upload is None else line.replace(str(settings.data), upload.name)


@st.fragment(run_every=1.0)
def _look_again(settings: DataSettings) -> None:
    if preview.look(settings) is not None:
        st.rerun()


def _compute() -> None:
    try:
        settings = Settings(
            _data(),
            NoiseSettings(corrupt_label=_said("flips") / 100),
            FeatureSettings(
                _backbone(_said("backbone").strip()),
                image_size=_said("image_size"),
                weights=_path(_said("weights")),
                embeddings=_file(_said("embeddings")),
                probabilities=_file(_said("probabilities")),
            ),
            ScoreSettings(_prior(_said("prior")), _said("structure"), calibrate=_said("calibrate")),
            int(_said("seed")),
        )
        data = settings.data
        note(reviewer(), "started", data.dataset if data.data is None else str(data.data), settings=settings.to_dict())
        jobs.start(settings, cache())
        st.session_state[_STARTED] = "just now"
    except LsiError as error:
        st.session_state[_PROBLEM] = str(error)


def _data() -> DataSettings:
    """Return what the form says of the data.

    Raises:
        LsiError: it does not fit together, or the data lie where they may not be read.
    """
    return DataSettings(
        _said("dataset").strip(),
        _uploaded() or _path(_said("data")),
        _file(_said("labels")),
        (_said("split") or "").strip() or _DEFAULT_SPLIT,
        int(_said("subset")) or None,
        task=_said("task"),
        targets=_targets(_said("targets")),
        merge_classes="case" if _said("merge") else "none",
        boxes=_said("boxes"),
        image_column=_said("image_column").strip() or None,
        label_column=_said("label_column").strip() or None,
        split_column=_said("split_column").strip() or None,
        id_column=_said("id_column").strip() or None,
    )


def _said(field: str) -> Any:
    return st.session_state[f"{_FORM}{field}"]


def _uploaded() -> Path | None:
    """Return where the upload is kept, None where there is none; it is stored once, not at every look at the form."""
    upload = _said("upload")
    if upload is None:
        return None
    known = st.session_state.get(_UPLOADED)
    if known is None or known[0] != upload.file_id or not known[1].is_file():
        known = upload.file_id, store_upload(upload.name, upload.getvalue(), cache() / jobs.UPLOADS)
        st.session_state[_UPLOADED] = known
    return known[1]


def _path(text: str) -> Path | None:
    return below_data_roots(Path(text.strip())) if text.strip() else None


def _file(text: str) -> str | None:
    """Return PATH[:KEY] with the path below the folders that may be read."""
    if not text.strip():
        return None
    path, key = split_file(text.strip())
    return str(below_data_roots(path)) + (f":{key}" if key else "")


def _backbone(name: str) -> str:
    """Return a backbone's name as it is, and a model's file only below the folders that may be read.

    Raises:
        UsageError: it could run any code, or lies elsewhere.
    """
    check_backbone_is_no_code(name)
    return (_file(name) if kind_of_backbone(name) == "file" else name) or ""


def _targets(text: str) -> str | None:
    """Return names of columns as they are, and a file only below the folders that may be read."""
    is_file = "/" in text or Path(text.strip().partition(":")[0]).suffix in (".npy", ".npz", ".csv")
    return _file(text) if is_file else text.strip() or None


def _prior(text: str):
    if text.strip() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"Expected a number or auto as prior precision, got {text!r}.") from None


def _help(record: type, name: str) -> str:
    """Return what a settings record's docstring says of a field."""
    import docstring_parser

    fields = docstring_parser.parse(record.__doc__ or "").params
    return next((p.description or "" for p in fields if p.arg_name == name), "")
