"""Who is asking: a login by OpenID Connect through Streamlit, or a proxy that says who signed in with it.

Streamlit asks for a login where a script does; its own routes and ours are open. So every request and websocket is held
against the signed cookie of that login before anything answers it. The functions that read the cookie are Streamlit's
own internals: all of them are imported here, and tests read a cookie that Streamlit wrote.
"""

import importlib.util
import ipaddress
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.requests import HTTPConnection, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from streamlit.auth_util import (
    encode_provider_token,
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    get_secrets_auth_section,
)
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from lsi.environment import base_path, read_only
from lsi.errors import StorageError, UsageError
from lsi.ui.roles import Role, name_of, read_roles, role_of

log = logging.getLogger(__name__)
ROLES_VARIABLE = "LSI_ROLES"  # the file of roles
PROXY_VARIABLE = "LSI_PROXY_HEADER"  # the header in which a proxy names the address of who signed in
PROXIES_VARIABLE = "LSI_PROXIES"  # networks of those proxies; this machine by default
HOURS_VARIABLE = "LSI_LOGIN_HOURS"  # how long a login holds, or an open page where a proxy signs people in
_HOURS = 12.0
_OPENED = "x-lsi-opened"  # header that is added here: when the websocket of a page was opened, in seconds since 1970
WATCH_SECONDS = 60.0  # between two looks of an open page at whether its login still holds
OPEN = ("/health", "/_stcore/health")
OPEN_TO_SIGN_IN = ("/auth/login", "/auth/logout", "/oauth2callback")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>LSI Lens</title><style>body {{ font: 1rem/1.5 system-ui; max-width: 26rem; margin: 18vh auto; padding: 0 1rem;
color-scheme: light dark }} a {{ display: inline-block; padding: .5rem 1rem; border: 1px solid; border-radius: .3rem;
text-decoration: none; color: inherit }}</style><h1>LSI Lens</h1><p>{text}</p><p><a href="{link}">{label}</a></p></html>
"""


@dataclass(frozen=True)
class Person:
    """Who is asking.

    Attributes:
        name: the e-mail address where it is verified, or else what the provider numbers the person by.
        role: what they may do; None: nothing.
    """

    name: str
    role: Role | None


def is_required() -> bool:
    """Say whether a login is configured."""
    return bool(_proxy_header() or get_secrets_auth_section())


def check_login() -> None:
    """See that what a login needs is there, before the first request.

    Raises:
        UsageError: nobody has a role, two ways to sign in are configured, or a package or setting is missing.
    """
    if not is_required():
        return
    if not os.environ.get(ROLES_VARIABLE):
        raise UsageError(
            f"A login is configured but no role: set {ROLES_VARIABLE} to a file that says who may do what."
        )
    if not any(_roles().values()):
        raise UsageError(f"{os.environ[ROLES_VARIABLE]}: nobody has a role.")
    _hours()
    if _proxy_header():
        if get_secrets_auth_section():
            raise UsageError(f"Both [auth] and {PROXY_VARIABLE} are set: one of them signs people in.")
        _proxies()
        return
    if importlib.util.find_spec("authlib") is None:
        raise UsageError("A login needs a package that is not installed: pip install 'lsi-lens[auth]'.")
    if not get_origin_from_redirect_uri() or len(get_cookie_secret()) < 32:
        raise UsageError("[auth] needs a redirect_uri, and a cookie_secret of 32 characters or more.")


def person_of(headers: Mapping[str, str], peer: str | None) -> Person | None:
    """Return who is asking, None where nobody has signed in.

    Args:
        headers: of the request, by names of any case.
        peer: address that the request comes from; None for the headers of an open page, whose websocket was let in.
    """
    claims = _claims(headers, peer)
    if claims is None:
        return None
    return Person(name_of(claims), role_of(claims, _roles()))


def _claims(headers: Mapping[str, str], peer: str | None) -> dict[str, Any] | None:
    return _claims_of_proxy(headers, peer) if _proxy_header() else _claims_of_cookie(headers.get("cookie", ""))


def current() -> Person | None:
    """Return whose session it is; an admin without a name where no login is configured."""
    if not is_required():
        return Person("", "admin")
    return person_of(st.context.headers, None)


def may_look() -> bool:
    """Say whether whose session it is may see anything: the login may have ended since, or the role been taken away."""
    person = current()
    return person is not None and person.role is not None


@st.fragment(run_every=WATCH_SECONDS)
def watch() -> None:
    """Have an open page drawn again, which then says why it is empty, once its login has ended, untouched or not."""
    with suppress(UsageError):
        if may_look():
            return
    st.rerun()


def signed_in() -> str:
    """Return the name under which this session has signed in; empty where nobody has."""
    person = current()
    return "" if person is None else person.name


def signs_in_here() -> bool:
    """Say whether the app itself signs people in and out, and no proxy before it."""
    return not _proxy_header()


def looks_only() -> bool:
    """Say whether this session shows everything and changes nothing."""
    person = None if read_only() else current()
    return person is None or person.role not in ("reviewer", "admin")


def right_of(*allowed: Role) -> Callable[[], bool]:
    """Return what says later whether whoever sees this page has one of these roles, by the roles of then.

    Who it is is read now: a page that is being left, or a file asked for, has no connection to read it from.

    Raises:
        StorageError: (what is returned) the roles cannot be read just now.
    """
    if read_only() or not is_required():
        return lambda: not read_only()
    claims = _claims(st.context.headers, None)

    def has_right() -> bool:
        try:
            return claims is not None and role_of(claims, _roles()) in allowed
        except UsageError as error:
            raise StorageError(str(error)) from error

    return has_right


def is_admin() -> bool:
    """Say whether this session may delete what others made."""
    person = None if read_only() else current()
    return person is not None and person.role == "admin"


class LoginCheck:
    """Answers nothing but a request of somebody with a role, and health checks; without a login it asks nobody."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or say what it takes."""
        answer = self._refusal(scope) if scope["type"] in ("http", "websocket") and is_required() else None
        if answer is None and scope["type"] == "websocket" and _proxy_header():
            scope = scope | {"headers": _with_time(scope["headers"])}
        if answer is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await answer(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "sign in first"})

    def _refusal(self, scope: Any) -> Response | None:
        path, is_proxied = scope["path"], bool(_proxy_header())
        if scope["type"] == "http" and path in [
            base_path() + p for p in OPEN + (() if is_proxied else OPEN_TO_SIGN_IN)
        ]:
            return None
        connection = HTTPConnection(scope)
        try:
            person = person_of(connection.headers, connection.client.host if connection.client else "")
        except UsageError:
            log.exception("nobody is let in")
            return PlainTextResponse("who may see this cannot be told just now: the log of the app says why", 503)
        if person is not None:
            scope.setdefault("state", {})["who"] = person.name
        if person is not None and person.role is not None:
            is_change = scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS")
            return PlainTextResponse("viewers change nothing", 403) if is_change and person.role == "viewer" else None
        status = 401 if person is None else 403
        if is_proxied or "text/html" not in connection.headers.get("accept", ""):
            return PlainTextResponse("sign in first" if person is None else f"{person.name} has no role here", status)
        return _sign_in_page(person, status)


