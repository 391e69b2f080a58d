"""One process: its server, its consumers and its tasks, as siblings in one group."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from shared.consuming import consume
from shared.ops import Ops, Reader
from shared.outbox import Relay
from shared.progress import Progress, watch
from shared.runtime import Runtime, Service, Subscription
from shared.serving.memory import calm_collector
from shared.serving.server import Server
from shared.serving.tasks import end_within, finish, measure_loop, until_there, watched
from shared.web.app import make_app

BATCH_SECONDS: Final = 10  # to finish requests and batches that are under way
TASK_SECONDS: Final = 11  # a provider call under way may end
CLOSE_SECONDS: Final = 5
_AFTER_FAILURE: Final = 15

log = structlog.get_logger("serve")

Step = tuple[str, Callable[[], Awaitable[object]]]


async def serve(
    runtime: Runtime,
    services: Sequence[Service],
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    prepare: Sequence[Step] = (),
    tasks: Sequence[Step] = (),
    reader: Reader | None = None,
) -> None:
    """Serves until `stop` is set, then drains within a bound.

    prepare  what must succeed before requests are taken and records handled: each is repeated
             while its dependency is away, and meanwhile the process is alive and unready
    tasks    further siblings, ended with the process
    reader   how a parked item is read again when an operator replays it

    Raises an ExceptionGroup when any sibling ends by itself; the process should then exit.
    """
    await _Process(runtime, services, stop, reader).run(listener, prepare, tasks)


class _Process:
    def __init__(
        self,
        runtime: Runtime,
        services: Sequence[Service],
        stop: asyncio.Event,
        reader: Reader | None,
    ) -> None:
        self.runtime = runtime
        self.services = services
        self.stop = stop
        self.drain = asyncio.Event()  # what consumers and the relay look at
        self.prepared = asyncio.Event()
        self.progress = Progress()
        self.ops = Ops(runtime, services, self.progress, self.prepared, reader)
        routers = [*(router for each in services for router in each.routers), self.ops.router]
        self.server = Server(make_app(runtime, routers, ready=self.prepared, stopping=stop))
        self.draining: list[asyncio.Task[None]] = []
        self.running: list[asyncio.Task[None]] = []
        self.last_resort: threading.Timer | None = None

    async def run(
        self, listener: socket.socket, prepare: Sequence[Step], tasks: Sequence[Step]
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self.group = group
                self._start("server", lambda: self.server.run_on(listener), self.draining)
                starting = group.create_task(self._begin(prepare, tasks), name="start")
                await self.stop.wait()
                starting.cancel()
                await self._drain()
        finally:
            await self._close()
            if self.last_resort is not None:
                self.last_resort.cancel()

    async def _begin(self, prepare: Sequence[Step], tasks: Sequence[Step]) -> None:
        for name, step in prepare:
            await until_there(name, step)
        for service in self.services:
            if service.start is not None:
                await service.start()
        self.prepared.set()
        for subscription in self._subscriptions():
            self._consume(subscription)
        if self._subscriptions():
            relay = Relay(
                self.runtime.engine, self.runtime.broker, self.progress, self.runtime.written
            )
            self._start("outbox", lambda: relay.run(self.drain), self.draining)
        for name, run in [*self._named_tasks(), *tasks]:
            self._start(name, run, self.running)
        calm_collector()
        log.info("ready", services=[service.name for service in self.services])

    def _consume(self, subscription: Subscription) -> None:
        self._start(
            subscription.group,
            lambda: consume(self.runtime, subscription, progress=self.progress, stop=self.drain),
            self.draining,
        )

    def _start(
        self,
        name: str,
        run: Callable[[], Awaitable[object]],
        among: list[asyncio.Task[None]],
    ) -> None:
        task = self.group.create_task(watched(name, run, self.stop, self._failed), name=name)
        among.append(task)

    def _subscriptions(self) -> list[Subscription]:
        return [each for service in self.services for each in service.subscriptions]

    def _named_tasks(self) -> list[Step]:
        own: list[Step] = [
            ("watchdog", lambda: watch(self.progress, self.drain)),
            ("loop lag", measure_loop),
            ("lag", self.ops.sample),
        ]
        return own + [item for service in self.services for item in service.tasks.items()]

    def _failed(self) -> None:
        # Its siblings are cancelled now; should one of them hang, the process ends all the same.
        if self.last_resort is None:
            self.last_resort = end_within(_AFTER_FAILURE, 1)

    async def _drain(self) -> None:
        """Requests and batches to their end, then the relay's last round, then the rest."""
        self.server.should_exit = True
        self.drain.set()
        await finish(self.draining, BATCH_SECONDS)
        for task in self.running:
            task.cancel()
        await finish(self.running, TASK_SECONDS)

    async def _close(self) -> None:
        for name, close in (
            ("broker", self.runtime.broker.stop),
            ("database", self.runtime.engine.dispose),
        ):
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await close()
            except Exception as error:
                log.warning("not closed cleanly", dependency=name, error=type(error).__name__)
