"""With a login configured, every route of the app answers nobody but people with a role; found, not listed."""

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit as st
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit import config
from streamlit.runtime import Runtime
from streamlit.runtime.secrets import secrets_singleton
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from lsi.errors import UsageError
from lsi.ui import login
from lsi.ui.server import MIDDLEWARE, ROUTES, SCRIPT

ORIGIN = "http://localhost:8501"
SECRET = "a secret for tests that is long enough"
AUTH = f"""
[auth]
redirect_uri = "{ORIGIN}/oauth2callback"
cookie_secret = "{SECRET}"
client_id = "lens"
client_secret = "none"
server_metadata_url = "http://127.0.0.1:1/.well-known/openid-configuration"
"""


@pytest.fixture
def roles(tmp_path, monkeypatch):
    path = tmp_path / "roles.toml"
    path.write_text('viewer = ["@other.org"]\nreviewer = ["@example.org"]\nadmin = ["ann@example.org"]')
    monkeypatch.setenv("LSI_ROLES", str(path))
    return path


@pytest.fixture
def secrets(tmp_path) -> Iterator[None]:
    before = config.get_option("secrets.files")
    (tmp_path / "secrets.toml").write_text(AUTH)
    config.set_option("secrets.files", [str(tmp_path / "secrets.toml")])
    secrets_singleton._reset()
    yield
    config.set_option("secrets.files", before)
    secrets_singleton._reset()


def cookie(email: str, *, secret: str = SECRET, origin: str = ORIGIN, hours: float = 1, **more: object) -> str:
    claims = {"email": email, "origin": origin, "is_logged_in": True, "iat": time.time() - hours * 3600} | more
    return f"{USER_COOKIE_NAME}={create_signed_value(secret, USER_COOKIE_NAME, json.dumps(claims)).decode()}"


VIEWER, REVIEWER, ADMIN = cookie("eve@other.org"), cookie("bob@example.org"), cookie("ann@example.org")
ASKING = {
    "no cookie": ("", 401),
    "another cookie": (f"{USER_COOKIE_NAME}=eyJpc19sb2dnZWRfaW4iOnRydWV9", 401),
    "altered": (ADMIN[:-2] + ("AA" if ADMIN[-2:] != "AA" else "BB"), 401),
    "signed by others": (cookie("ann@example.org", secret="x" * 40), 401),
    "of another address": (cookie("ann@example.org", origin="http://evil.example"), 401),
    "expired": (cookie("ann@example.org", hours=12.1), 401),
    "without a time": (cookie("ann@example.org", iat=None), 401),
    "logged out": (cookie("ann@example.org", is_logged_in=False), 401),
    "no role": (cookie("mallory@evil.example"), 403),
    "not verified": (cookie("ann@example.org", email_verified=False), 403),
    "viewer": (VIEWER, 200),
    "reviewer": (REVIEWER, 200),
    "admin": (ADMIN, 200),
}


