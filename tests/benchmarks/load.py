"""Load on an HTTP server: kept connections, each with one request under way at a time.

Requests are made beforehand and answers barely looked at, so that what is measured is the server.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What a round took: `seconds` in all, and of each request."""

    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.latencies, n=100)[percent - 1]


async def put_load(
    port: int, requests: Sequence[bytes], *, connections: int = 64, within: float = 60
) -> Load:
    """Sends each request once. Raises RuntimeError at the first answer that is not 200."""
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    clients = [_Client(waiting) for _ in range(min(connections, len(requests)))]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    started = time.perf_counter()
    for client in clients:
        client.send_next()
    async with asyncio.timeout(within):
        await asyncio.gather(*(client.done for client in clients))
    seconds = time.perf_counter() - started
    return Load(seconds, [taken for client in clients for taken in client.latencies])


class _Client(asyncio.Protocol):
    """One connection, which takes the next request as soon as its last one is answered."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server hung up: {error}")

    def send_next(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        end = self._heard.find(_END)
        if end < 0:
            return
        length = _LENGTH.search(self._heard, 0, end)
        if len(self._heard) < end + len(_END) + (int(length[1]) if length else 0):
            return
        status = _STATUS.match(self._heard)
        if status is None or status[1] != b"200":
            self._fail(f"the server answered {self._heard[:500]!r}")
            return
        self._heard = b""
        self.latencies.append(time.perf_counter() - self._sent_at)
        self.send_next()

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))
