"""Dry runs under way in this process: at most one, each a process of its own."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from services.router.trial.process import Line, Order
from shared.errors import DatabaseUnavailable, RegieError, TooMany

_LONGEST_LINE: Final = 64 * 1024 * 1024
_END: Final = 5.0
_LOG: Final = structlog.get_logger()
_LINES: Final = msgspec.json.Decoder(Line)


class Ended(RegieError):
    """It ended without a report: it was killed, or failed."""


class DryRuns:
    """Starts them, one at a time: a second would take the core that the router needs."""

    def __init__(self) -> None:
        self._busy = False

    @asynccontextmanager
    async def start(self, order: Order) -> AsyncIterator[Run]:
        """It runs within the block and never outlives it. Raises TooMany."""
        if self._busy:
            raise TooMany(
                "a dry run is under way in this process, and one takes a whole core: try again "
                "when it has ended",
                headers={"Retry-After": "10"},
            )
        self._busy = True
        try:
            process = await _spawn(order)
            try:
                yield Run(process)
            finally:
                await _end(process)
        finally:
            self._busy = False


class Run:
    """One of them."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def lines(self) -> AsyncIterator[Line]:
        """Progress, and last the report. Raises DatabaseUnavailable, or Ended."""
        assert self._process.stdout is not None
        while written := await self._process.stdout.readline():
            line = _LINES.decode(written)
            if line.failed:
                raise DatabaseUnavailable("the database went while history was read")
            yield line
            if line.report is not None:
                return
        raise Ended("the dry run ended without a report")


async def _spawn(order: Order) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.router.trial.process",
        stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")  # and stays open: see the process
    return process


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    try:
        async with asyncio.timeout(_END):
            await process.wait()
    except TimeoutError:
        _LOG.warning("a dry run does not end", pid=process.pid)
