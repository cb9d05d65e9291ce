"""Entry point: `streamlit run app.py` serves the app, its image routes and a health check."""

import streamlit as st

from lsi.ui.server import MIDDLEWARE, ROUTES, SCRIPT, send_at_once

app = st.App(SCRIPT, routes=ROUTES, middleware=MIDDLEWARE, lifespan=send_at_once)
