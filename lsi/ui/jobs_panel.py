"""Starting a computation from a form made of the settings, and following it."""

from pathlib import Path
from typing import Any, cast

import streamlit as st

from lsi import jobs
from lsi.config import DataSettings, FeatureSettings, NoiseSettings, ScoreSettings, Settings, Task
from lsi.errors import LsiError, UsageError
from lsi.ui.paths import below_data_roots
from lsi.ui.session import cache, plain, read_only, run_names
from lsi.ui.uploads import TYPES, keep

FIRST = Settings(noise=NoiseSettings(corrupt_label=0.05))
_SHOWN = 3


def start_first_run() -> None:
    """Compute the embedded default where nothing has been computed yet, so that there is something to see."""
    if not read_only() and not run_names() and not jobs.list_jobs(cache()):
        jobs.start(FIRST, cache())


def form() -> None:
    """Show the form, and start what it says."""
    with st.form("compute", border=False):
        left, middle, right = st.columns(3)
        dataset = left.text_input(
            "Dataset", "digits", help="digits is built in; or a torchvision name such as cifar10."
        )
        data = left.text_input("Or your own data", "", placeholder="folder, .parquet, .csv or .npz",
                               help="A path below the folders this server may read.")  # fmt: skip
        upload = left.file_uploader("Or upload it", TYPES, help="A .zip with one folder a class or with a manifest, a "
                                    ".parquet, .npz or .csv file.")  # fmt: skip
        labels = left.text_input("Other labels for the same images", "", help="A .npy, .npz or .csv file, with :KEY.")
        backbone = middle.text_input("Backbone", "auto", help=_help(FeatureSettings, "backbone"))
        subset = middle.number_input("Subset (0: all)", 0, step=1000, help=_help(DataSettings, "subset"))
        task = middle.selectbox("Task", ["auto", "classification", "regression", "paired", "self"],
                              help=_help(DataSettings, "task"))  # fmt: skip
        targets = middle.text_input("Targets of a regression or of pairs", "", help=_help(DataSettings, "targets"))
        flips = middle.slider(
            "Labels to flip on purpose", 0, 50, 0, format="%d %%", help="To see how well they are found."
        )
        structure = right.selectbox("Structure of the posterior", ["auto", "full", "kron", "diag"],
                                    help=_help(ScoreSettings, "structure"))  # fmt: skip
        prior = right.text_input("Prior precision", "auto", help=_help(ScoreSettings, "prior_precision"))
        seed = right.number_input("Seed", 0, step=1)
        calibrate = right.toggle("Say how precise a cut is", help=_help(ScoreSettings, "calibrate"))
        if st.form_submit_button("Compute", icon=":material/play_arrow:"):
            try:
                settings = Settings(
                    DataSettings(
                        dataset,
                        _path(data, upload),
                        _labels(labels),
                        task=cast(Task, task),
                        targets=_targets(targets),
                        subset=int(subset) or None,
                    ),
                    NoiseSettings(corrupt_label=flips / 100),
                    FeatureSettings(backbone=backbone),
                    ScoreSettings(_prior(prior), structure, calibrate=calibrate),  # type: ignore[arg-type]
                    int(seed),
                )
                jobs.start(settings, cache())
                st.rerun()
            except LsiError as error:
                st.error(plain(error))


def follow() -> None:
    """Show the latest jobs; while one runs, look again every second."""
    live = any(job.state == "running" for job in jobs.list_jobs(cache())[:_SHOWN])

    @st.fragment(run_every=1.0 if live else None)
    def panel() -> None:
        shown = jobs.list_jobs(cache())[:_SHOWN]
        for job in shown:
            _job(job)
        running = any(job.state == "running" for job in shown)
        finished = [job.run_name for job in shown if job.state == "done"]
        if st.session_state.get("was_live") and (not running or finished != st.session_state.get("finished")):
            st.session_state["was_live"] = running
            st.session_state["finished"] = finished
            if finished and finished[0] in run_names():
                st.session_state["next_run"] = finished[0]
            st.rerun()
        st.session_state["was_live"], st.session_state["finished"] = running, finished

    panel()


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
        return keep(upload.name, upload.getvalue(), cache() / "uploads")
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

    found = docstring_parser.parse(record.__doc__ or "").params
    return next((p.description or "" for p in found if p.arg_name == name), "")
