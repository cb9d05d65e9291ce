"""The jobs whose end a session follows: those that it saw running, and those that it started."""

import streamlit as st

from lsi.compute.jobs import Job

AWAITED = "awaited"  # the names of their folders


def await_job(job: Job) -> None:
    """Follow a job that this session started, though it may be done before a page looks for it."""
    st.session_state[AWAITED] = st.session_state.get(AWAITED, set()) | {job.folder.name}
