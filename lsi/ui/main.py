"""The app's script: pages, the bar at their head, and the first run for a newcomer."""

import logging
from pathlib import Path

import streamlit as st

from lsi.data.plan import counted
from lsi.environment import app_root
from lsi.errors import LsiError
from lsi.ui import bar, jobs_panel, login
from lsi.ui.buttons import button, forget_press
from lsi.ui.components import drain_decision_log, unwritten
from lsi.ui.first_run import start_first_run
from lsi.ui.wording import of_file, plain

log = logging.getLogger(__name__)
_CHANGED = "changed size during iteration"
_STATIC = Path(__file__).parent / "static"
ICON, LOGO = _STATIC / "icon.svg", _STATIC / "logo.svg"
_STYLE = """<style>
.stAppHeader, .stAppToolbar { height: 3rem; min-height: 3rem; }
.stMainBlockContainer { padding: 3.2rem 1.5rem 1.5rem; }
.stMainBlockContainer > .stVerticalBlock { gap: 0.6rem; }
.st-key-controls { margin: -0.35rem 0; }
.stToastContainer { top: auto !important; bottom: 1rem; }
.st-key-bar h1 { font-size: 1.25rem; padding: 0; white-space: nowrap; }
.st-key-run_box, .st-key-run_box .stSelectbox { width: clamp(240px, 24vw, 420px) !important; }
.st-key-run_box { flex-basis: clamp(240px, 24vw, 420px) !important; }
.st-key-wide-boxes, .st-key-wide-matrix { overflow-x: auto; }
.st-key-wide-boxes > *, .st-key-wide-matrix > * { min-width: 44rem; }
@media (max-width: 1100px) {
  .st-key-undo p, .st-key-redo p { position: absolute; width: 1px; height: 1px; overflow: hidden; }
}
</style>"""
PAGES = [
    ("overview", "Overview", ":material/dashboard:"),
    ("samples", "Samples", ":material/grid_view:"),
    ("issues", "Label issues", ":material/fact_check:"),
    ("map", "Map", ":material/scatter_plot:"),
    ("classes", "Classes", ":material/bar_chart:"),
    ("redundancy", "Quality and duplicates", ":material/content_copy:"),
    ("export", "Export", ":material/download:"),
    ("runs", "Runs", ":material/history:"),
]


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="LSI Lens", page_icon=str(ICON), layout="wide")
    st.logo(str(LOGO), size="medium")
    st.html(_STYLE)
    _let_in()
    folder = app_root() / "pages"
    pages = {
        name: st.Page(folder / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "overview")
        for name, title, icon in PAGES
    }
    st.session_state["pages"] = pages
    page = st.navigation(list(pages.values()), position="top")
    drain_decision_log()
    if st.session_state.get("page_on_screen") != page.url_path:
        forget_press()
    st.session_state["page_on_screen"] = page.url_path
    _say_what_is_unwritten()
    try:
        start_first_run()
        bar.draw(page.title if page.url_path else "", is_filtered=page.url_path not in ("", "runs"))
        _say_what_changed()
        if page.url_path:  # the Overview follows them below its own title
            jobs_panel.follow(is_home=False)
        page.run()
    except LsiError as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:  # what a page reads may go, or its disk fail, while it reads
        log.exception("%s: a file could not be read or written", page.title)
        st.error(
            f"{of_file(error)} Nothing that was decided is lost; load the page again, or choose another run.",
            icon=":material/error:",
        )
    except RuntimeError as error:
        # Streamlit's session is no dictionary for two threads, yet the end of one run may meet the start of the next
        if _CHANGED not in str(error):
            raise
        st.rerun()


def _let_in() -> None:
    """End the page where whose session it is may see nothing, or where that is not known."""
    try:
        may_look = login.may_look()
    except LsiError as error:
        st.error(f"{plain(str(error))} Load the page again.", icon=":material/error:")
        st.stop()
    if not may_look:
        st.info("Your login has ended. Load the page again to sign in.", icon=":material/logout:")
        st.stop()
    if login.is_required():
        login.watch()


def _say_what_is_unwritten() -> None:
    """Say how many decisions the database has not taken, and why."""
    count, why = unwritten()
    if not count:
        return
    st.error(
        f"{counted(count, 'decision')} {'is' if count == 1 else 'are'} not written yet. {plain(why)} Until then this "
        "page keeps what you decided: leave it open.",
        icon=":material/error:",
    )
    button("Try again", _nothing, key="write-again", icon=":material/replay:")


def _nothing() -> None:
    """Do nothing: every run of the script tries to write what is unwritten."""


def _say_what_changed() -> None:
    """Say how many images are no longer those that the run on screen was computed on."""
    view = bar.current_view()
    changed = 0 if view is None else view.count_changed()
    if view is not None and changed:
        total = len(view.table) + len(view.run.unlabelled)
        st.warning(
            f"{changed:,} of {total:,} {view.noun} {'has' if changed == 1 else 'have'} changed since this run. "
            f"{'It is' if changed == 1 else 'They are'} not shown, and cannot be exported; scores are those of the "
            "data as they were.",
            icon=":material/sync_problem:",
        )


main()
