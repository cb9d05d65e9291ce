"""Entry point: `streamlit run app.py` serves the app, its image routes and a health check."""

from contextlib import suppress

from lsi.errors import StorageError
from lsi.ui.first_run import start_first_run

with suppress(StorageError):  # the page says it
    start_first_run()

import streamlit as st

from lsi.ui.server import MIDDLEWARE, ROUTES, SCRIPT, start

app = st.App(SCRIPT, routes=ROUTES, middleware=MIDDLEWARE, lifespan=start)
