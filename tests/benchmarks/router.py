"""Topic → committed cases, against a bare loop of `getmany` and COPY of the very same rows.

The real consumer and the real router read a filled topic into an empty database. What then stands
in its tables is kept, and the bare loop COPYs it, batch by batch, into the same tables of another
empty database while it reads the same topic, one transaction a batch, the positions moved in it.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from services.router.service import service
from shared.blobs import FolderBlobs
from shared.broker import Broker
from shared.consuming import consume
from shared.database import connect
from shared.positions import claim
from shared.progress import Progress
from shared.runtime import Runtime, Subscription
from shared.sessions import Session, close_session, open_session
from shared.settings import Settings
from shared.topics import MESSAGES_RECEIVED
from tests import servers
from tests.benchmarks import bare_loop, traffic
from tests.benchmarks.bare_loop import Rows
from tests.benchmarks.report import Figure
from tests.benchmarks.topic import DEPLOY, Source, accounts_of_deploy, broker_of, fill

WORK: Final = "topic → committed cases"
MIXES: Final = {"60 % new customers": 0.4, "all new": 0.0}
BATCH: Final = 500
MESSAGES: Final = 8_000
ROUNDS: Final = 3
FIGURE_SECONDS: Final = 60.0
RUN_SECONDS: Final = 40.0


class Moment(NamedTuple):
    """By the clock on the wall, and in processor time of this process. Both in seconds."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Run:
    """One side's work, from its first fetch to its last commit."""

    began: Moment
    ended: Moment
    batches: int

    @property
    def seconds(self) -> float:
        return self.ended.wall - self.began.wall

    @property
    def processor(self) -> float:
        return self.ended.processor - self.began.processor


def now() -> Moment:
    return Moment(time.perf_counter(), time.process_time())


async def measure(
    engine: str, mix: str, server: str, template: str, kafka: str, folder: Path
) -> Figure:
    """`server` is the URL of a PostgreSQL, `template` a migrated database of it, `kafka` the
    bootstrap address, or empty for the log in PostgreSQL."""
    async with servers.fresh_database(server, template=template) as filled:
        settings = Settings(
            kafka_bootstrap=kafka,
            data_dir=folder,
            policy_file=str(DEPLOY / "policy.yaml"),
            database_url=filled,
        )
        writers = traffic.Writers(MIXES[mix], seed=7)
        ranges = await fill(settings, writers, MESSAGES)
        name = template if kafka else str(make_url(filled).database)
        source = Source(settings, name, ranges, MESSAGES)
        return await _turns(engine, mix, server, source)


async def _turns(engine: str, mix: str, server: str, source: Source) -> Figure:
    ours: list[Run] = []
    bare: list[Run] = []
    until = time.monotonic() + FIGURE_SECONDS
    rows: Rows = {}
    for _ in range(ROUNDS):
        async with _copy_of(source, server) as url:
            ours.append(await _run_router(source, url))
            rows = rows or await bare_loop.rows_of(url)
        async with _copy_of(source, server) as url:
            bare.append(await _run_bare(source, url, rows))
        if time.monotonic() > until:
            break
    return Figure(
        f"{WORK}, {mix}",
        engine,
        [source.count / run.seconds for run in ours],
        [source.count / run.seconds for run in bare],
        target=0.5,
        least=0.25,
        conditions=_conditions(source, ours, bare, rows),
    )


def _conditions(
    source: Source, ours: Sequence[Run], bare: Sequence[Run], rows: Rows
) -> dict[str, Any]:
    return {
        "messages": source.count,
        "rounds": len(ours),
        "batches of at most": BATCH,
        "of on average": f"{source.count / ours[-1].batches:.0f} and "
        f"{source.count / bare[-1].batches:.0f}",
        "processor of this process a message": f"{_processor(ours, source)} and "
        f"{_processor(bare, source)} µs",
        "rows a message": f"{sum(map(len, rows.values())) / source.count:.1f} "
        f"in {len(rows)} tables",
    }


