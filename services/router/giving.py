"""Giving: in teams with `give: true`, what waits goes to the agents online by itself.

Several processes may run it at once. Each agent's row is held while it is decided what they get,
and whom another process holds is passed over; a case is looked at again under its own lock. The
order is agents, then cases, as in `POST /v1/inbox/next`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from services.router import agents, queries
from services.router.agents import Profile
from services.router.assignment import Agent, Waiting, share
from services.router.case import Case
from services.router.commands import Give
from services.router.desk import Desk
from services.router.handlers import Handlers
from services.router.policy import Policy
from services.router.queries import Opening
from services.router.repeating import repeatedly
from shared.database import transaction

_EVERY: Final = 1.0
_BATCH: Final = 500


class Giving:
    """The task that gives."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def run(self) -> None:
        await repeatedly("giving", self._all, _EVERY)

    async def _all(self) -> None:
        while await self.give():
            pass

    async def give(self) -> int:
        """One batch, in one transaction; returns how many cases were given."""
        runtime = self._handlers.runtime
        if not _giving(self._handlers.policies.current):
            return 0
        async with transaction(runtime.engine) as connection:
            desk = await self._handlers.desk(connection)
            if not await queries.any_free(connection, _giving(desk.policy)):
                return 0
            people = await _people(desk)
            openings = list(_openings(desk.policy, people))
            if not openings:
                return 0
            rows = await queries.free_cases(connection, openings, _BATCH)
            waiting = [_waiting(desk.policy, row) for row in rows]
            given = await _hand_out(
                desk, share(waiting, people), {case.id: case for case in waiting}
            )
        if given:
            runtime.written.set()
        return given


def _giving(policy: Policy) -> list[str]:
    return [team for team in policy.teams if policy.gives(team)]


async def _people(desk: Desk) -> list[Agent]:
    """Who is online, and what they have. Their rows are held from here on, and only then read."""
    connection, policy, teams = desk.connection, desk.policy, _giving(desk.policy)
    names = await agents.seize_online(connection)
    if not names:
        return []
    known = await agents.named(connection, desk.now, names)
    loads = await agents.loads(connection, policy, names)
    return [_agent(policy, known[name], loads[name], teams) for name in names]


def _agent(policy: Policy, profile: Profile, load: float, teams: Sequence[str]) -> Agent:
    return Agent(
        name=profile.name,
        online=profile.presence == "online",
        teams=frozenset(
            team
            for team in teams
            if profile.works_for(team, confidential=policy.teams[team].confidential)
        ),
        skills=frozenset(profile.skills),
        capacity=profile.capacity,
        load=load,
        given_at=profile.given_at,
    )


def _openings(policy: Policy, people: Sequence[Agent]) -> Iterator[Opening]:
    """What somebody could take now; the same wish of many agents is one."""
    seen = set()
    for agent in people:
        for team in agent.teams:
            capacity = policy.capacity_of(team) if agent.capacity is None else agent.capacity
            channels = agents.room_for(policy, agent.load, capacity)
            opening = Opening(team, tuple(sorted(agent.skills)), channels)
            if channels and opening not in seen:
                seen.add(opening)
                yield opening


def _waiting(policy: Policy, row: Mapping[str, Any]) -> Waiting:
    return Waiting(
        due_at=row["due_at"],
        rank=row["priority"],
        opened_at=row["opened_at"],
        id=row["id"],
        team=row["team"],
        skills=tuple(row["skills"]),
        weight=policy.weight(row["channel"]),
        capacity=policy.capacity_of(row["team"]),
        returned_by=row["returned_by"],
    )


async def _hand_out(
    desk: Desk, shares: Sequence[tuple[UUID, str]], waiting: Mapping[UUID, Waiting]
) -> int:
    """What somebody else is changing, or has changed since it was read, is left for later."""
    desk.seat(await queries.lock_idle_cases(desk.connection, [case_id for case_id, _ in shares]))
    taken = []
    for case_id, agent in shares:
        if case_id in desk.cases and _fits(desk.policy, desk.cases[case_id], waiting[case_id]):
            changed = desk.decide(case_id, Give(agent)).changes
            taken.extend([agent] if changed else [])
    await desk.save()
    await agents.note_given(desk.connection, set(taken), desk.now)
    return len(taken)


def _fits(policy: Policy, case: Case, read: Waiting) -> bool:
    """Whether it still is what it was shared out as. Whether it is free, `give` decides."""
    now = (case.team, case.skills, policy.weight(case.channel), case.returned_by)
    return now == (read.team, read.skills, read.weight, read.returned_by)
