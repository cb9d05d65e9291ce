"""The app: pages are thin, what they show is made here; the only package that knows streamlit."""
