"""Tags and notes on samples: what stands there, and how more is added or taken away."""

import numpy as np
import streamlit as st
from jaxtyping import Int

from lsi.errors import LsiError
from lsi.runs import remarks
from lsi.ui.buttons import button
from lsi.ui.deciding import remarks_on, reviewer, reviews
from lsi.ui.login import looks_only
from lsi.ui.session import View
from lsi.ui.wording import plain

_GIVEN = "tags_given"  # the key of the tags of the sample on screen, and what of them is written
_REFUSED = "note_refused"  # the key and the text of a note that was not taken


def tags_in_use(view: View) -> list[str]:
    """Return the tags that are on samples of the run, the most frequent first."""
    said = remarks_on(view)
    return said.loc[said["kind"] == "tag", "text"].value_counts().index.tolist()


def on_sample(view: View, position: int) -> None:
    """Show the tags and notes of one sample, and let people who may decide change them.

    Args:
        view: the run.
        position: row of its table.
    """
    if not looks_only():
        _carry_out_lost(view, position)
    said = remarks_on(view)
    here = said[said["sample"] == position]
    tags, notes = here.loc[here["kind"] == "tag", "text"].tolist(), here[here["kind"] == "note"]
    if looks_only():
        if tags:
            st.markdown("Tags: " + ", ".join(plain(tag) for tag in tags))
    else:
        _tags(view, position, tags)
    for one in notes.to_dict("records"):
        with st.container(horizontal=True, vertical_alignment="center"):
            signed = f"{plain(one['reviewer'])}, {one['time']:%d %B %Y}"
            st.markdown(f"{plain(one['text'])} ({signed})", width="stretch")
            if not looks_only():
                button("Remove", key=f"note-{one['id']}", type="tertiary", icon=":material/close:",
                       on_click=_remove_note, args=(view, reviewer(), int(one["id"])))  # fmt: skip
    if not looks_only():
        _note(view, position)


def on_several(view: View, positions: "list[int] | Int[np.ndarray, ' s']", what: str, key: str) -> None:
    """Offer to put a tag on several samples, or to take it off.

    Args:
        view: the run.
        positions: rows of its table.
        what: says how many of what they are.
        key: of the widgets.
    """
    in_use = tags_in_use(view)
    tag = st.selectbox("Tag", in_use, index=None, key=f"{key}-tag", accept_new_options=True, width=200,
                       placeholder="Choose or type a tag")  # fmt: skip
    if not tag:
        return
    chosen, name = [int(i) for i in positions], reviewer()
    button(f"Tag {what}", key=f"{key}-tag-on", on_click=_put, args=(view, name, chosen, (tag,), ()))
    if tag in in_use:
        button("Take the tag off", key=f"{key}-tag-off", on_click=_put, args=(view, name, chosen, (), (tag,)))


def _tags_key(view: View, position: int) -> str:
    return f"tags-{view.run.name}-{position}"


def _carry_out_lost(view: View, position: int) -> None:
    """Put the tags that were chosen and the note that was written where a newer change ended the callback."""
    key = _tags_key(view, position)
    of, given = st.session_state.get(_GIVEN, (None, []))
    if of == key and key in st.session_state:
        _change_tags(view, reviewer(), position, given, st.session_state[key])
    key = _note_key(view, position)
    if st.session_state.get(_REFUSED) != (key, st.session_state.get(key)):
        _write_note(view, reviewer(), position)


def _change_tags(view: View, name: str, position: int, given: list[str], wanted: list[str]) -> None:
    added, gone = [t for t in wanted if t not in given], [t for t in given if t not in wanted]
    _put(view, name, [position], tuple(added), tuple(gone))


def _tags(view: View, position: int, tags: list[str]) -> None:
    key, name = _tags_key(view, position), reviewer()

    def change() -> None:
        wanted, (of, given) = st.session_state[key], st.session_state.get(_GIVEN, (None, []))
        # of two changes in quick succession the second may come before the page has shown the first
        _change_tags(view, name, position, given if of == key else tags, wanted)
        st.session_state[_GIVEN] = (key, wanted)

    st.session_state[key] = tags
    st.session_state[_GIVEN] = (key, tags)
    st.multiselect("Tags", list(dict.fromkeys([*tags_in_use(view), *tags])), key=key, accept_new_options=True,
                   on_change=change, placeholder="Choose or type a tag",
                   help=f"Short words that {view.noun} share: to filter by, and in every export.")  # fmt: skip


def _note_key(view: View, position: int) -> str:
    return f"write-{view.run.name}-{position}"


def _write_note(view: View, name: str, position: int) -> None:
    key = _note_key(view, position)
    text = st.session_state.get(key) or ""
    if looks_only() or not text.strip():
        return
    try:
        remarks.add_remark(reviews(), view.run.subject, name, [position], "note", text)
    except LsiError as error:
        st.toast(plain(error), icon=":material/error:")
        st.session_state[_REFUSED] = (key, text)
        return
    st.session_state[key] = ""


def _note(view: View, position: int) -> None:
    st.text_input("Add a note", key=_note_key(view, position), on_change=_write_note, args=(view, reviewer(), position),
                  max_chars=remarks.LENGTHS["note"], placeholder="Add a note, then press Enter",
                  label_visibility="collapsed")  # fmt: skip


def _put(view: View, name: str, positions: list[int], added: tuple[str, ...], gone: tuple[str, ...]) -> None:
    """Put tags on samples and take others off; a callback, which touches Streamlit after its work alone."""
    if looks_only():
        st.toast("Read-only: nothing can be said here.", icon=":material/lock:")
        return
    about = view.run.subject
    try:
        for tag in added:
            remarks.add_remark(reviews(), about, name, positions, "tag", tag)
        for tag in gone:
            remarks.remove_tag(reviews(), about, name, positions, tag)
    except LsiError as error:
        st.toast(plain(error), icon=":material/error:")


def _remove_note(view: View, name: str, number: int) -> None:
    if not looks_only():
        remarks.remove_note(reviews(), view.run.subject, name, number)
