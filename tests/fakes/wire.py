"""A way to a server that can be cut, frozen, held at a word, and that changes what is said.

async with Wire(port) as wire:
    wire.port                              what to connect to instead
    wire.hold(b"STORE")                    what the client says from this word on waits
    wire.change[b" IDLE"] = b""            in what the server says
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Wire:
    """To one port of this machine. `said` is what clients said, `made` how many came.

    cut_at  a connection whose client says one of these breaks off
    """

    to: int
    change: dict[bytes, bytes] = field(default_factory=dict)
    cut_at: Sequence[bytes] = ()
    said: bytes = b""
    made: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._held = b""
        self._open_way = asyncio.Event()
        self._open_way.set()
        self.holding = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def live(self) -> int:
        """How many connections there are now."""
        return len(self._writers) // 2

    def hold(self, word: bytes) -> None:
        """The next line with this word in it, and all after it, waits; `holding` is set then."""
        self._held = word
        self.holding.clear()
        self._open_way.clear()

    def go_on(self) -> None:
        self._held = b""
        self._open_way.set()

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.go_on()
        self.cut()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        with suppress(OSError):
            await asyncio.gather(self._there(reader, back), self._back(there, writer))
        for each in (writer, back):
            self._writers.discard(each)
            each.close()

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                self.said += data
                if self._held and self._held in data:
                    self.holding.set()
                    await self._open_way.wait()
                if any(word in data for word in self.cut_at):
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                for old, new in self.change.items():
                    data = data.replace(old, new)
                writer.write(data)
                await writer.drain()
        writer.close()
