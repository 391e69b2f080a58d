"""Whatever is said, proved, merged and undone, in whatever order: nothing is lost, nobody points
at a record that gave way, and when every merge is undone each has what was theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import Conflict
from tests.builders import NOON, message
from tests.people import merge, unmerge, who
from tests.rooms import Room, make_room

PEOPLE = 5
one = st.integers(0, PEOPLE - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("says"), st.lists(one, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("proves"), st.lists(one, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("merge"), st.lists(one, min_size=2, max_size=2, unique=True)),
        st.tuples(st.just("undo"), st.lists(st.integers(0, 9), min_size=1, max_size=1)),
    ),
    min_size=3,
    max_size=14,
)
fresh = count()


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


class World:
    """One example: identities of its own, in a database that others used before."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.tag = f"w{next(fresh)}"
        self.names = [f"x:{self.tag}.{n}" for n in range(PEOPLE)]
        self.home: dict[str, UUID] = {}
        self.heard = 0

    async def step(self, what: str, those: list[int]) -> None:
        if what in ("says", "proves"):
            await self.hear([self.names[n] for n in those], proven=what == "proves")
        elif what == "merge":
            await self.merge(*(self.names[n] for n in those))
        else:
            live = await self.live()
            if live:
                await self.undo(live[those[0] % len(live)])

    async def hear(self, names: list[str], proven: bool) -> None:
        before = await self.owners()
        self.heard += 1
        at = NOON + timedelta(minutes=self.heard)
        sender = who(*names, proven=proven)
        await self.room.hear(message(f"{self.tag} hello", sender=sender, at=at))
        after = await self.owners()
        if not proven:
            assert {name: after[name] for name in before} == before, "what is said moves nothing"
            assert len(after) <= len(before) + 1
        for name in after.keys() - before.keys():
            self.home[name] = after[name]

    async def merge(self, one: str, other: str) -> None:
        owners = await self.owners()
        if one in owners and other in owners and owners[one] != owners[other]:
            await merge(self.room, owners[one], owners[other])

    async def undo(self, id: UUID) -> None:
        later = id
        try:
            await unmerge(self.room, id)
        except Conflict as refusal:
            later = refusal.extra["merge"]
        assert later == id or later in await self.live(), "it names one that stands"

    async def live(self) -> list[UUID]:
        """Merges that stand, the newest first."""
        rows = await self.rows(
            "SELECT id FROM merges WHERE undone_at IS NULL AND winner = ANY(:ids) ORDER BY id DESC",
            ids=await self.customers(),
        )
        return [row[0] for row in rows]

    async def customers(self) -> list[UUID]:
        rows = await self.rows(
            "SELECT DISTINCT (data ->> 'customer_id')::uuid FROM case_events "
            "JOIN cases ON cases.id = case_id WHERE type = 'case.opened' AND subject LIKE :tag",
            tag=f"{self.tag} %",
        )
        return [row[0] for row in rows]

    async def owners(self) -> dict[str, UUID]:
        rows = await self.rows(
            "SELECT scheme || ':' || value, customer_id FROM identities WHERE value LIKE :tag",
            tag=f"{self.tag}.%",
        )
        return {row[0]: row[1] for row in rows}

    async def rows(self, query: str, **values: Any) -> list[Any]:
        return await self.room.rows(query, **values)

    async def check(self) -> None:
        strays = await self.rows(
            "SELECT 1 FROM (SELECT customer_id FROM identities UNION ALL SELECT customer_id "
            "FROM cases UNION ALL SELECT customer_id FROM messages) AS held "
            "JOIN customers ON customers.id = customer_id WHERE merged_into IS NOT NULL"
        )
        assert strays == [], "something belongs to a record that gave way"
        told = await self.rows(
            "SELECT 1 FROM cases WHERE doc ->> 'customer_id' <> customer_id::text"
        )
        assert told == [], "history and row differ"
        (row,) = await self.rows(
            "SELECT count(*) FROM messages WHERE text LIKE :tag", tag=f"{self.tag} %"
        )
        assert row[0] == self.heard, "a message was lost"

    async def check_all_undone(self) -> None:
        for id in await self.live():
            await unmerge(self.room, id)
        assert await self.owners() == self.home
        moved = await self.rows(
            "SELECT 1 FROM cases JOIN case_events ON case_id = cases.id AND type = 'case.opened' "
            "WHERE data ->> 'customer_id' <> cases.customer_id::text"
        )
        assert moved == [], "a case is not where it was opened"
        await self.check()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_merging_and_undoing_lose_nothing(room: Room, steps: Any) -> None:
    world = World(room)
    for what, those in steps:
        await world.step(what, those)
        await world.check()
    await world.check_all_undone()
