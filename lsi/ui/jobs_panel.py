"""The computations that run: the first one for a newcomer, and what each has come to, on every page."""

import itertools
from pathlib import Path
from typing import Any

import streamlit as st

from lsi.compute import jobs
from lsi.ui.awaited import AWAITED, await_job, is_own
from lsi.ui.bar import DRAWN_WITHOUT_RUNS
from lsi.ui.buttons import button
from lsi.ui.deciding import note, refused, reviewer
from lsi.ui.login import is_required, looks_only
from lsi.ui.session import cache, run_label, run_names
from lsi.ui.wording import lasting, pace, plain

_SHOWN = 3  # of the jobs that have ended
_SECONDS, _FIRST_SECONDS = 1.0, 0.25  # between two looks at a job; where nothing else is to be seen
# what a job does, one step after the other, and the stages that belong to each; the first of them fills the step's bar
_STEPS = (
    ("reading the data", ("reading", "dataset")),
    ("turning {noun} into features", ("features", "pixel range", "image quality")),
    ("fitting the probe and leaving each sample out", ("probe and leave-one-out",)),
    ("looking again at the labels", ("labels through the noise", "planted flips")),
    ("looking for near duplicates", ("near duplicates",)),
    ("writing the tables", ("label issues and summaries", "samples without a label")),
)


def follow(is_home: bool) -> None:
    """Show the jobs that run and the latest others; while one runs, look again and again.

    That is every second, or oftener where there is no run yet. At its end the Overview shows its run; another page
    stays in the run on screen and says where the new one is.

    Args:
        is_home: whether the page is the Overview.
    """
    latest = _latest()
    awaited: set[str] = st.session_state.get(AWAITED, set()) | _running(latest)
    looks = itertools.count()

    seconds = _FIRST_SECONDS if st.session_state.get(DRAWN_WITHOUT_RUNS) else _SECONDS

    @st.fragment(run_every=seconds if awaited else None)
    def panel() -> None:
        look = next(looks)
        shown = _latest() if look else latest
        for job in shown:
            _job(job, is_home)
        running = _running(shown)
        if look == 0 and not running and st.session_state.get(DRAWN_WITHOUT_RUNS) and run_names():
            st.rerun()  # the first run was finished while this page was being drawn: nothing else would show it
        # The first look is part of the page: running it anew from here would lose a click that it has not reached.
        if look == 0 or running == awaited:
            return
        _announce([job for job in shown if job.folder.name in awaited and job.state == "done"], is_home)
        for job in shown:
            if job.folder.name in awaited and job.state == "failed":
                st.toast(f"{plain(name_of(job))} failed.", icon=":material/error:")
        st.session_state[AWAITED] = running
        st.rerun()

    st.session_state[AWAITED] = awaited
    panel()


def _announce(done: list[jobs.Job], is_home: bool) -> None:
    """Say which runs have come; on the Overview the newest of this session's own takes the place of the one on screen.

    Args:
        done: jobs that were awaited, the newest first.
        is_home: whether the page is the Overview.
    """
    names, takes_page = run_names(), is_home
    for job in done:
        if job.run_name not in names:
            continue
        is_mine = not is_required() or is_own(job) or bool(st.session_state.get(DRAWN_WITHOUT_RUNS))
        _arrived(str(job.run_name), takes_page and is_mine)
        takes_page = takes_page and not is_mine


def _arrived(run: str, takes_page: bool) -> None:
    if takes_page:
        st.session_state["next_run"] = run
    else:
        st.toast(f"Computed: {plain(run_label(run))}. It is among the runs now.")


def _latest() -> list[jobs.Job]:
    """Return all jobs that run or whose end is awaited, and of the others those that ended last, unless dismissed."""
    awaited, found = st.session_state.get(AWAITED, set()), jobs.list_jobs(cache())
    followed = [job for job in found if job.folder.name in awaited or job.state == "running"]
    others = [job for job in found if job not in followed and not job.is_dismissed]
    ended = sorted(others, key=lambda job: -job.last_sign)[:_SHOWN]
    return [job for job in found if job in followed or job in ended]


