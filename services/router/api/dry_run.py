"""Trying a policy on real history: what it would have changed, and nothing is changed by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.router.api.policy_text import JSON, YAML
from services.router.handlers import Handlers
from services.router.trial.process import Line, Order
from services.router.trial.runs import DryRuns, Ended, Run
from services.router.versions.candidate import Checks, decoded
from shared.durations import Duration
from shared.errors import Invalid, RegieError, Unavailable
from shared.guard import Guard
from shared.security import Caller, caller
from shared.web import Json, read_body

Admin = Annotated[Caller, Depends(caller("admin"))]
Since = Annotated[
    str, Query(description="a duration back from now (`30d`) or an RFC 3339 time, by receipt")
]
LARGEST: Final = 1024 * 1024
LINES: Final = "application/x-ndjson"
_OLDEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {YAML: {"schema": {"type": "string"}}, JSON: {"schema": {"type": "object"}}},
    }
}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "the report; as lines, with progress before it",
        "content": {
            JSON: {"schema": {"type": "object"}},
            LINES: {"schema": {"type": "string"}},
        },
    },
    429: {"description": "one is under way in this process"},
}


def routes(handlers: Handlers) -> APIRouter:
    runtime = handlers.runtime
    allowed = Guard.of(runtime.settings.allow_private_targets)
    policies = handlers.policies
    checks = Checks(policies.accounts, allowed, runtime.engine, policies.turns)
    runs = DryRuns()
    router = APIRouter(prefix="/v1/policy", tags=["policy"])

    @router.post(
        "/dry-run", response_class=Response, responses=_ANSWERS, openapi_extra=_BODY
    )  # fmt: skip
    async def try_policy(_: Admin, request: Request, since: Since = "30d") -> Response:
        """Replays the history of the cases that got a message since then under the policy in the
        body, and tells the difference. It writes nothing.

        With `Accept: application/x-ndjson`, lines: `{"progress": {"events", "of"}}` every now and
        then, and last `{"report": …}`.
        """
        body = await read_body(request, LARGEST)
        until = runtime.now()
        order = Order(
            url=runtime.engine.url.render_as_string(hide_password=False),
            candidate=decoded(body),
            since=_instant(since, until),
            until=until,
        )
        await checks.pass_all(order.candidate)
        return Trial(runs, order, LINES in request.headers.get("accept", ""))

    return router


class Trial(Response):
    """Runs while the caller listens, and no longer."""

    def __init__(self, runs: DryRuns, order: Order, in_lines: bool) -> None:
        super().__init__()
        self._runs = runs
        self._order = order
        self._in_lines = in_lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stopping: asyncio.Event = scope["app"].state.stopping
        async with self._runs.start(self._order) as run, _while_wanted(run, receive, stopping):
            lines = run.lines()
            if self._in_lines:
                await _send_lines(lines, send)
                return
            report = [line.report async for line in lines][-1]
        await Json(report)(scope, receive, send)


@asynccontextmanager
async def _while_wanted(run: Run, receive: Receive, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Killed when the caller goes away or the process is told to stop."""
    gone = asyncio.create_task(_disconnected(receive), name="dry run: caller")
    told = asyncio.create_task(stopping.wait(), name="dry run: stopping")
    for task in (gone, told):
        task.add_done_callback(lambda done: None if done.cancelled() else run.kill())
    try:
        yield
    except Ended as error:
        if gone.done():
            raise ClientDisconnect from error
        if told.done():
            raise Unavailable("the process stops") from error
        raise
    finally:
        gone.cancel()
        told.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_lines(lines: AsyncIterator[Line], send: Send) -> None:
    """Each as soon as it is there; a failure after the first is a line too."""
    first = await anext(lines)
    headers = [(b"content-type", LINES.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await _send_line(first, send)
    try:
        async for line in lines:
            await _send_line(line, send)
    except RegieError as error:
        await _send_line(Line(failed=f"{type(error).__name__}: try again"), send)
    await send({"type": "http.response.body", "body": b""})


async def _send_line(line: Line, send: Send) -> None:
    body = msgspec.json.encode(line) + b"\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _instant(since: str, now: datetime) -> datetime:
    """Raises Invalid for what is neither a duration nor an instant, or not past."""
    try:
        at = _read_instant(since, now)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"`since` is {since!r}: give a duration such as 30d, or a time such as "
            "2026-11-01T00:00:00Z",
            name="since-invalid",
        ) from error
    if at.tzinfo is None or not _OLDEST <= at < now:
        raise Invalid(
            f"`since` must lie in the past, after {_OLDEST.year}, and name its zone: 30d, or "
            "2026-11-01T00:00:00Z",
            name="since-invalid",
        )
    return at


def _read_instant(since: str, now: datetime) -> datetime:
    if "T" in since:  # in an address, a plus that was not encoded is a space
        return datetime.fromisoformat(since.replace(" ", "+"))
    return Duration.parse(since).before(now)
