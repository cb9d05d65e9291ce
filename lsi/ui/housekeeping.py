"""What closed pages held is given back: Streamlit forgets a session only when another one closes after it.

The list of closed sessions is Streamlit's own and not public; where a version keeps it elsewhere, nothing is done.
"""

import asyncio
import gc
from typing import Any

from streamlit.runtime import Runtime, exists

from lsi.memory import trim

EVERY = 60.0  # seconds


async def keep_house(every: float = EVERY) -> None:
    """Look again and again, until cancelled, whether closed sessions are past their time."""
    while True:
        await asyncio.sleep(every)
        closed = closed_sessions()
        if closed is not None and closed.expire():
            give_back()


def closed_sessions() -> Any:
    """Return Streamlit's store of closed sessions; None where there is none."""
    found: Any = Runtime.instance() if exists() else None
    for name in ("_session_mgr", "_session_storage", "_cache"):
        found = getattr(found, name, None)
    return found if hasattr(found, "expire") else None


def give_back() -> None:
    """Collect what sessions held in cycles, and give free memory back to the system.

    The collection looks at every object, 0.2 s in which nobody else is served: once a minute, and only after sessions
    have ended.
    """
    gc.collect()
    trim()