def _running(shown: list[jobs.Job]) -> set[str]:
    return {job.folder.name for job in shown if job.state == "running"}


def _job(job: jobs.Job, is_home: bool) -> None:
    state = job.state
    if state == "running":
        with st.container(horizontal=True, vertical_alignment="center"):
            progress = job.progress
            st.progress(_share(job, progress), text=f"{plain(name_of(job))}: {_say(progress)}")
            if job.is_elsewhere:
                st.caption(f"On {plain(job.facts['host'])}, where alone it can be cancelled.")
            elif not looks_only():
                button("Cancel", key=f"cancel-{job.folder.name}", on_click=_cancel, args=(job, reviewer()))
    elif state != "done" and is_home and not job.is_dismissed:
        _ended(job, state)


def _ended(job: jobs.Job, state: str) -> None:
    """Say how a job ended that has no run, and what can be done."""
    if state == "cancelled":
        st.info(f"{plain(name_of(job))}: cancelled. What was finished is kept.", icon=":material/cancel:")
    else:
        lines = job.log_tail()
        found = next((line for line in reversed(lines) if line.startswith("lsi: ")), "The process ended unexpectedly.")
        message = found.removeprefix("lsi: ").removeprefix("--data: ")
        st.error(f"{plain(name_of(job))}: {plain(message)}", icon=":material/error:")
        with st.expander("Last lines of the log"):
            st.code("\n".join(lines), language=None)
    if looks_only():
        return
    with st.container(horizontal=True):
        again = "Resume" if state == "cancelled" else "Try again"
        button(again, key=f"again-{job.folder.name}", icon=":material/replay:", on_click=_again,
               args=(job, reviewer()))  # fmt: skip
        button("Dismiss", key=f"dismiss-{job.folder.name}", icon=":material/close:", on_click=_dismiss, args=(job,))


def _dismiss(job: jobs.Job) -> None:
    if not refused():
        job.dismiss()


def _again(job: jobs.Job, name: str) -> None:
    if refused():
        return
    note(name, "started", name_of(job), job=job.folder.name)
    await_job(jobs.start(job.settings, cache(), decided=job.facts.get("decided", "")))


def _cancel(job: jobs.Job, name: str) -> None:
    if refused():
        return
    if job.state != "running":
        st.toast("It has ended meanwhile: there is nothing to cancel.")
        return
    try:
        note(name, "cancelled", name_of(job), job=job.folder.name)
    finally:  # it may be what filled the disk
        job.cancel()


def name_of(job: jobs.Job) -> str:
    """Return what a job is called: its data, and that it starts from decisions."""
    data = job.settings.data
    name = data.dataset if data.data is None else Path(data.data).name
    return f"{name}, from your decisions" if job.settings.decisions else name


def _step(progress: dict[str, Any]) -> int:
    stage = progress.get("stage", "dataset")
    return next((i for i, (_, stages) in enumerate(_STEPS) if stage in stages), 0)


def _share(job: jobs.Job, progress: dict[str, Any]) -> float:
    """Return how far a job is, 0 … 1, over all of its steps; it never falls."""
    step = _step(progress)
    is_counted = progress.get("stage") == _STEPS[step][1][0] and progress.get("unit")
    within = progress.get("done", 0) / max(progress.get("total", 1), 1) if is_counted else 0.0
    reached: dict[str, float] = st.session_state.setdefault("job_shares", {})
    key = f"{job.folder.name}-{job.facts.get('started')}"
    reached[key] = max(reached.get(key, 0.0), min((step + within) / len(_STEPS), 1.0))
    return reached[key]


def _say(progress: dict[str, Any]) -> str:
    if not progress:
        return "starting"
    step = _step(progress)
    unit = progress.get("unit")
    noun = "texts" if unit == "texts" else "images"
    words = f"step {step + 1} of {len(_STEPS)}, {_STEPS[step][0].format(noun=noun)}"
    if not unit:
        return words
    rate, left = progress.get("rate"), progress.get("seconds_left")
    words += f", {progress['done']:,} of {progress['total']:,}"
    return words + (f", {pace(float(rate))}, {lasting(float(left))} left" if rate and left is not None else "")