def _processor(runs: Sequence[Run], source: Source) -> str:
    return f"{statistics.median(run.processor for run in runs) / source.count * 1e6:.0f}"


# --- the two sides ---------------------------------------------------------------------------


@asynccontextmanager
async def _copy_of(source: Source, server: str) -> AsyncIterator[str]:
    """A database as it was before: written out, so that no round pays for another."""
    async with servers.fresh_database(server, template=source.template) as url:
        session = await open_session(url, "bench")
        try:
            await session.execute("CHECKPOINT", timeout=60)
        finally:
            await close_session(session)
        yield url


async def _run_router(source: Source, url: str) -> Run:
    settings = source.settings.model_copy(update={"database_url": url})
    runtime = Runtime(
        settings,
        connect(url),
        broker_of(settings),
        FolderBlobs(settings.blob_folder),
        accounts_of_deploy(),
    )
    await runtime.broker.start()
    try:
        return await _consume(runtime, source)
    finally:
        await runtime.broker.stop()
        await runtime.engine.dispose()


async def _consume(runtime: Runtime, source: Source) -> Run:
    room = service(runtime)
    assert room.start is not None
    await room.start()
    subscription = room.subscriptions[0]
    assert MESSAGES_RECEIVED in subscription.topics
    await _begin_at(runtime.engine, subscription.group, runtime.broker.cluster, source)
    watch = _Watch(runtime.engine, source.count)
    with _quiet_heap():
        task = asyncio.create_task(
            consume(runtime, watch.over(subscription), progress=Progress(), stop=watch.done)
        )
        async with asyncio.timeout(RUN_SECONDS):
            await asyncio.wait({task})
    task.result()
    return watch.run


async def _begin_at(engine: AsyncEngine, group: str, cluster: str, source: Source) -> None:
    async with engine.begin() as connection:
        await claim(connection, group, cluster, "bench", source.ranges)


class _Watch:
    """Times a consumer: from the moment its positions are claimed until the last batch's
    transaction is over, which is when its connection goes back to the pool."""

    def __init__(self, engine: AsyncEngine, count: int) -> None:
        self.done = asyncio.Event()
        self.batches = 0
        self._left = count
        self._times: list[Moment] = []
        self._handled_at = 0.0
        event.listen(engine.sync_engine, "checkin", self._checked_in)

    def over(self, subscription: Subscription) -> Subscription:
        async def handle(connection: Any, batch: Sequence[Any]) -> None:
            await subscription.handle(connection, batch)
            self.batches += 1
            self._left -= len(batch)
            if self._left <= 0:
                self._handled_at = time.perf_counter()
                self.done.set()

        return replace(subscription, handle=handle, batch=BATCH)

    @property
    def run(self) -> Run:
        committed = next(at for at in self._times if at.wall > self._handled_at)
        return Run(self._times[0], committed, self.batches)

    def _checked_in(self, *_: object) -> None:
        self._times.append(now())


async def _run_bare(source: Source, url: str, rows: Rows) -> Run:
    settings = source.settings.model_copy(update={"database_url": url})
    session = await open_session(url, "bench")
    broker = broker_of(settings)
    await broker.start()
    try:
        await bare_loop.begin_at(session, source.ranges)
        with _quiet_heap():
            async with asyncio.timeout(RUN_SECONDS):
                return await _bare(session, broker, settings, source, rows)
    finally:
        await close_session(session)
        await broker.stop()


async def _bare(
    session: Session, broker: Broker, settings: Settings, source: Source, rows: Rows
) -> Run:
    reader = bare_loop.kafka_reader if settings.kafka_bootstrap else bare_loop.postgres_reader
    async with reader(broker, settings, source.ranges) as getmany:
        began = now()
        batches = await bare_loop.copy_all(session, getmany, rows, source.count)
        return Run(began, now(), batches)


class _quiet_heap:  # noqa: N801 - reads as what it is: a context
    """What was prepared is not walked by the garbage collector while the clock runs."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()

    def __exit__(self, *_: object) -> None:
        gc.unfreeze()
