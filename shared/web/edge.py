"""What happens around every request: its id, its size, its security headers, its log line.

Plain ASGI, as it is on the path of each webhook.
"""

from __future__ import annotations

import asyncio
import re
import time
from functools import lru_cache
from typing import Final

import structlog
from prometheus_client import Histogram
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.ids import new_id
from shared.telemetry import REQUEST_SECONDS, trace
from shared.web.bodies import too_large
from shared.web.problems import broken, starting

MEGABYTE: Final = 1024 * 1024
# In a request's scope: headers its answer bears whatever it is, a refusal or a fault too.
ON_EVERY_ANSWER: Final = "regie.headers"
POSTED: Final = 36 * MEGABYTE  # 25 MB of attachments in base64, and the text around them

_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")
_PRIVATE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_ALWAYS: Final = ("/healthz", "/readyz", "/metrics", "/ops/")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNLOGGED: Final = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("http")


class Edge:
    """The outermost layer of the app. An exception nobody foresaw ends here, as a 500 problem."""

    def __init__(self, app: ASGIApp, ready: asyncio.Event | None = None) -> None:
        self.app = app
        self.ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await _Exchange(scope, receive, send).run(self.app if self._open(scope) else starting())

    def _open(self, scope: Scope) -> bool:
        return self.ready is None or self.ready.is_set() or scope["path"].startswith(_ALWAYS)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.status = 0
        self.read = 0
        self.limit = _limit(scope["path"])
        self.request_id = _request_id(scope)

    async def run(self, app: ASGIApp) -> None:
        started = time.perf_counter()
        token = trace.set(f"00-{self.request_id}-{self.request_id[16:]}-01")
        try:
            await app(self.scope, self._receive, self._send)
        except ClientDisconnect:
            pass  # nobody is left to answer; the line below says status 0
        except Exception as error:
            await self._fail(error)
        finally:
            self._note(time.perf_counter() - started)
            trace.reset(token)

    async def _receive(self) -> Message:
        message = await self.receive()
        if self.limit and not self.status and message["type"] == "http.request":
            self.read += len(message.get("body", b""))
            if self.read > self.limit:
                # As an HTTPException, because FastAPI turns any other into a 400.
                refusal = too_large(self.limit)
                raise HTTPException(refusal.status, refusal.detail, refusal.headers)
        return message

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = message["headers"] = list(message.get("headers", ()))
            own = {name.lower() for name, _ in headers}
            headers.append((b"x-request-id", self.request_id.encode()))
            headers.extend(pair for pair in _PRIVATE if pair[0] not in own)
            headers.extend(self.scope.get(ON_EVERY_ANSWER, ()))
        await self.send(message)

    async def _fail(self, error: Exception) -> None:
        log.error("request failed", path=_route(self.scope), exc_info=error)
        if not self.status:
            await broken(self.request_id)(self.scope, self.receive, self._send)

    def _note(self, seconds: float) -> None:
        route = _route(self.scope)
        method = self.scope["method"] if self.scope["method"] in _METHODS else "other"
        _histogram(method, route, self.status).observe(seconds)
        if route not in _UNLOGGED:
            # The route, not the path: a path may hold a resume code, a query an address.
            log.info(
                "request",
                method=method,
                route=route,
                status=self.status,
                ms=round(seconds * 1000, 1),
            )


@lru_cache(maxsize=1000)
def _histogram(method: str, route: str, status: int) -> Histogram:
    return REQUEST_SECONDS.labels(method, route, status)


def _limit(path: str) -> int:
    """Bytes of body; 0 where the route counts for itself while it streams."""
    if path.startswith(("/webhooks/", "/v1/chat/")) or path == "/v1/messages":
        return 0
    return POSTED if path.endswith(("/replies", "/results")) else MEGABYTE


def _request_id(scope: Scope) -> str:
    """32 hex digits, the trace id at once: the caller's own where it sends a traceparent."""
    for name, value in scope["headers"]:
        if name == b"traceparent" and (found := _TRACEPARENT.match(value)):
            return str(found[1], "ascii")
    return new_id().hex


def _route(scope: Scope) -> str:
    """The path as its route is written, so that neither a log nor a metric collects ids."""
    if "route" not in scope:
        return "unknown"
    # From the right: an account may be called `webhooks`. The route itself does not know the
    # prefix of the router it stands in.
    path = str(scope["path"])
    for name, value in reversed(scope.get("path_params", {}).items()):
        head, found, tail = path.rpartition(f"/{value}")
        path = f"{head}/{{{name}}}{tail}" if found else path
    return path
