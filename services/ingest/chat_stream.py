"""One open page's event stream: what the feed gives it, a heartbeat, and an end."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.ingest.chat_feed import Feed, Watcher
from services.ingest.chat_frames import HEARTBEAT, OPENING

HEARTBEAT_SECONDS: Final = 15.0
# Long enough to be cheap, short enough that pages spread over the processes there are.
LIFE_SECONDS: Final = 600.0
STALL_SECONDS: Final = 30.0  # for a page to take what it was sent


class Stream(Response):
    """Lives until the page goes, the session ends, the process stops, or its time is over; then
    the page comes again with the number of the last line it has."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: Feed,
        watcher: Watcher,
        stopping: asyncio.Event,
        *,
        life: float = LIFE_SECONDS,
        stall: float = STALL_SECONDS,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._watcher = watcher
        self._stopping = stopping
        self._stall = stall
        self._life = life * random.uniform(0.8, 1.0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send(_part(OPENING))
        with self._feed.watching(self._watcher, self._stopping):
            gone = asyncio.create_task(self._notice(receive), name="chat page")
            try:
                await self._tell(send)
                await self._send(send, b"", more=False)
            except TimeoutError:
                pass  # it takes nothing any more: the server closes what is not complete
            finally:
                gone.cancel()

    async def _tell(self, send: Send) -> None:
        watcher, until = self._watcher, time.monotonic() + self._life
        while True:
            while watcher.frames:
                frames = b"".join(watcher.frames)
                watcher.frames.clear()
                await self._send(send, frames)
            if watcher.ended or time.monotonic() >= until:
                return
            watcher.wake.clear()
            try:
                async with asyncio.timeout(min(HEARTBEAT_SECONDS, until - time.monotonic())):
                    await watcher.wake.wait()
            except TimeoutError:
                await self._send(send, HEARTBEAT)

    async def _send(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Raises TimeoutError where the page does not take it."""
        async with asyncio.timeout(self._stall):
            await send(_part(body, more))

    async def _notice(self, receive: Receive) -> None:
        """Ends it once the page is gone."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._watcher.frames.clear()
        self._watcher.end()


def _part(body: bytes, more: bool = True) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": more}
