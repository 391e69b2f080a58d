"""A receiver of webhooks that misbehaves as real ones do: a real server on loopback.

async with Endpoint() as endpoint:
    endpoint.script("/parcels", status(500), hang())    # then 200, as to everything else
    endpoint.greet(deaf())                              # the next connection, before it is read
    …
    await endpoint.received(2, "/parcels")
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.waiting import BOUND


@dataclass(frozen=True)
class Request:
    """One that came in whole. Header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> Any:
        return json.loads(self.body)


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]
Greeting = Callable[[asyncio.StreamWriter], Awaitable[None]]


def status(code: int, body: bytes = b"", **headers: str) -> Behaviour:
    """Answers at once. `retry_after="3"` is a header."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {code} Said", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return behave


def hang() -> Behaviour:
    """Never answers."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return behave


def held(gate: asyncio.Event, code: int = 200, body: bytes = b"") -> Behaviour:
    """Answers once the gate is opened, perhaps to somebody who has gone."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await status(code, body)(request, writer)

    return behave


def reset() -> Behaviour:
    """Ends the connection by RST."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


def trickle(code: int = 200) -> Behaviour:
    """The status, and then one byte now and then for ever."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {code} Said\r\ncontent-length: 1000000\r\n\r\n".encode())
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    return behave


def garbage() -> Behaviour:
    """What is no HTTP."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x16\x03\x01 not for you\r\n\r\n")
        await writer.drain()
        writer.close()

    return behave


def raw(data: bytes, *, close: bool = False) -> Behaviour:
    """These bytes and no others."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return behave


def slowly(data: bytes, seconds: float = 0.05) -> Behaviour:
    """These bytes one by one: no single wait is long."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return behave


def endless(head: bytes, part: bytes) -> Behaviour:
    """The head, and then one part after the other as fast as they are taken."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(part)
            await writer.drain()

    return behave


def bomb(code: int = 200) -> Behaviour:
    """A few bytes that would unpack to 64 MB."""
    body = gzip.compress(bytes(64 << 20), 9)
    return status(code, body, content_encoding="gzip", content_type="application/json")


def broken_off(code: int = 200) -> Behaviour:
    """Less than was promised, and the end of the connection."""
    head = f"HTTP/1.1 {code} Said\r\ncontent-length: 1000\r\n\r\n".encode()
    return raw(head + b"only this", close=True)


def deaf() -> Greeting:
    """Reads nothing and says nothing."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    return greet


def banner() -> Greeting:
    """Speaks first, as a mail server does."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ready\r\n")
        await writer.drain()

    return greet


def slam() -> Greeting:
    """Ends the connection by RST before anything is read."""

    async def greet(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return greet


@dataclass
class Endpoint:
    """Answers 200 to what is not scripted. `requests` holds all, in order of arrival.

    connections  how many were ever made, whatever came of them
    """

    requests: list[Request] = field(default_factory=list)
    most_at_once: int = 0
    connections: int = 0
    port: int = 0
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._scripts: defaultdict[str, deque[Behaviour]] = defaultdict(deque)
        self._always: dict[str, Behaviour] = {}
        self._greetings: deque[Greeting] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._arrived = asyncio.Condition()
        self._now = 0

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    def script(self, path: str, *behaviours: Behaviour) -> None:
        """What the next requests to this path meet."""
        self._scripts[path].extend(behaviours)

    def always(self, path: str, behaviour: Behaviour) -> None:
        self._always[path] = behaviour

    def greet(self, *greetings: Greeting) -> None:
        """What the next connections meet."""
        self._greetings.extend(greetings)

    def at(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def received(self, count: int, path: str) -> list[Request]:
        """Waits until the path has had so many requests."""
        async with asyncio.timeout(BOUND), self._arrived:
            await self._arrived.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self._greetings:
                await self._greetings.popleft()(writer)
            while not writer.is_closing():
                request = await _read(reader)
                await self._note(request)
                try:
                    await self._behaviour(request.path)(request, writer)
                finally:
                    self._now -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other side has gone, or the test is over
        finally:
            writer.close()

    def _behaviour(self, path: str) -> Behaviour:
        if self._scripts[path]:
            return self._scripts[path].popleft()
        return self._always.get(path, status(200))

    async def _note(self, request: Request) -> None:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.requests.append(request)
        async with self._arrived:
            self._arrived.notify_all()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)
