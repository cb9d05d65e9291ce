"""Buttons whose press counts even where another change on the page arrives before the script has reached them."""

from typing import Any

import streamlit as st

_PRESSED = "pressed_button"


def pressed(label: str, key: str, **options: Any) -> bool:
    """Draw a button and return whether it was pressed, once for each press.

    A change that arrives while a script runs ends that script, and a press that it has not reached by then is lost
    with Streamlit's own return value. A callback runs before the script does, so this one keeps the press until it
    is reached.

    Args:
        label: of the button.
        key: of the button, unlike that of any other.
        options: of st.button, apart from on_click and args.
    """
    st.button(label, key=key, on_click=_press, args=(key,), **options)
    if st.session_state.get(_PRESSED) != key:
        return False
    del st.session_state[_PRESSED]
    return True


def _press(key: str) -> None:
    st.session_state[_PRESSED] = key


def forget_press() -> None:
    """Forget a press that nothing has reached: its button is not on the page that is shown now."""
    st.session_state.pop(_PRESSED, None)