def routes_of(found: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield method and path of every route, with something in place of its parameters."""
    for route in found:
        if isinstance(route, Mount):
            yield "GET", prefix + route.path + "/some/file"
            yield from routes_of(list(route.routes), prefix + route.path)
        elif isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", prefix + route.path
        else:
            assert isinstance(route, Route)
            path = prefix + route.path
            for name, convertor in route.param_convertors.items():
                path = path.replace(f"{{{name}}}", "0").replace(f"{{{name}:{_kind(convertor)}}}", "0")
            assert "{" not in path
            for method in route.methods or {"GET"}:
                yield method, path


def _kind(convertor: object) -> str:
    return type(convertor).__name__.removesuffix("Convertor").lower().replace("integer", "int")


@pytest.fixture(scope="module")
def served() -> Iterator[TestClient]:
    """The whole app as it is served, Streamlit's routes included, without its start."""
    app = st.App(SCRIPT, routes=ROUTES, middleware=MIDDLEWARE)
    app._starlette_app = app._build_starlette_app()
    yield TestClient(app._starlette_app, base_url=ORIGIN, raise_server_exceptions=False)
    Runtime._instance = None


def asked(client: TestClient, method: str, path: str, headers: dict[str, Any]) -> int:
    if method != "WEBSOCKET":
        return client.request(method, path, headers=headers, follow_redirects=False).status_code
    try:
        with client.websocket_connect(path, headers={"host": "localhost:8501", "origin": ORIGIN} | headers):
            return 200
    except WebSocketDisconnect as closed:
        return {"sign in first": 401}.get(closed.reason, 403)
    except RuntimeError:  # it got as far as Streamlit, which was not started
        return 200


def open_paths(method: str, path: str) -> bool:
    return method != "WEBSOCKET" and path in login.OPEN + login.OPEN_TO_SIGN_IN


@pytest.mark.parametrize("who", list(ASKING))
def test_every_route_answers_nobody_without_a_role(served, roles, secrets, who):
    sent, status = ASKING[who]
    found = sorted(set(routes_of(served.app.routes)))
    assert len(found) > 20
    assert {("GET", "/thumbs/0/0"), ("GET", "/health"), ("WEBSOCKET", "/_stcore/stream")} < set(found)
    for method, path in found:
        answer = asked(served, method, path, {"cookie": sent} if sent else {})
        if open_paths(method, path):
            assert answer not in (401, 403), (method, path)
        elif status != 200:
            # a websocket is closed before it is one, for one reason
            assert answer == (401 if method == "WEBSOCKET" else status), (method, path)
        elif who == "viewer" and method not in ("GET", "HEAD", "OPTIONS", "WEBSOCKET"):
            assert answer == 403, (method, path)
        else:
            assert answer == 200 if method == "WEBSOCKET" else answer != 401, (method, path)


def test_every_route_refuses_foreign_hosts_and_origins_of_an_admin_too(served, roles, secrets):
    for method, path in sorted(set(routes_of(served.app.routes))):
        for foreign in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
            assert asked(served, method, path, {"cookie": ADMIN} | foreign) == 403, (method, path, foreign)


def test_the_log_says_who_asked(served, roles, secrets, caplog):
    with caplog.at_level(logging.INFO, "lsi.requests"):
        served.get("/thumbs/none/0", headers={"cookie": VIEWER})
        served.get("/thumbs/none/0", headers={"cookie": cookie("mallory@evil.example")})
        served.get("/thumbs/none/0", headers={"cookie": cookie("ann@example.org", email_verified=False, sub="77")})
        served.get("/thumbs/none/0")
    found = [(r.who, r.status) for r in caplog.records if r.name == "lsi.requests"]
    assert found == [("eve@other.org", 404), ("mallory@evil.example", 403), ("77", 403), ("", 401)]


def test_a_browser_without_a_login_gets_a_page_that_leads_to_one(served, roles, secrets):
    page = served.get("/samples", headers={"accept": "text/html"})
    assert page.status_code == 401
    assert "/auth/login?provider=" in page.text
    assert page.headers["cache-control"] == "no-store"
    page = served.get("/", headers={"accept": "text/html", "cookie": cookie("<b>@evil.example")})
    assert page.status_code == 403
    assert "&lt;b&gt;@evil.example" in page.text
    assert "/auth/logout" in page.text


def test_a_long_login_is_read_from_its_parts(served, roles, secrets):
    claims = {"email": "ann@example.org", "origin": ORIGIN, "is_logged_in": True, "iat": time.time()}
    text = json.dumps(claims | {"groups": ["g" * 50] * 40})
    half = len(text) // 2
    parts = {USER_COOKIE_NAME: "chunks-2", f"{USER_COOKIE_NAME}_1": text[:half], f"{USER_COOKIE_NAME}_2": text[half:]}
    signed = {name: create_signed_value(SECRET, name, value).decode() for name, value in parts.items()}
    whole = "; ".join(f"{name}={value}" for name, value in signed.items())
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": whole}) == 404
    missing = "; ".join(f"{name}={value}" for name, value in list(signed.items())[:2])
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": missing}) == 401


def test_a_login_is_found_among_cookies_of_other_apps(served, roles, secrets):
    others = 'theme="a b; {x}: é"; =; bare; '.encode().decode("latin-1")
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": others.encode("latin-1") + ADMIN.encode()}) == 404


def test_how_long_a_login_holds_is_a_setting(served, roles, secrets, monkeypatch):
    monkeypatch.setenv("LSI_LOGIN_HOURS", "0.5")
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": ADMIN}) == 401
    monkeypatch.setenv("LSI_LOGIN_HOURS", "2")
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": ADMIN}) == 404


def test_a_role_that_is_taken_away_ends_at_once(served, roles, secrets):
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": ADMIN}) == 404
    roles.write_text('viewer = ["@other.org"]')
    assert asked(served, "GET", "/thumbs/none/0", {"cookie": ADMIN}) == 403


@pytest.mark.parametrize(
    ("peer", "networks", "email", "status"),
    [
        ("127.0.0.1", "", "ann@example.org", 404),
        ("127.0.0.1", "", "mallory@evil.example", 403),
        ("127.0.0.1", "", "", 401),
        ("10.0.0.7", "", "ann@example.org", 401),
        ("10.0.0.7", "10.0.0.0/8", "ann@example.org", 404),
        ("11.0.0.7", "10.0.0.0/8", "ann@example.org", 401),
    ],
)
def test_a_proxy_that_signs_people_in_is_believed_alone(served, roles, monkeypatch, peer, networks, email, status):
    monkeypatch.setenv("LSI_PROXY_HEADER", "X-Forwarded-Email")
    monkeypatch.setenv("LSI_PROXIES", networks)
    client = TestClient(served.app, base_url=ORIGIN, client=(peer, 50000))
    assert asked(client, "GET", "/thumbs/none/0", {"x-forwarded-email": email} if email else {}) == status
    assert asked(client, "GET", "/health", {}) == 200
    assert asked(client, "GET", "/auth/login", {}) == 401


@pytest.mark.parametrize("hours", ["", "0.5"])
def test_a_page_behind_a_proxy_stays_open_for_the_hours_of_a_login(roles, monkeypatch, hours):
    """What its session sees of the request is that of its beginning: the proxy is passed again by loading it again."""
    monkeypatch.setenv("LSI_PROXY_HEADER", "X-Forwarded-Email")
    monkeypatch.setenv("LSI_LOGIN_HOURS", hours)
    seen = []

    async def app(scope, receive, send):
        seen.append(Headers(scope=scope))
        await receive()
        await send({"type": "websocket.accept"})

    client = TestClient(login.LoginCheck(app), client=("127.0.0.1", 50000))
    sent = {"x-forwarded-email": "ann@example.org", "X-LSI-Opened": "9e9"}  # a time that a client made up
    with client.websocket_connect("/_stcore/stream", headers=sent):
        (headers,) = seen
    now, end = time.time(), 3600 * float(hours or 12)
    for later, person in ((0, login.Person("ann@example.org", "admin")), (end - 60, ...), (end + 60, None)):
        monkeypatch.setattr(login.time, "time", lambda later=later: now + later)
        found = login.person_of(headers, None)
        assert found == person if person is not ... else found
    assert login.person_of(headers, "127.0.0.1")  # a request is of its moment


def test_without_a_login_nobody_is_asked(served):
    assert not login.is_required()
    assert asked(served, "GET", "/thumbs/none/0", {}) == 404
    assert login.is_admin()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"LSI_ROLES": ""}, "no role"),
        ({"LSI_ROLES": "none.toml"}, "LSI_ROLES"),
        ({"LSI_LOGIN_HOURS": "soon"}, "LSI_LOGIN_HOURS"),
        ({"LSI_LOGIN_HOURS": "-1"}, "LSI_LOGIN_HOURS"),
        ({"LSI_LOGIN_HOURS": "nan"}, "LSI_LOGIN_HOURS"),
        ({"LSI_PROXY_HEADER": "X-Forwarded-Email"}, "Both"),
    ],
)
def test_a_login_that_is_half_configured_does_not_start(roles, secrets, monkeypatch, changed, message):
    login.check_login()
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        login.check_login()


