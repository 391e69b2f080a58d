"""Deliveries a second, against a bare httpx loop; and a claim beside a million that cannot leave.

The yardstick posts the same bytes with the same client and as many calls at a time, and records
nothing. Endpoint and caller share the process in both halves.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from services.notifier.slots import EACH, SLOW
from shared.database import transaction
from tests import servers
from tests.benchmarks.report import Figure
from tests.notifying import Notifying, notifying
from tests.waiting import until

SENDING: Final = "deliveries a second"
CLAIMING: Final = "claims of deliveries, a million waiting for a dead target"
COUNT: Final = 2_000
MANY: Final = 1_000_000
CLAIMS: Final = 60


async def measure(engine: str, postgres: str, template: str, folder: Path) -> AsyncIterator[Figure]:
    """Both figures, each in a database of its own."""
    async with _room(postgres, template, folder / "sent") as room:
        yield await _sending(engine, room)
    async with (
        _room(postgres, template, folder / "few") as few,
        _room(postgres, template, folder / "many") as many,
    ):
        await _fill(many)
        yield await _claiming(engine, few, many)


@asynccontextmanager
async def _room(postgres: str, template: str, folder: Path) -> AsyncIterator[Notifying]:
    async with (
        servers.fresh_database(postgres, template=template) as url,
        notifying(url, folder) as room,
    ):
        yield room


# --- sending ---------------------------------------------------------------------------------


async def _sending(engine: str, room: Notifying) -> Figure:
    """Webhooks that are due: claimed, signed, called, recorded."""
    ours, bare = [], []
    for number in range(1, 4):
        cases = await room.open_cases(COUNT)
        for start in range(0, COUNT, 500):
            await room.hear(*(room.breach(case) for case in cases[start : start + 500]))
        began = time.perf_counter()
        async with room.sending():
            await until(lambda number=number: _sent(room, number * COUNT))  # type: ignore[misc]
            ours.append(COUNT / (time.perf_counter() - began))
        bare.append(await _bare(room))
    return Figure(
        SENDING, engine, ours, bare, target=0.5, least=0.2,
        conditions={"a round": f"{COUNT:,}", "calls at a time": EACH, "endpoint": "loopback"},
    )  # fmt: skip


async def _sent(room: Notifying, count: int) -> bool:
    (row,) = await room.rows("SELECT count(*) AS sent FROM deliveries WHERE state = 'sent'")
    return bool(row.sent == count)


async def _bare(room: Notifying) -> float:
    """The same requests again, by as many loops as we have calls."""
    request = room.endpoint.at("/parcels")[-1]
    queue = iter(range(COUNT))
    async with httpx.AsyncClient(trust_env=False) as client:

        async def post() -> None:
            for _ in queue:
                await client.post(
                    f"{room.endpoint.url}/bare", content=request.body,
                    headers={"content-type": "application/json"},
                )  # fmt: skip

        began = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(EACH)))
        return COUNT / (time.perf_counter() - began)


# --- claiming --------------------------------------------------------------------------------


async def _fill(room: Notifying) -> None:
    """So many for one target, due for long."""
    case = await room.open_case()
    await room.hear(room.breach(case, room.webhook("/dead")))
    async with transaction(room.runtime.engine) as connection:
        await connection.exec_driver_sql(
            "INSERT INTO deliveries (id, event_id, case_id, seq, version, effect, target, lane, "
            "payload, at, next_at, expires_at, created_at) "
            "SELECT lpad(to_hex(n), 32, '0')::uuid, n::text, case_id, n, version, effect, target, "
            "lane, payload, at, next_at, expires_at, created_at "
            "FROM deliveries, generate_series(1, $1::int) AS n",
            (MANY,),
        )
    async with room.runtime.engine.connect() as raw:
        await (await raw.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql(
            "VACUUM ANALYZE deliveries"
        )


async def _claiming(engine: str, few: Notifying, many: Notifying) -> Figure:
    ours, bare = [], []
    for _ in range(3):
        ours.append(await _claims(many))
        bare.append(await _claims(few))
    return Figure(
        CLAIMING, engine, ours, bare, target=0.5, least=0.4,
        conditions={"waiting": f"{MANY:,} and none", "claims a round": CLAIMS},
    )  # fmt: skip


async def _claims(room: Notifying) -> float:
    """Claims a second of what is due for a target that lives, while the dead one has its call."""
    sender = room.sender()
    dead = f"webhook:{room.endpoint.url}/dead"
    sender._slots.take(dead)  # it answered slowly once, and has its one call
    sender._slots.give(dead, SLOW + 1)
    sender._slots.take(dead)
    case, took = await room.open_case(), []
    for _ in range(CLAIMS):
        await room.hear(room.breach(case))
        began = time.perf_counter()
        _, ready = await sender._claim()
        took.append(time.perf_counter() - began)
        assert len(ready) == 1
    return 1 / statistics.median(took)
