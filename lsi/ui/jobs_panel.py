"""The computations that run: the first one for a newcomer, and what each has come to."""

import itertools

import streamlit as st

from lsi.compute import jobs
from lsi.config import NoiseSettings, Settings
from lsi.ui.session import cache, plain, read_only, run_names

FIRST = Settings(noise=NoiseSettings(corrupt_label=0.05))
_SHOWN = 3


def start_first_run() -> None:
    """Compute the embedded default where nothing has been computed yet, so that there is something to see."""
    if not read_only() and not run_names() and not jobs.list_jobs(cache()):
        jobs.start(FIRST, cache())


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
