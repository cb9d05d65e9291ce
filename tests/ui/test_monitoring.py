import asyncio
import json
import logging
import tomllib
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from streamlit import config

from lsi.environment import app_root
from lsi.errors import UsageError
from lsi.ui import monitoring
from lsi.ui.server import MIDDLEWARE, ROUTES
from tests.e2e.browser import free_port, serve


async def _fail(_request):
    raise RuntimeError("broken")


async def _socket(websocket):
    await websocket.accept()
    await websocket.send_text("open")
    await websocket.receive_text()
    await websocket.close()


@pytest.fixture
def client(monkeypatch, tmp_path):
    monkeypatch.setenv("LSI_METRICS", "127.0.0.1:0")
    monkeypatch.setenv("LSI_CACHE", str(tmp_path))
    monitoring.figures.cache_clear()
    routes = [*ROUTES, Route("/fails", _fail), WebSocketRoute("/_stcore/stream", _socket)]
    app = Starlette(routes=[*routes, Route("/{page}", lambda _: PlainTextResponse("page"))], middleware=MIDDLEWARE)
    yield TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    monitoring.figures.cache_clear()


def value(name: str, **labels: str) -> float | None:
    found = monitoring.figures()
    assert found is not None
    return found.registry.get_sample_value(name, labels)


def test_every_request_is_counted_by_route_method_and_status(client):
    for path in ("/health", "/health", "/thumbs/none/0", "/samples", "/another", "/fails"):
        client.get(path)
    client.get("/health", headers={"host": "evil.example"})
    client.request("BREW", "/samples")
    assert value("lsi_requests_total", route="health", method="GET", status="200") == 2
    assert value("lsi_requests_total", route="health", method="GET", status="403") == 1
    assert value("lsi_requests_total", route="thumbs", method="GET", status="404") == 1
    assert value("lsi_requests_total", route="page", method="GET", status="200") == 2
    assert value("lsi_requests_total", route="page", method="GET", status="500") == 1
    assert value("lsi_requests_total", route="page", method="other", status="405") == 1
    assert value("lsi_request_seconds_count", route="health") == 3
    assert value("lsi_jobs_running") == 0


def test_open_pages_are_counted_while_they_are_open(client):
    with client.websocket_connect("ws://localhost/_stcore/stream", headers={"origin": "http://localhost"}) as socket:
        assert socket.receive_text() == "open"
        assert value("lsi_sessions") == 1
        socket.send_text("end")
    assert value("lsi_sessions") == 0
    assert value("lsi_requests_total", route="_stcore", method="WEBSOCKET", status="101") == 1


def test_who_has_the_whole_answer_finds_it_counted(client):
    counted = []

    async def send(message):
        if message["type"] == "http.response.body" and not message.get("more_body"):
            counted.append(value("lsi_requests_total", route="page", method="GET", status="200"))

    scope = {"type": "http", "method": "GET", "path": "/samples", "headers": []}
    asyncio.run(monitoring.RequestLog(PlainTextResponse("page"))(scope, None, send))  # type: ignore[arg-type]
    assert counted == [1]
    assert value("lsi_requests_total", route="page", method="GET", status="200") == 1


@pytest.mark.parametrize("given", ["abc-1.2_Z", "x" * 64])
def test_a_request_keeps_the_name_that_a_proxy_gave_it(client, given):
    assert client.get("/health", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, 'a"b', "a b", "<img>"])
def test_a_request_without_a_usable_name_gets_one(client, given):
    first, second = (client.get("/health", headers={"x-request-id": given}).headers["x-request-id"] for _ in range(2))
    assert len(first) == 16
    assert first != second


def test_a_request_is_logged_with_what_it_was_and_how_long_it_took(client, caplog):
    with caplog.at_level(logging.INFO, "lsi.requests"):
        client.get("/thumbs/none/0?size=64")
    record = next(r for r in caplog.records if r.name == "lsi.requests")
    assert (record.method, record.path, record.status, record.who) == ("GET", "/thumbs/none/0", 404, "")
    assert 0 <= record.seconds < 60


@pytest.mark.parametrize(
    "address", ["9100", "127.0.0.1:", "127.0.0.1:x", ":9100", "127.0.0.1:99999", "nowhere.invalid:0"]
)
def test_an_address_that_is_none_is_refused(monkeypatch, address):
    monkeypatch.setenv("LSI_METRICS", address)
    monitoring.figures.cache_clear()
    with pytest.raises(UsageError, match="LSI_METRICS"):
        monitoring.serve_figures(address)
    monitoring.figures.cache_clear()


def test_what_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("LSI_LOG", "xml")
    with pytest.raises(UsageError, match="expected text or json"):
        monitoring.begin()
    monkeypatch.setenv("LSI_LOG", "json")
    monkeypatch.setattr(monitoring.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"lsi-lens\[monitoring\]"):
        monitoring.begin()


def test_a_server_logs_json_and_serves_figures(tmp_path):
    port = free_port()
    options = {"LSI_LOG": "json", "LSI_METRICS": f"127.0.0.1:{port}", "LSI_READ_ONLY": "1"}
    with serve(tmp_path, **options) as server:
        request = urllib.request.Request(f"{server.address}/thumbs/none/1", headers={"X-Request-ID": "mine"})
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(request)
        refused.value.read()  # the headers leave before the answer is counted, its last part after
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    counted = [s for s in families["lsi_requests"].samples if s.labels.get("route") == "thumbs"]
    assert [(s.labels["method"], s.labels["status"], s.value) for s in counted if s.name.endswith("_total")] == [
        ("GET", "404", 1)
    ]
    assert "process_resident_memory_bytes" in families
    lines = [json.loads(line) for line in (tmp_path / "server.log").read_text().splitlines() if line.startswith("{")]
    found = next(line for line in lines if line.get("path") == "/thumbs/none/1")
    assert {k: found[k] for k in ("request", "method", "status", "level", "logger")} == {
        "request": "mine",
        "method": "GET",
        "status": 404,
        "level": "INFO",
        "logger": "lsi.requests",
    }


def test_no_page_ends_with_a_look_at_every_object_of_the_process():
    with (app_root() / ".streamlit" / "config.toml").open("rb") as file:
        assert tomllib.load(file)["runner"]["postScriptGC"] is False
    assert "runner.postScriptGC" in config.get_config_options()  # Streamlit forgets an option that it does not know
