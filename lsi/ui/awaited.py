"""The jobs whose end a session follows: those that it saw running, and those that it started."""

import streamlit as st

from lsi.compute.jobs import Job

AWAITED = "awaited"  # the names of their folders
_OWN = "started"  # those of the jobs that this session started


def await_job(job: Job) -> None:
    """Follow a job that this session started, though it may be done before a page looks for it."""
    if job.was_running:
        st.toast("This is being computed already, from the data as they were when it began: if they have changed, "
                 "compute again when it has ended.")  # fmt: skip
    for key in (AWAITED, _OWN):
        st.session_state[key] = st.session_state.get(key, set()) | {job.folder.name}


def is_own(job: Job) -> bool:
    """Say whether this session started a job: the run of another's is no reason to leave the one on screen."""
    return job.folder.name in st.session_state.get(_OWN, set())
