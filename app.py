"""Entry point: `streamlit run app.py` serves the app, its image routes and a health check."""

from lsi.ui.first_run import start_first_run

start_first_run()

import streamlit as st  # noqa: E402

from lsi.ui.server import MIDDLEWARE, ROUTES, SCRIPT, start  # noqa: E402

app = st.App(SCRIPT, routes=ROUTES, middleware=MIDDLEWARE, lifespan=start)
