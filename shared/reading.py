"""Large bodies are read in processes of their own, within a time.

Reading holds Python's lock: in a thread a mail made to take long would hold up every other door,
and nothing could stop it. A process can be killed; its mail is parked, with the reason.
"""

from __future__ import annotations

import asyncio
import copyreg
import hashlib
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final, ParamSpec

import structlog

from shared.channels import Parked, Parsed
from shared.errors import Unavailable
from shared.reading_worker import LENGTH, READY, read_only

log = structlog.get_logger("ingest")

P = ParamSpec("P")

OFF_LOOP: Final = 128 * 1024  # bytes; a larger body is read beside the event loop
LONGEST: Final = 30.0  # seconds for one body; 35 MB of an ordinary mail take one or two
_MOST: Final = 2  # processes
_STARTING: Final = 30.0
# A body that waits takes memory, and its sender may have given up: better it comes again.
_TURN: Final = 20.0
_IDLE: Final = 60.0  # a process is some 70 MB; most installations never need it
_WORKER: Final = (sys.executable, "-m", "shared.reading_worker")


class Reading:
    """The processes, started when there is something to read and ended when there is not."""

    def __init__(self, seconds: float = LONGEST, turn: float = _TURN) -> None:
        self._seconds, self._turn = seconds, turn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = asyncio.Semaphore(_MOST)
        self._idle: list[_Worker] = []

    async def parsed(
        self, raw: bytes, function: Callable[P, Parsed], *args: P.args, **named: P.kwargs
    ) -> Parsed:
        """What `function` returns, called in another process: it and what it takes are pickled.

        Where that raises or takes too long, or its process dies of it, `raw` is parked. Raises
        Unavailable when no process can be had in time.
        """
        job = _pickled((function, args, named, self._seconds))
        self._here()
        async with self._in_turn():
            try:
                result = await self._read(job)
            except TimeoutError:
                result = f"reading it took over {self._seconds:g} s: it is kept as it came"
            except _Died as error:
                result = f"reading it ended its process ({error}): it is kept as it came"
        if isinstance(result, Parsed):
            return result
        reason = str(result)
        log.warning("a body could not be read", bytes=len(raw), reason=reason)
        return Parsed(parked=(Parked(raw, reason, key=hashlib.sha256(raw).hexdigest()),))

    async def run(self) -> None:
        """Until cancelled; then all processes are ended."""
        try:
            await asyncio.Event().wait()
        finally:
            self.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().end()

    def _here(self) -> None:
        # The pipes of another loop cannot be used in this one.
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.close()
            self._loop = loop
            self._free = asyncio.Semaphore(_MOST)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        free = self._free
        try:
            async with asyncio.timeout(self._turn):
                await free.acquire()
        except TimeoutError as error:
            raise Unavailable("large bodies wait too long to be read: send it again") from error
        try:
            yield
        finally:
            free.release()

    async def _read(self, job: bytes) -> object:
        worker = await self._worker()
        try:
            async with asyncio.timeout(self._seconds):
                result = await worker.call(job)
        except BaseException:
            worker.end()
            raise
        self._rest(worker)
        return result

    async def _worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            worker.wake()
            if worker.lives:
                return worker
            worker.end()
        try:
            async with asyncio.timeout(_STARTING):
                return await _Worker.started()
        except (OSError, EOFError, TimeoutError) as error:
            raise Unavailable("no process could be started to read a large body") from error

    def _rest(self, worker: _Worker) -> None:
        self._idle.append(worker)

        def leave() -> None:
            if worker in self._idle:
                self._idle.remove(worker)
            worker.end()

        worker.sleep(leave)


class _Died(Exception):
    """The process is gone."""


class _Worker:
    """One process, and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._alarm: asyncio.TimerHandle | None = None

    @classmethod
    async def started(cls) -> _Worker:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*_WORKER, stdin=pipe, stdout=pipe)
        worker = cls(process)
        try:
            assert process.stdout is not None
            await process.stdout.readexactly(len(READY))
        except BaseException:
            worker.end()
            raise
        return worker

    @property
    def lives(self) -> bool:
        return self._process.returncode is None

    async def call(self, job: bytes) -> object:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(len(job).to_bytes(LENGTH, "big"))
            stdin.write(job)
            await stdin.drain()
            length = int.from_bytes(await stdout.readexactly(LENGTH), "big")
            answer = await stdout.readexactly(length)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise _Died(type(error).__name__) from error
        result: object = pickle.loads(answer)  # noqa: S301 - our own process wrote it
        return result

    def sleep(self, leave: Callable[[], None]) -> None:
        self._alarm = asyncio.get_running_loop().call_later(_IDLE, leave)

    def wake(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def end(self) -> None:
        self.wake()
        if self.lives:
            with suppress(ProcessLookupError, RuntimeError):  # it, or its loop, has gone
                self._process.kill()


def _pickled(job: object) -> bytes:
    buffer = BytesIO()
    pickler = pickle.Pickler(buffer)
    # The settings of an account are read-only mappings, which pickle does not know.
    pickler.dispatch_table = {**copyreg.dispatch_table, MappingProxyType: _read_only}
    pickler.dump(job)
    return buffer.getvalue()


def _read_only(mapping: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    return read_only, (dict(mapping),)


READING: Final = Reading()  # one for all the doors of a process
