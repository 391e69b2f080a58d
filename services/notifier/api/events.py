"""`/v1/events` and `/v1/stream`: everything that happened, to be read on from where one was."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel

from services.notifier import feed
from services.notifier.audience import Audience, checked, types_of
from services.notifier.stream import Stream
from services.notifier.watch import Watch
from shared.database import transaction
from shared.errors import TooMany
from shared.runtime import Runtime
from shared.security import Caller, caller, identify
from shared.web import Json

Reader = Annotated[Caller, Depends(caller("integrator", "agent"))]
MOST_STREAMS: Final = 200  # a process
_AGAIN: Final = "30"
_After = Annotated[
    str,
    Query(max_length=20, description="the last next_cursor; nothing: the oldest; or `latest`"),
]
_Types = Annotated[str, Query(max_length=4_000, description="names, `prefix.*`, by commas")]


class Item(BaseModel):
    """`id` is its place in the feed, good as `after`; the rest as a webhook brings it."""

    id: str
    type: str
    timestamp: str
    data: dict[str, Any]


class EventPage(BaseModel):
    """`next_cursor` is always there: what comes later comes after it."""

    items: list[Item]
    next_cursor: str


def routes(runtime: Runtime, watch: Watch) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["events"])
    _add_pages(router, runtime, watch)
    _add_stream(router, runtime, watch)
    return router


def _add_pages(router: APIRouter, runtime: Runtime, watch: Watch) -> None:
    @router.get("/events", response_model=EventPage)
    async def read_events(
        who: Reader,
        request: Request,
        after: _After = "",
        types: _Types = "",
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        wait: Annotated[int, Query(ge=0, le=30, description="seconds to wait for one")] = 0,
    ) -> Response:
        """What happened after, in an order that never changes: nothing is left out or comes twice.

        410 `events-gone` when that is kept no longer: it says from where to go on.
        """
        audience = _audience(who, types)
        until, stopping = time.monotonic() + wait, request.app.state.stopping
        position = await _position(runtime, after)
        while True:
            async with transaction(runtime.engine) as connection:
                found, position = await feed.look(connection, audience, position, limit)
                following = (await feed.reach(connection)).next
            left = until - time.monotonic()
            if found or left <= 0 or stopping.is_set():
                items = [{"id": str(event.position), **event.body} for event in found]
                return Json({"items": items, "next_cursor": str(position)})
            if position + 1 >= following:
                await watch.beyond(position, left, stopping.is_set)


def _add_stream(router: APIRouter, runtime: Runtime, watch: Watch) -> None:
    @router.get("/stream", response_class=Response, responses={200: {"content": {_SSE: {}}}})
    async def stream_events(
        who: Reader,
        request: Request,
        types: _Types = "",
        after: _After = "latest",
        last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    ) -> Response:
        """The same as server-sent events, as they happen. `id` is the place in the feed: an
        interrupted reader sends it back as `Last-Event-ID` and misses nothing."""
        if watch.streams >= MOST_STREAMS:
            raise TooMany(
                f"{MOST_STREAMS} streams are open here: try again in {_AGAIN} s, or read "
                "/v1/events with `wait`",
                name="too-many-streams",
                headers={"Retry-After": _AGAIN},
            )
        audience = _audience(who, types)
        position = await _position(runtime, last_event_id or after)
        key = request.headers["authorization"].partition(" ")[2].strip()

        async def still_may() -> object:
            return await identify(request, key)

        return Stream(watch, audience, position, still_may, request.app.state.stopping)


_SSE: Final = "text/event-stream"


def _audience(who: Caller, types: str) -> Audience:
    return Audience(who, types_of(checked(filter(None, types.split(",")))))


async def _position(runtime: Runtime, after: str) -> int:
    async with transaction(runtime.engine) as connection:
        return feed.position_of(after, await feed.reach(connection))
