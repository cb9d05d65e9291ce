import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any, cast

import pytest
from streamlit.runtime import Runtime, RuntimeConfig
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from lsi.ui import housekeeping


class Page:
    """What holds itself, as Streamlit's sessions do."""

    def __init__(self, name: str) -> None:
        self.id, self.me = name, self


@pytest.fixture
def storage(monkeypatch):
    """The store of closed sessions of a runtime that has begun, each kept for 0.2 s."""
    monkeypatch.setattr(Runtime, "_instance", None)
    storage = MemorySessionStorage(ttl_seconds=cast(int, 0.2))
    media, uploads = MemoryMediaFileStorage("/media"), MemoryUploadedFileManager("/upload")
    Runtime(RuntimeConfig("app.py", media, uploads, session_storage=storage))
    gc.disable()
    yield storage
    gc.enable()


def close(storage: MemorySessionStorage, name: str) -> weakref.ref:
    page = Page(name)
    storage.save(cast(Any, SimpleNamespace(session=page)))
    return weakref.ref(page)


async def keep_for(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(housekeeping.keep_house(every=0.02), seconds)


def test_a_closed_session_is_forgotten_after_its_time_though_none_closes_after_it(storage):
    page = close(storage, "first")
    asyncio.run(keep_for(0.1))
    assert page() is not None, "it can still be come back to"
    asyncio.run(keep_for(0.4))
    assert page() is None


def test_nothing_is_collected_while_no_session_has_passed_its_time(storage, monkeypatch):
    monkeypatch.setattr(housekeeping, "give_back", lambda: pytest.fail("the whole process was looked at"))
    close(storage, "first")
    asyncio.run(keep_for(0.1))


def test_a_runtime_that_keeps_them_elsewhere_or_none_at_all_is_left_alone(storage, monkeypatch):
    monkeypatch.setattr(Runtime.instance(), "_session_mgr", SimpleNamespace())
    assert housekeeping.closed_sessions() is None
    monkeypatch.setattr(Runtime, "_instance", None)
    assert housekeeping.closed_sessions() is None
    asyncio.run(keep_for(0.1))
