"""Due deadlines: what claiming them costs with ten million others open, and how many fire a second.

The open ones are timers beside those of real cases, spread over two weeks, as they stand while
nothing is due of them. Claiming is measured with and without another session that holds a snapshot
from before everything that was claimed since (`VACUUM` can remove none of it then).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from services.router.clock import Clock
from shared.database import transaction
from tests import servers
from tests.benchmarks.report import Figure
from tests.builders import NOON, message, sender
from tests.histories import Past
from tests.rooms import Room, make_room

CLAIMING: Final = "due deadlines claimed, batches a second"
FIRING: Final = "deadlines fired, a second"
MANY: Final = 10_000_000
FEW: Final = 10_000
PER_SECOND: Final = 10_000.0
CASES: Final = 6_000
CLAIMS: Final = 60
BATCH: Final = 500


async def measure(engine: str, server: str, template: str, folder: Path) -> AsyncIterator[Figure]:
    """`server` is the URL of a PostgreSQL, `template` a migrated database of it."""
    async with _room(server, template, folder) as few, _room(server, template, folder) as many:
        await _open(few, FEW)
        await _open(many, MANY)
        yield await _claiming(engine, few, many, held=False)
        yield await _claiming(engine, few, many, held=True)
        yield await _firing(engine, many)


@asynccontextmanager
async def _room(server: str, template: str, folder: Path) -> AsyncIterator[Room]:
    async with servers.fresh_database(server, template=template) as url:
        room = await make_room(url, folder)
        try:
            yield room
        finally:
            await room.engine.dispose()


async def _open(room: Room, count: int) -> None:
    """So many timers that are not due for a day; ids in order, or inserting takes minutes."""
    async with transaction(room.engine) as connection:
        await connection.exec_driver_sql(
            "INSERT INTO timers (case_id, fire_at) SELECT lpad(to_hex(n), 32, '0')::uuid, "
            "$2::timestamptz + n * interval '13 days' / $1::int "
            "FROM generate_series(1, $1::int) AS n",
            (count, NOON + timedelta(days=30)),
        )
    async with room.engine.connect() as raw:
        await (await raw.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql(
            "VACUUM ANALYZE timers"
        )


# --- claiming --------------------------------------------------------------------------------


async def _claiming(engine: str, few: Room, many: Room, *, held: bool) -> Figure:
    ours, bare = [], []
    async with _snapshot(few, held), _snapshot(many, held):
        for _ in range(3):
            ours.append(await _claims(many))
            bare.append(await _claims(few))
    return Figure(
        f"{CLAIMING}{', an old snapshot held' if held else ''}", engine, ours, bare,
        target=0.5, least=0.5,
        conditions={"open": f"{MANY:,} and {FEW:,}", "claims a round": CLAIMS, "each of": BATCH},
    )  # fmt: skip


async def _claims(room: Room) -> float:
    """Claims a second. What was claimed moves on, as it does when it fires."""
    clock = Clock(room.handlers)
    took = []
    for _ in range(CLAIMS):
        await _due(room)
        await clock.raise_floor()
        began = time.perf_counter()
        async with transaction(room.engine) as connection:
            assert len(await clock._due(connection)) == BATCH
        took.append(time.perf_counter() - began)
        async with transaction(room.engine) as connection:
            await connection.exec_driver_sql(
                "DELETE FROM timers WHERE fire_at <= $1", (room.clock(),)
            )
        room.clock.at += timedelta(seconds=1)
    return 1 / statistics.median(took)


async def _due(room: Room) -> None:
    async with transaction(room.engine) as connection:
        await connection.exec_driver_sql(
            "INSERT INTO timers (case_id, fire_at) SELECT gen_random_uuid(), $1 "
            "FROM generate_series(1, $2::int)",
            (room.clock(), BATCH),
        )


@asynccontextmanager
async def _snapshot(room: Room, held: bool) -> AsyncIterator[None]:
    if not held:
        yield
        return
    async with room.engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        await connection.exec_driver_sql("SELECT count(*) FROM clock")
        yield


# --- firing ----------------------------------------------------------------------------------


async def _firing(engine: str, room: Room) -> Figure:
    """Every case's first reminder: decided, its event stored and on its way, the timer set on."""
    rates = []
    for _ in range(3):
        await _arrive(room)
        (row,) = await room.rows(
            "SELECT max(fire_at) FROM timers WHERE fire_at < :at", at=NOON + timedelta(days=29)
        )
        room.clock.at = row[0]
        past = Past(room)
        began = time.perf_counter()
        await past.fire()
        rates.append(CASES / (time.perf_counter() - began))
        async with transaction(room.engine) as connection:
            await connection.exec_driver_sql(
                "DELETE FROM timers WHERE case_id IN (SELECT id FROM cases)"
            )
    return Figure(
        FIRING, engine, rates, [PER_SECOND] * len(rates), target=1.0, least=0.2,
        conditions=await _conditions(room),
    )  # fmt: skip


async def _arrive(room: Room) -> None:
    for start in range(0, CASES, BATCH):
        await room.hear(
            *(
                message(
                    id=uuid4(),
                    provider_event_id=f"wamid.{uuid4().hex}",
                    sender=sender(f"+31{600_000_000 + room.records + n}"),
                    occurred_at=room.clock(),
                    received_at=room.clock(),
                )
                for n in range(min(BATCH, CASES - start))
            )
        )


async def _conditions(room: Room) -> dict[str, Any]:
    (row,) = await room.rows("SELECT count(*) FROM case_events WHERE type = 'DeadlineWarned'")
    return {"open": f"{MANY:,}", "cases a round": CASES, "reminders in all": row[0]}
