"""Killing and starving the real process: what was answered 2xx is there, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.kafka.kafka import KafkaServer
from services.cli.database import database
from shared.database import connect
from shared.settings import Settings
from tests.e2e.conftest import HASTY, StoppablePostgres
from tests.e2e.doors import Doors, whatsapp_message
from tests.e2e.process import Regie, attempts, running
from tests.e2e.town import Town

pytestmark = pytest.mark.alone


async def flood(regie: Regie, accepted: list[str], stop: asyncio.Event, worker: int) -> None:
    """Messages as fast as they are accepted; what got its 200 is noted."""
    async with httpx.AsyncClient(base_url=regie.url, timeout=10) as client:
        doors = Doors(client)
        number = 0
        while not stop.is_set():
            number += 1
            sender = f"3160{worker:03d}{number % 50:04d}"
            message = whatsapp_message(f"Parcel {worker}-{number}", sender)
            try:
                answer = await doors.meta(message)
                if answer.status_code == 200:
                    accepted.append(message["id"])
                elif number % 3 == 0:
                    await doors.meta(message)  # a provider comes again
            except httpx.TransportError:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def flooded(regie: Regie, workers: int = 8) -> AsyncIterator[list[str]]:
    accepted: list[str] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for worker in range(workers):
            group.create_task(flood(regie, accepted, stop, worker))
        try:
            yield accepted
        finally:
            stop.set()


async def more(accepted: list[str], count: int, seconds: float = 40) -> None:
    """Until so many more were accepted."""
    wanted = len(accepted) + count
    async for _ in attempts(seconds):
        if len(accepted) >= wanted:
            return
    raise AssertionError(f"only {len(accepted)} of {wanted} were accepted within {seconds} s")


async def one(engine: AsyncEngine, query: str, **values: Any) -> Any:
    async with engine.connect() as connection:
        return (await connection.execute(text(query), values)).scalar_one()


async def check_history(engine: AsyncEngine, accepted: list[str]) -> None:
    """Nothing lost, nothing twice, one open case for each customer and account."""
    missing: set[str] = set(accepted)
    async for _ in attempts(60):
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT provider_id FROM messages"))
            missing = set(accepted) - set(found.scalars())
        if not missing:
            break
    assert not missing, f"{len(missing)} of {len(accepted)} accepted messages are lost"
    twice = "SELECT count(*) - count(DISTINCT provider_id) FROM messages WHERE direction = 'in'"
    assert await one(engine, twice) == 0
    cases = "SELECT count(*) - count(DISTINCT customer_id) FROM cases WHERE state <> 'closed'"
    assert await one(engine, cases) == 0
    added = "SELECT count(*) FROM case_events WHERE type = 'message.added'"
    assert await one(engine, added) == await one(
        engine, "SELECT count(*) FROM messages WHERE direction = 'in'"
    )
    gaps = "SELECT count(*) FROM (SELECT max(seq) <> count(*) AS gap FROM case_events GROUP BY case_id) AS c WHERE gap"  # noqa: E501
    assert await one(engine, gaps) == 0, "every case's history is whole"


async def test_sigkill_under_load_loses_nothing(town: Town, tmp_path: Path) -> None:
    """The embedded engine: PostgreSQL dies with its parent, and recovers."""
    regie = Regie(tmp_path / "data", town.env(HASTY))
    async with running(regie), flooded(regie) as accepted:
        for _ in range(6):
            await more(accepted, 60)
            await regie.kill()
            await regie.start()
        await more(accepted, 20)
    async with running(regie):
        async with database(Settings(data_dir=regie.data_dir)) as engine:
            await check_history(engine, accepted)
        assert await regie.stop() == 0
    leftovers = [p for p in Path("/proc").glob("[0-9]*/cwd") if _inside(p, regie.data_dir)]
    assert leftovers == []


def _inside(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


@pytest.mark.kafka
async def test_routers_die_under_load_on_kafka(
    town: Town, tmp_path: Path, kafka_alone: KafkaServer, database_url: str
) -> None:
    """Two routers share the partitions; one after the other is killed and comes back.

    On a broker of its own: a killed member stays in its group until its session times out.
    """
    env = town.env(
        HASTY, REGIE_KAFKA_BOOTSTRAP=kafka_alone.bootstrap, REGIE_DATABASE_URL=database_url
    )
    ingest = Regie(tmp_path / "one", env, ("ingest",))
    routers = [
        Regie(tmp_path / name, {**env, "REGIE_INSTANCE_ID": name}, ("router",))
        for name in ("two", "three")
    ]
    async with running(ingest), running(routers[0]), running(routers[1]):
        async with flooded(ingest) as accepted:
            for router in routers * 2:
                await more(accepted, 100)
                await router.kill()
                await more(accepted, 100)
                await router.start()
        engine = connect(database_url)
        await check_history(engine, accepted)
        await engine.dispose()


async def test_without_its_database_it_refuses_quickly_and_comes_back(
    town: Town, tmp_path: Path, stoppable_postgres: StoppablePostgres
) -> None:
    """No 2xx for what is not durable; alive, unready; recovery by itself."""
    regie = Regie(tmp_path / "data", town.env(HASTY, REGIE_DATABASE_URL=stoppable_postgres.url))
    async with running(regie), regie.client() as client:
        doors = Doors(client)
        assert (await doors.whatsapp("Before")).status_code == 200
        await stoppable_postgres.stop()
        async with asyncio.timeout(15):
            refused = await doors.whatsapp("Meanwhile")
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        assert (await client.get("/healthz")).status_code == 200
        async for _ in attempts(15):
            if (await client.get("/readyz")).status_code == 503:
                break
        assert (await client.get("/readyz")).status_code == 503
        await stoppable_postgres.start()
        await regie.until_ready()
        assert (await doors.whatsapp("After")).status_code == 200


@pytest.mark.kafka
async def test_without_kafka_it_refuses_quickly_and_comes_back(
    town: Town, tmp_path: Path, kafka_alone: KafkaServer, database_url: str
) -> None:
    env = town.env(
        HASTY, REGIE_KAFKA_BOOTSTRAP=kafka_alone.bootstrap, REGIE_DATABASE_URL=database_url
    )
    regie = Regie(tmp_path / "data", env)
    async with running(regie), regie.client() as client:
        doors = Doors(client)
        assert (await doors.whatsapp("Before")).status_code == 200
        await asyncio.to_thread(kafka_alone.terminate, 1)
        async with asyncio.timeout(20):
            refused = await doors.whatsapp("Meanwhile")
        assert refused.status_code == 503
        assert (await client.get("/healthz")).status_code == 200
        await asyncio.to_thread(kafka_alone.restart, 1)
        await regie.until_ready()
        async for _ in attempts(30):
            if (await doors.whatsapp("After")).status_code == 200:
                return
        raise AssertionError("it never recovered")
