"""Files that are made when they are asked for; why one could not be made is said on the page."""

import logging
from collections.abc import Callable
from typing import Any

import streamlit as st

from lsi.errors import LsiError
from lsi.ui.wording import of_file, plain

log = logging.getLogger(__name__)
_WHY = "why_no_file"
_SECONDS = 2.0  # between two looks for what could not be made


def offer(label: str, make: Callable[[], bytes | str], file: str, kind: str, **options: Any) -> None:
    """Draw a button that makes a file at a click and gives it to the browser.

    Args:
        label: of the button.
        make: makes the content, in a thread that knows no session.
        file: its name.
        kind: its media type.
        options: of st.download_button.
    """
    why: dict[str, str] = st.session_state.setdefault(_WHY, {})

    def made() -> bytes | str:
        why.pop(file, None)
        try:
            return make()
        except LsiError as error:
            why[file] = plain(error)
            raise
        except OSError as error:
            log.exception("a file could not be read or written")
            why[file] = of_file(error)
            raise

    st.download_button(label, made, file, kind, on_click="ignore", **options)


def say_why_none(*files: str) -> None:
    """Say of files why they could not be made, as soon as that is known: a download does not draw the page anew.

    Args:
        files: their names.
    """
    why: dict[str, str] = st.session_state.setdefault(_WHY, {})

    @st.fragment(run_every=_SECONDS)
    def said() -> None:
        for file in files:
            if file in why:
                st.error(f"{plain(file)} could not be made. {why[file]}", icon=":material/error:")

    said()
