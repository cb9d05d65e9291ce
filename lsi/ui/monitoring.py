"""What whoever runs the app can see of it: a line for every request, and figures for Prometheus.

`LSI_LOG=json` writes one JSON object a line to standard error, requests among them. `LSI_METRICS=HOST:PORT` serves
figures at an address of their own: no proxy shows them, so that they need no login. A request keeps the name that a
proxy gave it in `X-Request-ID`, or gets one, and the answer carries it.
"""

import importlib.util
import logging
import os
import re
import secrets
import sys
import time
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from starlette.datastructures import Headers

from lsi.compute import jobs
from lsi.environment import LOG_VARIABLE, METRICS_VARIABLE, base_path, default_cache
from lsi.errors import UsageError

log = logging.getLogger("lsi.requests")

REQUEST: ContextVar[str] = ContextVar("request", default="")
_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
_KNOWN = ("thumbs", "images", "health", "static", "auth", "oauth2callback", "_stcore", "media")
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


class Figures:
    """The figures that Prometheus reads, in a registry of their own."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry: CollectorRegistry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter("lsi_requests", "Requests answered", ["route", "method", "status"],
                                registry=self.registry)  # fmt: skip
        self.seconds = Histogram("lsi_request_seconds", "Time to the end of an answer", ["route"], buckets=_SECONDS,
                                 registry=self.registry)  # fmt: skip
        self.sessions = Gauge("lsi_sessions", "Pages that are open now", registry=self.registry)
        running = Gauge("lsi_jobs_running", "Computations that run now", registry=self.registry)
        running.set_function(lambda: sum(job.state == "running" for job in jobs.list_jobs(default_cache())))


@lru_cache(maxsize=1)
def figures() -> Figures | None:
    """Return the figures; None where nobody asks for them."""
    return Figures() if os.environ.get(METRICS_VARIABLE) else None


class RequestLog:
    """Names, counts, times and logs every request; a websocket when it closes."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, and take note of how it was answered."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        name = _name(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})  # where the login says who asks
        token, begin, status, noted = REQUEST.set(name), time.perf_counter(), 500, False

        def take_note() -> None:
            nonlocal noted
            if not noted:
                _take_note(scope, status, time.perf_counter() - begin)
            noted = True

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                take_note()  # before the last part leaves: who has the answer finds it counted
            elif message["type"] == "websocket.accept":
                status = 101
                _count_sessions(1)
            elif message["type"] == "websocket.close" and status != 101:
                status = 403
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            if status == 101:
                _count_sessions(-1)
            take_note()
            REQUEST.reset(token)


def begin() -> None:
    """Write logs as `LSI_LOG` says, and serve figures where `LSI_METRICS` says.

    Raises:
        UsageError: a variable says something else, the address cannot be listened on, or a package is missing.
    """
    style = os.environ.get(LOG_VARIABLE) or "text"
    if style not in ("text", "json"):
        raise UsageError(f"{LOG_VARIABLE}: expected text or json, got {style!r}.")
    if style == "json":
        _need("pythonjsonlogger")
        _log_as_json()
    if os.environ.get(METRICS_VARIABLE):
        _need("prometheus_client")
        serve_figures(os.environ[METRICS_VARIABLE])


def serve_figures(address: str) -> int:
    """Serve the figures at HOST:PORT, at a free port where it is 0, and return the port.

    Raises:
        UsageError: that is no address, or cannot be listened on.
    """
    from prometheus_client import start_http_server

    host, _, port = address.rpartition(":")
    served = figures()
    if not re.fullmatch("[0-9]{1,5}", port) or not host or served is None:
        raise UsageError(f"{METRICS_VARIABLE}: expected HOST:PORT, got {address!r}.")
    try:
        server, _ = start_http_server(int(port), host.strip("[]"), served.registry)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{METRICS_VARIABLE}: cannot listen on {address}: {error}.") from error
    return server.server_port


def route_of(path: str) -> str:
    """Return which part of the app a path belongs to: one of few names, whatever is asked for."""
    first = path.removeprefix(base_path()).strip("/").partition("/")[0]
    return first if first in _KNOWN else "page"


def _name(given: str) -> str:
    return given if re.fullmatch("[A-Za-z0-9._-]{1,64}", given) else secrets.token_hex(8)


def _count_sessions(more: int) -> None:
    found = figures()
    if found is not None:
        found.sessions.inc(more)


def _take_note(scope: Any, status: int, seconds: float) -> None:
    route, found = route_of(scope["path"]), figures()
    method = scope.get("method", "WEBSOCKET")
    method = method if method in (*_METHODS, "WEBSOCKET") else "other"
    if found is not None:
        found.requests.labels(route, method, str(status)).inc()
        if scope["type"] == "http":
            found.seconds.labels(route).observe(seconds)
    facts = {"method": method, "path": scope["path"], "status": status, "seconds": round(seconds, 4),
             "who": scope["state"].get("who", "")}  # fmt: skip
    log.info("%s %s", method, scope["path"], extra=facts)


def _log_as_json() -> None:
    """Write what the app, Streamlit and its server log as JSON, with the name of the request that it belongs to."""
    from pythonjsonlogger.json import JsonFormatter

    class WithRequest(JsonFormatter):
        def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
            return log_data | ({"request": REQUEST.get()} if REQUEST.get() else {})

    form = WithRequest("{asctime}{levelname}{name}{message}", style="{", rename_fields={
        "asctime": "time", "levelname": "level", "name": "logger"}, datefmt="%Y-%m-%dT%H:%M:%S%z")  # fmt: skip
    own = logging.getLogger("lsi")
    own.addHandler(logging.StreamHandler(sys.stderr))
    own.setLevel(logging.INFO)
    for logger in [logging.root, *map(logging.getLogger, logging.root.manager.loggerDict)]:
        for handler in logger.handlers:
            handler.setFormatter(form)


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{LOG_VARIABLE} and {METRICS_VARIABLE} need packages: pip install 'lsi-lens[monitoring]'.")