def _with_time(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a websocket with the time: its session sees those of the beginning for as long as it is."""
    kept = [(name, value) for name, value in headers if name.lower() != _OPENED.encode()]  # not what a client says
    return [*kept, (_OPENED.encode(), str(time.time()).encode())]


def _sign_in_page(person: Person | None, status: int) -> Response:
    if person is None:
        provider = next((n for n, v in get_secrets_auth_section().items() if isinstance(v, Mapping)
                         and "client_id" in v), "default")  # fmt: skip
        link, text = (
            f"{base_path()}/auth/login?provider={encode_provider_token(provider)}",
            "Sign in to see the images.",
        )
    else:
        link, text = f"{base_path()}/auth/logout", f"{escape(person.name)} has no role here. An admin gives one."
    page = _PAGE.format(text=text, link=escape(link), label="Sign in" if person is None else "Sign out")
    return HTMLResponse(page, status, {"cache-control": "no-store"})


def _claims_of_cookie(cookies: str) -> dict[str, Any] | None:
    """Return what the signed cookie of a login says, if it is valid, of this address and not too old."""
    secret = get_cookie_secret()
    held = cookie_parser(cookies)

    def read(name: str) -> bytes | None:
        return decode_signed_value(secret, name, held[name]) if name in held else None

    raw = get_cookie_with_chunks(read, USER_COOKIE_NAME)
    claims = json.loads(raw) if raw else {}
    if not claims.get("is_logged_in") or claims.get("origin") != get_origin_from_redirect_uri():
        return None
    return claims if _holds_since(claims.get("iat")) else None


def _holds_since(when: Any) -> bool:
    """Say whether a login of then, in seconds since 1970, still holds."""
    return time.time() - float(when or 0) < _hours() * 3600


def _claims_of_proxy(headers: Mapping[str, str], peer: str | None) -> dict[str, Any] | None:
    if peer is None and not _holds_since(headers.get(_OPENED)):  # the proxy looks anew when the page is loaded again
        return None
    try:
        is_trusted = peer is None or any(ipaddress.ip_address(peer) in network for network in _proxies())
    except ValueError:
        is_trusted = False
    email = headers.get(_proxy_header(), "") if is_trusted else ""
    return {"email": email} if email else None


def _proxy_header() -> str:
    return os.environ.get(PROXY_VARIABLE, "").lower()


def _proxies() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    named = os.environ.get(PROXIES_VARIABLE) or "127.0.0.0/8, ::1"
    try:
        return [ipaddress.ip_network(one.strip()) for one in named.split(",")]
    except ValueError as error:
        raise UsageError(f"{PROXIES_VARIABLE}: {error}.") from error


def _hours() -> float:
    try:
        hours = float(os.environ.get(HOURS_VARIABLE) or _HOURS)
    except ValueError:
        hours = 0.0
    if not hours > 0:
        raise UsageError(f"{HOURS_VARIABLE} is a number of hours above 0.")
    return hours


def _roles() -> dict[Role, tuple[str, ...]]:
    path = Path(os.environ[ROLES_VARIABLE])
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise UsageError(f"{ROLES_VARIABLE}: {error}") from error


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int) -> dict[Role, tuple[str, ...]]:
    return read_roles(path)
