"""Positions: moved first and only by their owner, so that a zombie fails before it does harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import positions
from shared.broker import Range, TopicPartition
from shared.database import connect, transaction
from shared.errors import Fenced, NotFound
from shared.positions import Move, Position
from shared.topics import MESSAGES_RECEIVED

GROUP, CLUSTER = "router", "cluster-a"
AT = datetime(2025, 3, 4, 12, tzinfo=UTC)
BOUND = 20.0


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = connect(database_url)
    yield engine
    await engine.dispose()


def tp(partition: int) -> TopicPartition:
    return TopicPartition(MESSAGES_RECEIVED, partition)


async def claim(
    engine: AsyncEngine, owner: str, *partitions: int, start: int = 0
) -> Mapping[TopicPartition, Position]:
    ranges = {tp(partition): Range(start, start + 100) for partition in partitions}
    async with transaction(engine) as conn:
        return await positions.claim(conn, GROUP, CLUSTER, owner, ranges)


async def advance(engine: AsyncEngine, moves: Mapping[TopicPartition, Move]) -> None:
    async with transaction(engine) as conn:
        await positions.advance(conn, GROUP, CLUSTER, moves)


async def places(engine: AsyncEngine) -> dict[TopicPartition, int]:
    async with transaction(engine) as conn:
        return {row.tp: row.next for row in await positions.listing(conn)}


async def test_a_new_group_starts_where_the_log_does(engine: AsyncEngine) -> None:
    assert await claim(engine, "a", 0, 1, start=7) == {
        tp(0): Position(7, 1),
        tp(1): Position(7, 1),
    }


async def test_a_claim_keeps_the_place_and_ages_the_owner(engine: AsyncEngine) -> None:
    await claim(engine, "a", 0)
    await advance(engine, {tp(0): Move(0, 5, 1, AT)})
    assert await claim(engine, "b", 0) == {tp(0): Position(5, 2)}
    async with transaction(engine) as conn:
        (row,) = await positions.listing(conn)
    assert (row.group, row.cluster, row.tp) == (GROUP, CLUSTER, tp(0))
    assert (row.next, row.epoch, row.owner, row.last_at, row.stopped) == (5, 2, "b", AT, "")


async def test_another_cluster_starts_anew(engine: AsyncEngine) -> None:
    await claim(engine, "a", 0)
    await advance(engine, {tp(0): Move(0, 5, 1, AT)})
    async with transaction(engine) as conn:
        claimed = await positions.claim(conn, GROUP, "cluster-b", "a", {tp(0): Range(2, 9)})
    assert claimed == {tp(0): Position(2, 1)}


@pytest.mark.parametrize(
    "move",
    [
        pytest.param(Move(0, 5, 1, AT), id="old epoch"),
        pytest.param(Move(1, 5, 2, AT), id="other place"),
        pytest.param(Move(0, 5, 3, AT), id="epoch of the future"),
    ],
)
async def test_who_is_not_the_owner_moves_nothing(engine: AsyncEngine, move: Move) -> None:
    await claim(engine, "a", 0, 1)
    await claim(engine, "b", 0)
    with pytest.raises(Fenced):
        await advance(engine, {tp(0): move, tp(1): Move(0, 9, 1, AT)})
    assert await places(engine) == {tp(0): 0, tp(1): 0}


async def test_a_partition_never_claimed_cannot_be_moved(engine: AsyncEngine) -> None:
    with pytest.raises(Fenced):
        await advance(engine, {tp(0): Move(0, 1, 1, AT)})


async def test_a_zombie_fails_before_it_locks_anything(engine: AsyncEngine) -> None:
    await claim(engine, "zombie", 0)
    await claim(engine, "owner", 0)
    locked_or_wrote = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
    async with transaction(engine) as owner, transaction(engine) as zombie:
        await positions.advance(owner, GROUP, CLUSTER, {tp(0): Move(0, 5, 2, AT)})
        # Were the zombie to wait for the owner's lock, it would run into this bound.
        async with asyncio.timeout(BOUND):
            with pytest.raises(Fenced):
                await positions.advance(zombie, GROUP, CLUSTER, {tp(0): Move(0, 3, 1, AT)})
        assert (await owner.execute(locked_or_wrote)).scalar_one() is True
        assert (await zombie.execute(locked_or_wrote)).scalar_one() is False
    assert await places(engine) == {tp(0): 5}


async def test_a_claim_waits_for_the_old_owners_commit_and_sees_it(engine: AsyncEngine) -> None:
    await claim(engine, "old", 0)
    async with transaction(engine) as old:
        await positions.advance(old, GROUP, CLUSTER, {tp(0): Move(0, 5, 1, AT)})
        claiming = asyncio.create_task(claim(engine, "new", 0))
        await waiting_for_a_lock(engine)
    async with asyncio.timeout(BOUND):
        assert await claiming == {tp(0): Position(5, 2)}


async def waiting_for_a_lock(engine: AsyncEngine) -> None:
    found = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(BOUND), engine.connect() as conn:
        while (await conn.execute(found)).scalar_one() == 0:
            await conn.rollback()


async def test_concurrent_claims_leave_one_owner(engine: AsyncEngine) -> None:
    every = range(12)
    async with asyncio.timeout(BOUND):
        claims = await asyncio.gather(
            *(claim(engine, f"owner-{n}", *(every if n % 2 else reversed(every))) for n in range(8))
        )
    for partition in every:
        epochs = sorted(claimed[tp(partition)].epoch for claimed in claims)
        assert epochs == list(range(1, 9))
    outcomes = await asyncio.gather(
        *(advance(engine, {tp(0): Move(0, 1, claimed[tp(0)].epoch, AT)}) for claimed in claims),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Fenced) for outcome in outcomes) == 7
    assert outcomes.count(None) == 1


async def test_setting_a_position_fences_its_owner_and_lets_it_go_on(engine: AsyncEngine) -> None:
    await claim(engine, "a", 0)
    async with transaction(engine) as conn:
        await positions.stop(conn, GROUP, CLUSTER, {tp(0): "it is lost"})
        await positions.set_position(conn, GROUP, CLUSTER, tp(0), 42)
    with pytest.raises(Fenced):
        await advance(engine, {tp(0): Move(0, 1, 1, AT)})
    assert await claim(engine, "a", 0) == {tp(0): Position(42, 3, "")}


async def test_a_stop_is_remembered(engine: AsyncEngine) -> None:
    await claim(engine, "a", 0, 1)
    async with transaction(engine) as conn:
        await positions.stop(conn, GROUP, CLUSTER, {tp(1): "it is lost"})
    claimed = await claim(engine, "b", 0, 1)
    assert {at: place.stopped for at, place in claimed.items()} == {tp(0): "", tp(1): "it is lost"}


async def test_a_position_nobody_claimed_cannot_be_set(engine: AsyncEngine) -> None:
    with pytest.raises(NotFound):
        async with transaction(engine) as conn:
            await positions.set_position(conn, GROUP, CLUSTER, tp(0), 42)


async def test_the_watermark_is_the_least_of_all_partitions(engine: AsyncEngine) -> None:
    async def watermark() -> datetime | None:
        async with transaction(engine) as conn:
            return await positions.watermark(conn, GROUP, CLUSTER, MESSAGES_RECEIVED)

    await claim(engine, "a", *range(12))
    assert await watermark() is None
    later = {tp(n): Move(0, 1, 1, AT + timedelta(seconds=n)) for n in range(1, 12)}
    await advance(engine, later)
    assert await watermark() is None  # one partition has not moved
    await advance(engine, {tp(0): Move(0, 1, 1, AT + timedelta(seconds=30))})
    assert await watermark() == AT + timedelta(seconds=1)
    # Going back in the log does not take back what was known.
    await advance(engine, {tp(1): Move(1, 2, 1, AT - timedelta(days=1))})
    assert await watermark() == AT + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("next", "kept", "word"),
    [
        (5, Range(5, 5), ""),
        (5, Range(0, 9), ""),
        (4, Range(5, 9), "below"),
        (10, Range(5, 9), "above"),
        (0, None, "no such partition"),
    ],
)
def test_a_position_outside_the_log_is_lost(next: int, kept: Range | None, word: str) -> None:
    assert word in positions.lost(next, kept)
    assert bool(word) is bool(positions.lost(next, kept))
