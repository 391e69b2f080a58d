"""What of the queue an agent may take by themselves: conditions on `cases`, for the inbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import agents
from services.router.agents import CHANNELS, Profile
from services.router.policy import Policy


@dataclass(frozen=True, slots=True)
class Reach:
    """SQL, with its values by name. Scope is the key's, and not in it.

    where  free, and asking for no more than the agent's teams and skills
    room   not too heavy beside what they have already (`load`); empty when nothing is
    """

    agent: Profile
    load: float
    where: str
    room: str
    values: dict[str, Any]


async def reach(connection: AsyncConnection, agent: Profile, policy: Policy) -> Reach:
    load = (await agents.loads(connection, policy, [agent.name]))[agent.name]
    values: dict[str, Any] = {"mine": msgspec.json.encode(agent.skills).decode()}
    where = "state = 'open' AND agent = '' AND skills <@ CAST(:mine AS jsonb)"
    if agent.teams:
        values["own"] = list(agent.teams)
        where += " AND team = ANY(:own)"
    room = []
    for number, (teams, heavy) in enumerate(_too_heavy(agent, load, policy)):
        values |= {f"full{number}": teams, f"heavy{number}": heavy}
        room.append(f"NOT (team = ANY(:full{number}) AND channel = ANY(:heavy{number}))")
    return Reach(agent, load, where, " AND ".join(room), values)


def _too_heavy(
    agent: Profile, load: float, policy: Policy
) -> Iterator[tuple[list[str], list[str]]]:
    """Teams that share a bound, and the channels of whose cases one more would exceed it."""
    bounds: dict[int | None, list[str]] = defaultdict(list)
    for team in policy.teams:
        bounds[agent.capacity_in(policy, team)].append(team)
    for bound, teams in bounds.items():
        fitting = agents.room_for(policy, load, bound)
        if heavy := [channel for channel in CHANNELS if channel not in fitting]:
            yield teams, heavy