def test_a_login_by_networks_that_are_none_does_not_start(roles, monkeypatch):
    monkeypatch.setenv("LSI_PROXY_HEADER", "X-Forwarded-Email")
    login.check_login()
    monkeypatch.setenv("LSI_PROXIES", "everybody")
    with pytest.raises(UsageError, match="LSI_PROXIES"):
        login.check_login()


def test_roles_for_nobody_do_not_start(roles, secrets):
    roles.write_text("")
    with pytest.raises(UsageError, match="nobody has a role"):
        login.check_login()


@pytest.mark.parametrize("path", ["/", "/thumbs/run/0", "/_stcore/stream"])
def test_roles_that_cannot_be_read_are_no_error_of_the_server(served, roles, secrets, caplog, path):
    roles.write_text("admin = [")
    os.utime(roles, (1, 1))
    answer = served.get(path, headers={"host": "localhost:8501", "cookie": ADMIN})
    assert (answer.status_code, "cannot be told just now" in answer.text) == (503, True)
    assert str(roles) not in answer.text
    assert str(roles) in caplog.text
    assert served.get("/health", headers={"host": "localhost:8501"}).status_code == 200


def test_an_open_page_says_that_roles_cannot_be_read(app, monkeypatch):
    def unreadable() -> None:
        raise UsageError("roles.toml: it cannot be read.")

    monkeypatch.setattr(login, "is_required", lambda: True)
    monkeypatch.setattr(login, "current", unreadable)
    app.run()
    assert [e.value.replace("\\", "") for e in app.error] == ["roles.toml: it cannot be read. Load the page again."]
    assert not app.exception


