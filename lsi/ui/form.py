"""The form that starts a computation, step by step: the data, their labels, and the rest out of the way."""

import streamlit as st

from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import LsiError, UsageError
from lsi.references import check_backbone_is_no_code, kind_of_backbone
from lsi.ui.awaited import await_job
from lsi.ui.buttons import button, in_words
from lsi.ui.data_step import FIELD, data_settings, file_of, path_of, said, which_data, which_labels
from lsi.ui.deciding import note, refused, reviewer
from lsi.ui.session import cache
from lsi.ui.wording import plain

_PROBLEM, _STARTED = "compute-problem", "compute-started"


@st.fragment
def form() -> None:
    """Show the form, how the data that it names would be read, and start what it says.

    The button's callback starts the job: it runs before the page, so nothing on the page's way can lose the click.
    """
    with in_words():
        _form()


def _form() -> None:
    _announce()
    plan = st.container()
    which_labels()
    with st.expander("Advanced: parts of the data, another model, experiments", key="compute-advanced"):
        st.markdown("**How the data are read**")
        _data_fields()
        st.markdown("**The model that turns images into features**")
        _model_fields()
        st.markdown("**Scores and experiments**")
        _score_fields()
    with plan:  # last: what it says depends on the fields below it
        which_data()
    button("Compute", icon=":material/play_arrow:", type="primary", on_click=_compute)
    if _PROBLEM in st.session_state:
        st.error(plain(st.session_state.pop(_PROBLEM)))


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
    first.selectbox("Split", [DataSettings.split, "validation", "test", "all"], key=f"{FIELD}split",
                    accept_new_options=True, help=_help(DataSettings, "split"))  # fmt: skip
    first.number_input("Subset (0: all)", 0, step=1000, key=f"{FIELD}subset", help=_help(DataSettings, "subset"))
    second.selectbox("Task", ["auto", "classification", "regression", "paired", "self"], key=f"{FIELD}task",
                     help=_help(DataSettings, "task"))  # fmt: skip
    second.text_input("Targets of a regression or of pairs", "", key=f"{FIELD}targets",
                      help=_help(DataSettings, "targets"))  # fmt: skip
    third.toggle("Ignore case in class names", key=f"{FIELD}merge",
                 help=_help(DataSettings, "merge_classes"))  # fmt: skip
    third.toggle("One sample for each bounding box", key=f"{FIELD}boxes", help=_help(DataSettings, "boxes"))
    columns = {"image_column": "Column of images", "label_column": "Column of labels",
               "split_column": "Column of splits", "id_column": "Column of names"}  # fmt: skip
    for place, (name, label) in zip(st.columns(len(columns)), columns.items(), strict=True):
        place.text_input(label, "", key=f"{FIELD}{name}", placeholder="by its name", help=_help(DataSettings, name))


def _model_fields() -> None:
    """Show the fields for the backbone, for files of one's own network, and for what it gave."""
    fields = {"weights": "Weights file", "embeddings": "Embeddings instead of a backbone",
              "probabilities": "Out-of-fold probabilities instead of a backbone"}  # fmt: skip
    places = st.columns(2)
    places[0].text_input("Backbone", "auto", key=f"{FIELD}backbone", help=_help(FeatureSettings, "backbone"))
    places[1].number_input("Image size", 8, 2048, None, key=f"{FIELD}image_size", placeholder="by the backbone",
                           help=_help(FeatureSettings, "image_size"))  # fmt: skip
    for place, (field, label) in zip(st.columns(len(fields)), fields.items(), strict=True):
        place.text_input(label, "", key=f"{FIELD}{field}", help=_help(FeatureSettings, field))


def _score_fields() -> None:
    first, second, third = st.columns(3)
    first.selectbox("Structure of the posterior", ["auto", "full", "kron", "diag"], key=f"{FIELD}structure",
                    help=_help(ScoreSettings, "structure"))  # fmt: skip
    first.text_input("Prior precision", "auto", key=f"{FIELD}prior", help=_help(ScoreSettings, "prior_precision"))
    second.number_input("Seed", 0, step=1, key=f"{FIELD}seed")
    second.toggle("Say how precise a cut is", key=f"{FIELD}calibrate", help=_help(ScoreSettings, "calibrate"))
    third.slider("Labels to flip on purpose", 0, 50, 0, format="%d %%", key=f"{FIELD}flips",
                 help="To see how well they are found.")  # fmt: skip


def _compute() -> None:
    if refused():
        return
    try:
        settings = Settings(
            data_settings(),
            NoiseSettings(corrupt_label=said("flips") / 100),
            FeatureSettings(
                _backbone(said("backbone").strip()),
                image_size=said("image_size"),
                weights=path_of(said("weights")),
                embeddings=file_of(said("embeddings")),
                probabilities=file_of(said("probabilities")),
            ),
            ScoreSettings(_prior(said("prior")), said("structure"), calibrate=said("calibrate")),
            int(said("seed")),
        )
        check_backbone_is_no_code(settings.resolved().features.backbone)
        note(reviewer(), "started", settings.data.named, settings=settings.to_dict())
        await_job(jobs.start(settings, cache()))
        st.session_state[_STARTED] = "just now"
    except LsiError as error:
        st.session_state[_PROBLEM] = str(error)


def _backbone(name: str) -> str:
    """Return a backbone's name as it is, and a model's file only below the folders that may be read.

    Raises:
        UsageError: it could run any code, or lies elsewhere.
    """
    check_backbone_is_no_code(name)
    return (file_of(name) if kind_of_backbone(name) == "file" else name) or ""


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
