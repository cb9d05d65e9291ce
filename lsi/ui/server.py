"""The ASGI side of the app: image routes and a health check; hosts, login and security headers around all of it."""

import asyncio
import base64
import hashlib
import logging
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import streamlit
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager

from lsi.data.thumbnails import SIZES, placeholder
from lsi.environment import BASE_VARIABLE, ROOTS_VARIABLE, base_path, check_switches, data_roots, share_cores
from lsi.errors import DataError, LsiError
from lsi.memory import return_freed_memory
from lsi.ui.hosts import HostCheck, check_exposure
from lsi.ui.housekeeping import keep_house
from lsi.ui.login import LoginCheck, check_login, is_required
from lsi.ui.monitoring import RequestLog, begin
from lsi.ui.session import open_view

log = logging.getLogger(__name__)
SCRIPT = Path(__file__).parent / "main.py"
FULL_SIZE = 1024


def inline_script_hashes(page: str) -> list[str]:
    """Return the sha256 of each inline script of a page, as a content security policy writes it."""
    scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page, re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


_PAGE = Path(streamlit.__file__).parent / "static" / "index.html"
_HEADERS = {
    "content-security-policy": (
        f"default-src 'self'; script-src 'self' blob: "
        f"{' '.join(inline_script_hashes(_PAGE.read_text(encoding='utf-8')))}; "
        "img-src 'self' data: blob:; "
        "style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self' ws: wss:; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, and add the headers to its response."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in present]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


async def _image(request: Request) -> Response:
    run, index = request.path_params["run"], _number(request.path_params["index"])
    size = FULL_SIZE if request.scope["route"].name == "whole" else _number(request.query_params.get("size", "128"))
    if size not in (*SIZES, FULL_SIZE):
        return Response("size is one of " + ", ".join(map(str, SIZES)), 400)
    try:
        view = await run_in_threadpool(open_view, run)
        if view is None or index is None:
            return Response("no such image", 404)
        mark = f'"{"-".join(map(str, view.key))}-{index}-{size}"'
        headers = {"cache-control": "private, max-age=31536000, immutable", "etag": mark}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        data = await run_in_threadpool(view.thumbnail, index, size)
    except DataError as error:  # never another image under an old score
        data = await run_in_threadpool(placeholder, str(error), min(size, 256))
        return Response(data, media_type="image/webp", headers={"cache-control": "no-store"})
    except LsiError as error:
        return Response(str(error), 404)
    return Response("no such image", 404) if data is None else Response(data, media_type="image/webp", headers=headers)


def _number(text: str) -> int | None:
    """Return the number that up to nine digits 0 to 9 write: Python refuses some that regular expressions take."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


@asynccontextmanager
async def start(_app: Any) -> AsyncIterator[None]:
    """Look at the listening sockets: refuse those that other machines reach, and switch off Nagle's algorithm.

    Every connection inherits that. Streamlit's socket is one on which asyncio does not do it: headers and body of a
    small answer travel apart, and the second waits up to 40 ms for the first to be acknowledged. Images then come at
    25 a second and connection.
    """
    share_cores()
    connections = psutil.Process().net_connections(kind="tcp")
    try:
        check_login()
        check_switches()  # here rather than on every page
        if not is_required():
            check_exposure(connections)
        begin()
    except LsiError as error:  # raised here, it would be said with the traceback of three libraries
        print(f"lsi: {error}", file=sys.stderr, flush=True)
        os._exit(2)
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.fd >= 0:
            with suppress(OSError), socket.socket(fileno=os.dup(connection.fd)) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for root in data_roots():
        if not os.path.isdir(root):  # noqa: PTH112  Path.is_dir raises where a folder may not be looked into
            log.warning("%s: %s is no folder; between several stands %s.", ROOTS_VARIABLE, root, os.pathsep)
    return_freed_memory()
    house = asyncio.create_task(keep_house())
    yield
    house.cancel()


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


# below the path that a proxy shows the app under, whether it was set for us or for Streamlit
if base_path():
    config.set_option("server.baseUrlPath", base_path())
elif config.get_option("server.baseUrlPath"):
    os.environ[BASE_VARIABLE] = "/" + str(config.get_option("server.baseUrlPath")).strip("/")

ROUTES = [
    Route(base_path() + "/thumbs/{run}/{index}", _image),
    Route(base_path() + "/images/{run}/{index}", _image, name="whole"),
    Route(base_path() + "/health", _health),
]
MIDDLEWARE = [Middleware(RequestLog), Middleware(SecurityHeaders), Middleware(HostCheck), Middleware(LoginCheck)]

# uvicorn takes the address of a client from a header that any program on this machine can send; a login by proxy needs
# the address that a request really comes from
os.environ["FORWARDED_ALLOW_IPS"] = ""

# a folder called pages beside the entry script makes Streamlit guess a page list of its own before the script has run
# once, which breaks deep links into a freshly started server
PagesManager.uses_pages_directory = False
