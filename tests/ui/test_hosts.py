"""Which requests the app answers, on every route, and where it refuses to listen."""

from types import SimpleNamespace

import psutil
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from lsi.cli import main
from lsi.errors import UsageError
from lsi.ui.hosts import check_exposure, refusal
from lsi.ui.server import MIDDLEWARE, ROUTES


@pytest.mark.parametrize(
    ("host", "origin", "is_answered"),
    [
        ("localhost:8501", None, True),
        ("127.0.0.1", None, True),
        ("[::1]:8501", None, True),
        ("lens.example", None, True),
        ("LENS.example:443", None, True),
        ("evil.example", None, False),
        ("localhost.evil.example", None, False),
        ("evil.example:8501@localhost", None, False),
        ("", None, False),
        ("[", None, False),
        ("127.0.0.1:8501", "http://127.0.0.1:8501", True),
        ("127.0.0.1:8501", "http://127.0.0.1:9999", False),
        ("127.0.0.1:8501", "http://evil.example", False),
        ("127.0.0.1:8501", "null", False),
        ("127.0.0.1:8501", "http://[", False),
        ("lens.example", "https://lens.example", True),
    ],
)
def test_a_request_names_a_known_host_and_comes_from_the_apps_own_page(monkeypatch, host, origin, is_answered):
    monkeypatch.setenv("LSI_HOSTS", " lens.example, ")
    assert (refusal(host, origin) == "") == is_answered


@pytest.mark.parametrize("route", [r.path for r in ROUTES])
def test_every_route_refuses_a_foreign_host_and_origin(route):
    client = TestClient(Starlette(routes=ROUTES, middleware=MIDDLEWARE), base_url="http://127.0.0.1")
    path = route.replace("{run}", "none").replace("{index}", "0")
    assert client.get(path, headers={"host": "evil.example"}).status_code == 403
    assert client.get(path, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get(path).status_code in (200, 404)


def test_a_websocket_from_another_origin_is_closed():
    async def speak(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    client = TestClient(
        Starlette(routes=[WebSocketRoute("/", speak)], middleware=MIDDLEWARE), base_url="http://127.0.0.1:8501"
    )
    own = {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"}
    with client.websocket_connect("/", headers=own) as socket:
        assert socket.receive_text() == "hello"
    for headers in (own | {"origin": "http://127.0.0.1:9999"}, own | {"host": "evil.example"}):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/", headers=headers):
            pass


EXPOSED = [
    ("127.0.0.1", "", True),
    ("::1", "", True),
    ("0.0.0.0", "", False),
    ("::", "0", False),
    ("10.0.0.3", "", False),
    *(("0.0.0.0", off, False) for off in ("False", "no", " OFF ")),
    *(("0.0.0.0", on, True) for on in ("1", "True", "yes", "on")),
]


@pytest.mark.parametrize(("ip", "allowed", "starts"), EXPOSED)
def test_it_listens_to_other_machines_only_when_told(monkeypatch, ip, allowed, starts):
    monkeypatch.setenv("LSI_ALLOW_ANONYMOUS", allowed)
    listening = [SimpleNamespace(status=psutil.CONN_LISTEN, laddr=SimpleNamespace(ip=ip))]
    if starts:
        check_exposure(listening)
    else:
        with pytest.raises(UsageError, match="knows no login"):
            check_exposure(listening)


@pytest.mark.parametrize("variable", ["LSI_ALLOW_ANONYMOUS", "LSI_READ_ONLY"])
def test_a_switch_that_says_neither_yes_nor_no_keeps_the_app_from_starting(monkeypatch, tmp_path, capsys, variable):
    monkeypatch.setenv(variable, "never")
    assert main(["app", "--cache", str(tmp_path), "--port", "0"]) == 2
    said = f"{variable}: expected one of 1, true, yes, on, or 0, false, no, off, got 'never'."
    assert said in capsys.readouterr().err
