"""Transactions: what an outage is, and what a fault of ours is."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from shared.database import connect, driver, is_away, transaction
from shared.errors import DatabaseUnavailable


async def test_a_pool_that_is_used_up_is_an_outage(database_url: str) -> None:
    """Whoever asks waits and comes again; nobody's task dies of it."""
    engine = create_async_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with transaction(engine):
        with pytest.raises(DatabaseUnavailable):
            async with transaction(engine):
                pass
    await engine.dispose()


async def test_an_error_below_sqlalchemy_is_one_of_its_family(database_url: str) -> None:
    engine = connect(database_url)
    with pytest.raises(DBAPIError) as wrong:
        async with transaction(engine) as connection:
            await (await driver(connection)).execute("SELECT 1 / 0")
    assert not is_away(wrong.value)
    await engine.dispose()


async def test_what_the_driver_runs_is_in_the_transaction(database_url: str) -> None:
    engine = connect(database_url)

    async def fail_halfway() -> None:
        async with transaction(engine) as connection:
            await (await driver(connection)).execute("UPDATE clock SET floor = 'infinity'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_halfway()
    async with transaction(engine) as connection:
        raised = await (await driver(connection)).fetchval("SELECT floor = 'infinity' FROM clock")
    assert raised is False
    await engine.dispose()
