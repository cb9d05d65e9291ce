"""The app with a login, and a provider of its own on this machine."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.browser import Server, free_port, serve, wait_until_it_answers

ROLES = 'viewer = ["eve@other.org"]\nreviewer = ["@example.org"]\nadmin = ["ann@example.org"]\n'


@contextmanager
def serve_with_login(cache: Path, folder: Path, port: int, public: str, **environment: str) -> Iterator[Server]:
    """Start the app on a port, with secrets and roles in `folder`; `public` is the address that browsers use."""
    provider_port = free_port()
    metadata = f"http://localhost:{provider_port}/.well-known/openid-configuration"
    (folder / "roles.toml").write_text(ROLES)
    (folder / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "{public}/oauth2callback"\n'
        'cookie_secret = "a secret for tests that is long enough"\n'
        f'client_id = "lens"\nclient_secret = "none"\nserver_metadata_url = "{metadata}"\n'
    )
    where = {"STREAMLIT_SECRETS_FILES": str(folder / "secrets.toml"), "LSI_ROLES": str(folder / "roles.toml")}
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(provider_port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until_it_answers(metadata, process, folder / "log")
        with serve(cache, port=port, **where, **environment) as server:
            yield server
    finally:
        process.terminate()
        process.wait()
