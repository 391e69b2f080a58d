"""The agents: who they are, whether they are there, what they can do and how much they have.

An agent is known by a live key with their name on it, by a row of their own, or by both. The key
says which teams they may work for; the row what they say of themselves (presence) and what their
supervisor says of them (skills, capacity, and the teams they are given work of).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, get_args

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.assignment import fits
from services.router.case import FAR
from services.router.policy import Policy
from services.router.rules.people import Notify
from shared.database import driver
from shared.events import Channel

Presence = Literal["online", "away"]
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
_COLUMNS: Final = {
    "presence": "text", "skills": "text[]", "capacity": "int", "teams": "text[]",
    "notify": "jsonb",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """One agent.

    presence    None: they have not said, and are given nothing until they do, or ask for a case
    capacity    None: what the case's team lets an agent have
    teams       whose work they are given; empty: whatever their keys are for
    keyed       the teams their live keys name; everywhere: they have a key for all teams
    given_at    when they last got a case from the queue, given or taken
    notify      where they are reminded of their own cases, as they gave it
    """

    name: str
    presence: Presence | None = None
    skills: tuple[str, ...] = ()
    capacity: int | None = None
    teams: tuple[str, ...] = ()
    given_at: datetime | None = None
    notify: tuple[Mapping[str, Any], ...] = ()
    keyed: tuple[str, ...] = ()
    everywhere: bool = False

    def works_for(self, team: str, *, confidential: bool) -> bool:
        """Whether they may be given its cases. A confidential team's people are named by key."""
        if self.teams and team not in self.teams:
            return False
        return team in self.keyed or (self.everywhere and not confidential)

    def teams_in(self, policy: Policy) -> list[str]:
        """Whose work they are given; as their supervisor wishes while no key says they may."""
        if not self.keyed and not self.everywhere:
            return sorted(self.teams)
        teams = policy.teams.items()
        return sorted(
            name for name, team in teams if self.works_for(name, confidential=team.confidential)
        )

    def capacity_in(self, policy: Policy, team: str) -> int | None:
        return policy.capacity_of(team) if self.capacity is None else self.capacity


_PROFILES: Final = """
WITH keyed AS (
    SELECT agent AS name, bool_or(teams = '{}' OR role = 'admin') AS everywhere,
        array_remove(array_agg(DISTINCT team ORDER BY team), NULL) AS keyed
    FROM api_keys LEFT JOIN unnest(teams) AS team ON true
    WHERE agent <> '' AND role IN ('agent', 'supervisor', 'admin')
        AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)
    GROUP BY agent
)
SELECT name, presence, coalesce(skills, '{}') AS skills, capacity, coalesce(teams, '{}') AS teams,
    given_at, coalesce(notify, '[]') AS notify, coalesce(keyed, '{}') AS keyed,
    coalesce(everywhere, false) AS everywhere
FROM agents FULL JOIN keyed USING (name)
"""


async def page(
    connection: AsyncConnection, now: datetime, after: str, most: int
) -> Sequence[Profile]:
    """Everybody, by name."""
    raw = await driver(connection)
    rows = await raw.fetch(f"{_PROFILES} WHERE name > $2 ORDER BY name LIMIT $3", now, after, most)
    return [_profile(row) for row in rows]


async def named(
    connection: AsyncConnection, now: datetime, names: Collection[str]
) -> dict[str, Profile]:
    """Those of these whom a row or a key knows."""
    raw = await driver(connection)
    rows = await raw.fetch(f"{_PROFILES} WHERE name = ANY($2)", now, list(names))
    return {row["name"]: _profile(row) for row in rows}


def _profile(row: Mapping[str, Any]) -> Profile:
    lists = ("skills", "teams", "keyed", "notify")
    return Profile(**{**row, **{name: tuple(row[name]) for name in lists}})


async def seize(connection: AsyncConnection, name: str) -> None:
    """Holds an agent's row, made if need be, until the transaction ends: one at a time decides
    what they get. Comes before any case is locked."""
    raw = await driver(connection)
    if not await raw.fetch("SELECT FROM agents WHERE name = $1 FOR UPDATE", name):
        await raw.execute("INSERT INTO agents (name) VALUES ($1) ON CONFLICT DO NOTHING", name)
        await raw.execute("SELECT FROM agents WHERE name = $1 FOR UPDATE", name)


async def seize_online(connection: AsyncConnection) -> list[str]:
    """Everybody who is online and whom nobody else is dealing with."""
    raw = await driver(connection)
    rows = await raw.fetch(
        "SELECT name FROM agents WHERE presence = 'online' ORDER BY name FOR UPDATE SKIP LOCKED"
    )
    return [row["name"] for row in rows]


async def change(
    connection: AsyncConnection, name: str, values: Mapping[str, Any], now: datetime
) -> None:
    """Some of presence, skills, capacity, teams and notify, of a row that is held."""
    sets = "".join(f", {column} = ${i}::{_COLUMNS[column]}" for i, column in enumerate(values, 3))
    await (await driver(connection)).execute(
        f"UPDATE agents SET changed_at = $2{sets} WHERE name = $1",  # noqa: S608 - our own names
        name,
        now,
        *values.values(),
    )


async def own_addresses(
    connection: AsyncConnection, names: Collection[str]
) -> dict[str, tuple[Notify, ...]]:
    """Where each of these wants to be reminded of their own cases; who did not say is not there."""
    if not any(names):
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT name, notify FROM agents WHERE name = ANY($1) AND notify <> '[]'", list(names)
    )
    return {row["name"]: tuple(map(Notify.model_validate, row["notify"])) for row in rows}


async def note_given(connection: AsyncConnection, names: Collection[str], now: datetime) -> None:
    """They got a case; who asked for one is there, without saying so."""
    await (await driver(connection)).execute(
        "UPDATE agents SET given_at = $2, presence = coalesce(presence, 'online') "
        "WHERE name = ANY($1)",
        sorted(names),
        now,
    )


async def loads(
    connection: AsyncConnection, policy: Policy, names: Collection[str]
) -> dict[str, float]:
    """What each has, by the policy's weights: only cases with a clock that runs count."""
    rows = await (await driver(connection)).fetch(
        "SELECT agent, channel, count(*) AS cases FROM cases WHERE agent = ANY($1) "
        "AND agent <> '' AND due_at < $2 AND state IN ('open', 'waiting_internal') "
        "GROUP BY agent, channel",
        list(names),
        FAR,
    )
    sums: dict[str, float] = defaultdict(float, dict.fromkeys(names, 0.0))
    for row in rows:
        sums[row["agent"]] += row["cases"] * policy.weight(row["channel"])
    return dict(sums)


def room_for(policy: Policy, load: float, capacity: int | None) -> tuple[str, ...]:
    """The channels whose cases still fit an agent with this load."""
    return tuple(c for c in CHANNELS if fits(load, policy.weight(c), capacity))
