"""`GET /v1/stream`: the feed as server-sent events, as it grows.

A connection holds its position and nothing else. Whoever does not read is left; whoever was left,
or whose time is over, comes again with the id of the last event it has, and goes on from there.

Source of the stream's form: WHATWG HTML, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.notifier.audience import Audience
from services.notifier.feed import Event
from services.notifier.watch import Watch
from shared.errors import Refused, Unavailable
from shared.telemetry import describe
from shared.web import to_json

HEARTBEAT_SECONDS: Final = 15.0
SEND_SECONDS: Final = 20.0  # a reader who takes nothing for so long is left
LIFE_SECONDS: Final = 3600.0  # then it comes again, perhaps to another process
_AT_ONCE: Final = 100
_OPENING: Final = b"retry: 2000\n\n"

log = structlog.get_logger("notifier")


class Stream(Response):
    """position   after which it begins
    still_may  asked at every heartbeat: raises Refused once the key is revoked
    heartbeat  seconds from one to the next
    patience   seconds that a reader may take nothing
    """

    media_type = "text/event-stream"

    def __init__(
        self, watch: Watch, audience: Audience, position: int,
        still_may: Callable[[], Awaitable[object]], stopping: asyncio.Event,
        *, heartbeat: float = HEARTBEAT_SECONDS, patience: float = SEND_SECONDS,
    ) -> None:  # fmt: skip
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._watch = watch
        self._audience = audience
        self._position = position
        self._still_may = still_may
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._patience = patience
        self._gone = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        left = asyncio.create_task(self._notice(receive), name="stream reader")
        try:
            with self._watch.streaming():
                await self._tell(send)
            await self._give(send, b"", more=False)
        except TimeoutError:
            log.info("a stream's reader takes nothing and is left", position=self._position)
        except (Refused, Unavailable) as error:
            log.info("a stream ends", reason=describe(error))
            await self._give(send, b"", more=False)
        finally:
            left.cancel()

    async def _tell(self, send: Send) -> None:
        until = time.monotonic() + LIFE_SECONDS * random.uniform(0.8, 1.0)
        asked = time.monotonic()
        await self._give(send, _OPENING + _mark(self._position))
        while not self._over() and time.monotonic() < until:
            if time.monotonic() - asked >= self._heartbeat:
                asked = time.monotonic()
                await self._still_may()
                await self._give(send, _mark(self._position))
            if await self._watch.beyond(self._position, self._heartbeat, self._over):
                events, self._position = await self._watch.after(
                    self._position, self._audience, _AT_ONCE
                )
                if events:
                    await self._give(send, b"".join(map(frame, events)))

    async def _give(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Raises TimeoutError when the reader does not take it."""
        async with asyncio.timeout(self._patience):
            await send({"type": "http.response.body", "body": body, "more_body": more})

    def _over(self) -> bool:
        return self._gone or self._stopping.is_set()

    async def _notice(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True


def frame(event: Event) -> bytes:
    # JSON has no line breaks of its own, so one `data:` line holds all of it.
    return b"id: %d\ndata: %s\n\n" % (event.position, to_json(event.body))


def _mark(position: int) -> bytes:
    """A heartbeat that moves the reader's last id along, over what is not for them."""
    return b": \nid: %d\n\n" % position
