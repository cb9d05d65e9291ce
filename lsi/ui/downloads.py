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


def offer(label: str, make: Callable[[], bytes | str], file: str, kind: str, asked: str = "", **options: Any) -> None:
    """Draw a button that makes a file at a click and gives it to the browser.

    Args:
        label: of the button.
        make: makes the content, in a thread that knows no session.
        file: its name.
        kind: its media type.
        asked: what it is made of; why it could not be made of something else is no longer said.
        options: of st.download_button.
    """
    why: dict[str, tuple[str, str]] = st.session_state.setdefault(_WHY, {})
    if file in why and why[file][0] != asked:
        why.pop(file)

    def made() -> bytes | str:
        why.pop(file, None)
        try:
            return make()
        except LsiError as error:
            why[file] = asked, plain(error)
            raise
        except OSError as error:
            log.exception("a file could not be read or written")
            why[file] = asked, of_file(error)
            raise
        except Exception:
            log.exception("a file could not be made")
            why[file] = asked, "Something unexpected went wrong; the log says what."
            raise

    st.download_button(label, made, file, kind, on_click="ignore", **options)


def say_why_none(*files: str) -> None:
    """Say of files why they could not be made, as soon as that is known: a download does not draw the page anew.

    Args:
        files: their names.
    """
    why: dict[str, tuple[str, str]] = st.session_state.setdefault(_WHY, {})

    @st.fragment(run_every=_SECONDS)
    def said() -> None:
        for file in files:
            if file in why:
                st.error(f"{plain(file)} could not be made. {why[file][1]}", icon=":material/error:")

    said()
