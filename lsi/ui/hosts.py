"""Who may ask: the host that a request names, the page that it comes from, and the address that the app listens on.

A page on another site can reach an app on this machine through the browser: by a name that it points at 127.0.0.1
(DNS rebinding), or by a websocket, which browsers open to any site. Every route and the websocket are checked.
"""

import ipaddress
from typing import Any
from urllib.parse import SplitResult, urlsplit

import psutil
from starlette.responses import PlainTextResponse

from lsi.environment import ANONYMOUS_VARIABLE, HOSTS_VARIABLE, allowed_hosts, anonymous_allowed
from lsi.errors import UsageError


def _split(address: str) -> SplitResult:
    """Return the parts of an address, all of them empty where it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def host_of(netloc: str) -> str:
    """Return the host of `host:port` in lower case, without port and brackets; empty where that is no host."""
    return "" if "@" in netloc else _split(f"//{netloc}").hostname or ""


def refusal(host: str, origin: str | None) -> str:
    """Return why a request is refused, or nothing.

    Args:
        host: what its Host header names, with the port.
        origin: its Origin header, if any: the page that it comes from.
    """
    if host_of(host) not in allowed_hosts():
        return f"The app does not answer under this host. {HOSTS_VARIABLE} lists the names under which it does."
    if origin is not None and _split(origin).netloc.lower() != host.lower():
        return "The app does not answer pages of another origin."
    return ""


class HostCheck:
    """Refuses requests and websockets that name a foreign host or come from a page of another origin."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        why = refusal(headers.get("host", ""), headers.get("origin"))
        if not why:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(why, 403)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": why})


def check_exposure(connections: list[Any]) -> None:
    """Refuse to listen to other machines without a login.

    Args:
        connections: of this process, as psutil lists them.

    Raises:
        UsageError: it listens on an address that is not this machine's own, and nobody said that it may.
    """
    if anonymous_allowed():
        return
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and not ipaddress.ip_address(connection.laddr.ip).is_loopback:
            raise UsageError(
                f"The app listens on {connection.laddr.ip}, where other machines reach it, and knows no login: whoever "
                "reaches it sees the images and decides. Bind it to 127.0.0.1 behind a proxy that asks for one, or "
                f"set {ANONYMOUS_VARIABLE}=1 where everybody who reaches it may."
            )
