"""`POST /v1/inbox/next`: the most urgent case an agent may take, claimed for them.

The order of locks is everybody's: the agent's row, then cases with those that wait for them, by
id. So a case is chosen without a lock, and looked at again once it is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router import agents
from services.router.agents import Profile
from services.router.api import views
from services.router.api.filters import Filters
from services.router.case import Case
from services.router.commands import Claim
from services.router.handlers import Handlers
from services.router.policy import Policy
from services.router.queries import QUEUE
from services.router.reach import Reach, reach
from shared.errors import Conflict
from shared.security import Caller
from shared.web import Json, etag

_FREE: Final = ("open",)


class _Changed(Exception):
    """Between reading and locking; most often somebody else took it."""


async def within_reach(connection: AsyncConnection, handlers: Handlers, who: Caller) -> Reach:
    known = await agents.named(connection, handlers.runtime.now(), [who.actor])
    agent = known.get(who.actor, Profile(who.actor))
    return await reach(connection, agent, handlers.policies.current)


@dataclass(frozen=True)
class Taking:
    """One agent asks for one case, in the transaction of `once`."""

    handlers: Handlers
    who: Caller

    async def take(self, connection: AsyncConnection) -> Response:
        policy = self.handlers.policies.current
        await agents.seize(connection, self.who.actor)
        mine = await within_reach(connection, self.handlers, self.who)
        _check_there(mine.agent)
        filters = Filters(state=[*_FREE])
        where, values = filters.where(self.who, views.hidden_teams(self.who, policy))
        where, values = f"{where} AND {mine.where}", values | mine.values
        case_id = await self._claim_first(connection, where, mine.room, values)
        if case_id is None:
            if mine.room:
                await _refuse_the_full(connection, mine, where, values, policy)
            return Response(status_code=204)
        await agents.note_given(connection, [self.who.actor], self.handlers.runtime.now())
        item = await views.one(connection, case_id, self.handlers, self.who)
        return Json(item.model_dump(), headers={"ETag": etag(item.version)})

    async def _claim_first(
        self, connection: AsyncConnection, where: str, room: str, values: dict[str, Any]
    ) -> UUID | None:
        """Asks again until one is held as it was read: each time, somebody else got on."""
        fits = f"AND {room}" if room else ""
        query = text(f"SELECT id, version FROM cases WHERE {where} {fits} ORDER BY {QUEUE} LIMIT 1")  # noqa: S608 - values are bound
        while first := (await connection.execute(query, values)).one_or_none():
            if await self._claimed(connection, first.id, first.version):
                return UUID(str(first.id))
        return None

    async def _claimed(self, connection: AsyncConnection, case_id: UUID, version: int) -> bool:
        def choose(case: Case) -> Claim:
            if case.version != version:
                raise _Changed
            return Claim(self.who.actor)

        try:
            # Its locks go with the savepoint: none is held while another case's is waited for.
            async with connection.begin_nested():
                await self.handlers.on_command(connection, case_id, choose)
        except _Changed:
            return False
        return True


def _check_there(agent: Profile) -> None:
    if agent.presence == "away":
        raise Conflict(
            'you are away: PATCH /v1/agents/me with {"presence": "online"}, then ask again',
            name="agent-away",
        )


async def _refuse_the_full(
    connection: AsyncConnection, mine: Reach, where: str, values: dict[str, Any], policy: Policy
) -> None:
    """Raises Conflict when a case waits that only lacks room: 204 says that none does."""
    query = (
        f"SELECT team FROM cases WHERE {where} AND NOT ({mine.room}) "  # noqa: S608 - values are bound
        f"ORDER BY {QUEUE} LIMIT 1"
    )
    team = await connection.scalar(text(query), values)
    if team is None:
        return
    capacity = mine.agent.capacity_in(policy, team)
    raise Conflict(
        f"you have {mine.load:g} of at most {capacity}: answer or release one of your cases first",
        name="at-capacity",
        load=mine.load,
        capacity=capacity,
    )
