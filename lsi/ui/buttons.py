"""Buttons whose press counts even where another change on the page arrives before the script has reached them.

What goes wrong in what they do is said in a sentence and leaves the page as it is.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from lsi.errors import LsiError
from lsi.ui.wording import of_file, plain

log = logging.getLogger(__name__)
_PRESSES = "presses"


def pressed(label: str, key: str, **options: Any) -> bool:
    """Draw a button and return whether it was pressed, once for each press.

    A change that arrives while a script runs ends that script, and a press that it has not reached by then is lost
    with Streamlit's own return value. A callback runs before the script does, so this one keeps the press until it
    is reached.

    The callback touches no session either: at each such touch Streamlit may end it for a newer change.

    Args:
        label: of the button.
        key: of the button, unlike that of any other.
        options: of st.button, apart from on_click and args.
    """
    presses: list[str] = st.session_state.setdefault(_PRESSES, [])
    button(label, presses.append, (key,), key=key, **options)
    if key not in presses:
        return False
    presses.clear()
    return True


def forget_press() -> None:
    """Forget presses that nothing has reached: their buttons are not on the page that is shown now."""
    st.session_state.setdefault(_PRESSES, []).clear()


def button(label: str, on_click: Callable[..., object], args: Sequence[Any] = (), **options: Any) -> None:
    """Draw a button that calls a function before the script runs again.

    Args:
        label: of the button.
        on_click: the function; it touches nothing of Streamlit before it has done its work, since Streamlit may end
            a callback at each such touch.
        args: of the function.
        options: of st.button.
    """
    st.button(label, on_click=_in_words, args=(on_click, args), **options)


@contextmanager
def in_words() -> Iterator[None]:
    """Say in a sentence what goes wrong in a fragment or a dialog: Streamlit lets no error of theirs reach the page."""
    try:
        yield
    except LsiError as error:
        st.error(plain(error), icon=":material/error:")
    except OSError as error:
        log.exception("a file could not be read or written")
        st.error(of_file(error), icon=":material/error:")


def _in_words(function: Callable[..., object], args: Sequence[Any]) -> None:
    try:
        function(*args)
    except LsiError as error:
        st.toast(plain(str(error)), icon=":material/error:", duration="long")
    except OSError as error:
        st.toast(plain(f"{error.strerror}: {error.filename}"), icon=":material/error:", duration="long")
