"""Starting a computation from a form made of the settings, and following it."""

import itertools
from pathlib import Path
from typing import Any

import streamlit as st

from lsi.compute import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings
from lsi.errors import LsiError, UsageError
from lsi.ui.paths import below_data_roots
from lsi.ui.session import cache, plain, read_only, run_names
from lsi.ui.uploads import TYPES, store_upload

FIRST = Settings(noise=NoiseSettings(corrupt_label=0.05))
_SHOWN = 3
_FORM, _PROBLEM = "compute-field-", "compute-problem"


def start_first_run() -> None:
    """Compute the embedded default where nothing has been computed yet, so that there is something to see."""
    if not read_only() and not run_names() and not jobs.list_jobs(cache()):
        jobs.start(FIRST, cache())


def form() -> None:
    """Show the form, and start what it says.

    The button's callback starts the job: it runs before the page, so nothing on the page's way can lose the click.
    """
    with st.form("compute", border=False):
        left, middle, right = st.columns(3)
        left.text_input("Dataset", "digits", key=f"{_FORM}dataset",
                        help="digits is built in; or a torchvision name such as cifar10.")  # fmt: skip
        left.text_input("Or your own data", "", key=f"{_FORM}data", placeholder="folder, .parquet, .csv or .npz",
                        help="A path below the folders this server may read.")  # fmt: skip
        left.file_uploader("Or upload it", TYPES, key=f"{_FORM}upload", help="A .zip with one folder per class or with "
                           "a manifest, a .parquet, .npz or .csv file.")  # fmt: skip
        left.text_input("Other labels for the same images", "", key=f"{_FORM}labels",
                        help="A .npy, .npz or .csv file, with :KEY.")  # fmt: skip
        middle.text_input("Backbone", "auto", key=f"{_FORM}backbone", help=_help(FeatureSettings, "backbone"))
        middle.number_input("Subset (0: all)", 0, step=1000, key=f"{_FORM}subset", help=_help(DataSettings, "subset"))
        middle.selectbox("Task", ["auto", "classification", "regression", "paired", "self"], key=f"{_FORM}task",
                         help=_help(DataSettings, "task"))  # fmt: skip
        middle.text_input("Targets of a regression or of pairs", "", key=f"{_FORM}targets",
                          help=_help(DataSettings, "targets"))  # fmt: skip
        middle.slider("Labels to flip on purpose", 0, 50, 0, format="%d %%", key=f"{_FORM}flips",
                      help="To see how well they are found.")  # fmt: skip
        right.selectbox("Structure of the posterior", ["auto", "full", "kron", "diag"], key=f"{_FORM}structure",
                        help=_help(ScoreSettings, "structure"))  # fmt: skip
        right.text_input("Prior precision", "auto", key=f"{_FORM}prior", help=_help(ScoreSettings, "prior_precision"))
        right.number_input("Seed", 0, step=1, key=f"{_FORM}seed")
        right.toggle("Say how precise a cut is", key=f"{_FORM}calibrate", help=_help(ScoreSettings, "calibrate"))
        st.form_submit_button("Compute", icon=":material/play_arrow:", on_click=_compute)
        if _PROBLEM in st.session_state:
            st.error(plain(st.session_state.pop(_PROBLEM)))


def follow() -> None:
    """Show the latest jobs; while one runs, look again every second, and at its end show its run."""
    awaited: set[str] = st.session_state.get("awaited", set()) | _running(_latest())
    looks = itertools.count()

    @st.fragment(run_every=1.0 if awaited else None)
    def panel() -> None:
        shown = _latest()
        for job in shown:
            _job(job)
        running = _running(shown)
        # The first look is part of the page: running it anew from here would lose a click that it has not reached.
        if next(looks) == 0 or running == awaited:
            return
        done = [job.run_name for job in shown if job.folder.name in awaited and job.state == "done"]
        if done and done[0] in run_names():
            st.session_state["next_run"] = done[0]
        st.session_state["awaited"] = running
        st.rerun()

    st.session_state["awaited"] = awaited
    panel()


def _compute() -> None:
    try:
        settings = Settings(
            DataSettings(
                _said("dataset"),
                _path(_said("data"), _said("upload")),
                _labels(_said("labels")),
                task=_said("task"),
                targets=_targets(_said("targets")),
                subset=int(_said("subset")) or None,
            ),
            NoiseSettings(corrupt_label=_said("flips") / 100),
            FeatureSettings(backbone=_said("backbone")),
            ScoreSettings(_prior(_said("prior")), _said("structure"), calibrate=_said("calibrate")),
            int(_said("seed")),
        )
        jobs.start(settings, cache())
    except LsiError as error:
        st.session_state[_PROBLEM] = str(error)


def _said(field: str) -> Any:
    return st.session_state[f"{_FORM}{field}"]


def _latest() -> list[jobs.Job]:
    return jobs.list_jobs(cache())[:_SHOWN]


def _running(shown: list[jobs.Job]) -> set[str]:
    return {job.folder.name for job in shown if job.state == "running"}


def _job(job: jobs.Job) -> None:
    state, progress = job.state, job.progress
    title = "lsi compute " + " ".join(jobs.to_arguments(job.settings))
    if state == "running":
        share = progress.get("done", 0) / max(progress.get("total", 1), 1)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(min(share, 1.0), text=f"{plain(title)}: {_say(progress)}")
            if not read_only():
                st.button("Cancel", key=f"cancel-{job.folder.name}", on_click=job.cancel)
    elif state == "failed":
        lines = job.log_tail()
        message = next(
            (line for line in reversed(lines) if line.startswith("lsi: ")), "The process ended unexpectedly."
        )
        st.error(plain(message.removeprefix("lsi: ")), icon=":material/error:")
        with st.expander("Last lines of the log"):
            st.code("\n".join(lines), language=None)
        if not read_only():
            st.button("Try again", key=f"again-{job.folder.name}", on_click=_again, args=(job,))


def _again(job: jobs.Job) -> None:
    jobs.start(job.settings, cache())


def _say(progress: dict) -> str:
    stage = progress.get("stage", "starting")
    if not progress.get("unit"):
        return stage
    rate, left = progress.get("rate"), progress.get("seconds_left")
    words = f"{stage}, {progress['done']:,} of {progress['total']:,} {progress['unit']}"
    return words + (f", {rate:.0f} a second, {left:.0f} s left" if rate and left is not None else "")


def _path(text: str, upload: Any) -> Path | None:
    if upload is not None:
        return store_upload(upload.name, upload.getvalue(), cache() / "uploads")
    return below_data_roots(Path(text.strip())) if text.strip() else None


def _labels(text: str) -> str | None:
    if not text.strip():
        return None
    name, _, key = text.strip().partition(":")
    return str(below_data_roots(Path(name))) + (f":{key}" if key else "")


def _targets(text: str) -> str | None:
    """Return names of columns as they are, and a file only below the folders that may be read."""
    is_file = "/" in text or Path(text.strip().partition(":")[0]).suffix in (".npy", ".npz", ".csv")
    return _labels(text) if is_file else text.strip() or None


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
