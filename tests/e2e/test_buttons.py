"""A press that another change overtakes: our buttons keep it."""

from playwright.sync_api import expect

from tests.e2e.browser import serve

SCRIPT = """
import time

import streamlit as st

from lsi.ui.buttons import pressed

st.session_state.setdefault("count", 0)
other = st.checkbox("other")
st.text("drawn")
time.sleep(0.5)
if pressed("ours", "ours"):
    st.session_state["count"] += 1
st.text(f"count {st.session_state['count']}, other {other}")
"""


def test_a_press_counts_though_another_change_overtakes_it(browser, tmp_path):
    script = tmp_path / "buttons.py"
    script.write_text(SCRIPT, "utf-8")
    with serve(tmp_path, script) as server:
        page = browser.new_page()
        page.goto(server.address)
        expect(page.get_by_text("count 0, other False")).to_be_visible()
        page.get_by_role("button", name="ours").click()
        page.wait_for_timeout(100)
        page.get_by_text("other", exact=True).click()
        expect(page.get_by_text("count 1, other True")).to_be_visible()
        page.close()
