"""Buttons whose press counts even where another change on the page arrives before the script has reached them."""

from typing import Any

import streamlit as st

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
    st.button(label, key=key, on_click=presses.append, args=(key,), **options)
    if key not in presses:
        return False
    presses.clear()
    return True


def forget_press() -> None:
    """Forget presses that nothing has reached: their buttons are not on the page that is shown now."""
    st.session_state.setdefault(_PRESSES, []).clear()