def test_the_look_of_an_open_page_that_cannot_tell_draws_it_again(monkeypatch):
    def unreadable() -> bool:
        raise UsageError("roles.toml: it cannot be read.")

    drawn = []
    monkeypatch.setattr(login, "may_look", unreadable)
    monkeypatch.setattr(login.st, "rerun", lambda: drawn.append(1))
    login.watch.__wrapped__()
    assert drawn == [1]


@pytest.mark.parametrize("ended", [None, login.Person("ann@example.org", None)], ids=["the login", "the role"])
def test_an_open_page_is_emptied_once_its_login_or_role_has_ended(app, monkeypatch, ended):
    """The timer is Streamlit's; what it calls finds out between two looks."""
    monkeypatch.setattr(login, "is_required", lambda: True)
    people = [login.Person("ann@example.org", "reviewer")]
    monkeypatch.setattr(login, "current", lambda: people[0])
    app.run()
    assert not app.info
    assert len(app.main.children) > 2
    people[0] = ended
    app.run()
    assert [shown.value.partition(".")[0] for shown in app.info] == ["Your login has ended"]
    assert not app.title


def test_an_untouched_page_is_drawn_again_by_the_look_that_finds_the_end(monkeypatch):
    looks = iter([True, False, False])
    monkeypatch.setattr(login, "may_look", lambda: next(looks))

    def page():
        import streamlit as st

        from lsi.ui import login

        st.text("open" if login.may_look() else "ended")
        if st.session_state.setdefault("first", True):
            st.session_state["first"] = False
            login.watch()

    shown = AppTest.from_function(page).run()
    assert [text.value for text in shown.text] == ["ended"]
