"""The agents: presence, which is their own to say; skills, capacity and teams, a supervisor's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import agents
from services.router.agents import Presence, Profile
from services.router.api.actions import Body
from services.router.api.own_addresses import own_notify
from services.router.handlers import Handlers
from services.router.policy import Policy
from shared.database import transaction
from shared.errors import Forbidden, Invalid, NotFound
from shared.guard import Guard
from shared.security import Caller, caller
from shared.web import decode_cursor, encode_cursor
from shared.yamlfile import nearest

Agent = Annotated[Caller, Depends(caller("agent"))]
Name = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$", description="or `me`")]
_OWN: Final = frozenset(("presence", "notify"))  # what is an agent's own to say
Word = Annotated[str, Field(min_length=1, max_length=200)]


class AgentBody(Body):
    """What changes; the rest stays. `capacity` null: the team's; `teams` empty: as the keys say.
    `notify` are entries as in the policy: where reminders of their own cases go, too."""

    presence: Presence = "online"
    skills: Annotated[list[Word], Field(max_length=200)] = Field(default_factory=list)
    capacity: Annotated[int, Field(ge=0, le=10_000)] | None = None
    teams: Annotated[list[Word], Field(max_length=200)] = Field(default_factory=list)
    notify: Annotated[list[dict[str, Any]], Field(max_length=5)] = Field(default_factory=list)


class AgentItem(BaseModel):
    """One agent.

    capacity  what they may have at most, in the policy's weights; null: what the team lets them
    teams     whose work they are given
    load      the weights of their cases whose clock runs
    notify    where they are reminded of their own cases; null: theirs and an admin's to see
    """

    name: str
    presence: Presence
    skills: list[str]
    capacity: int | None
    teams: list[str]
    load: float
    given_at: datetime | None
    notify: list[dict[str, Any]] | None


class AgentPage(BaseModel):
    items: list[AgentItem]
    next_cursor: str | None


class Agents:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._engine = handlers.runtime.engine
        self._allowed = Guard.of(handlers.runtime.settings.allow_private_targets)

    async def page(self, who: Caller, cursor: str | None, limit: int) -> AgentPage:
        after = decode_cursor(cursor, tuple[str])[0] if cursor else ""
        after = after.replace("\x00", "")  # of a forged one: no text in the database has it
        now = self._handlers.runtime.now()
        async with transaction(self._engine) as connection:
            found = await agents.page(connection, now, after, limit + 1)
            shown = await self._items(connection, who, found[:limit])
        more = len(found) > limit
        return AgentPage(items=shown, next_cursor=encode_cursor(shown[-1].name) if more else None)

    async def one(self, who: Caller, name: str) -> AgentItem:
        async with transaction(self._engine) as connection:
            profile = await self._find(connection, who, name)
            if profile is None:
                raise _unknown(name)
            return (await self._items(connection, who, [profile]))[0]

    async def change(self, who: Caller, name: str, body: AgentBody) -> AgentItem:
        name = who.actor if name == "me" else name
        policy = self._handlers.policies.current
        _check_own(who, name, body)
        _check_words(body, policy)
        values = body.model_dump(include=body.model_fields_set)
        if "notify" in values:
            values["notify"] = own_notify(body.notify, self._allowed)
        now = self._handlers.runtime.now()
        async with transaction(self._engine) as connection:
            before = await self._find(connection, who, name)
            if name != who.actor or body.model_fields_set - _OWN:
                _check_scope(who, before or Profile(name), body, policy)
            await agents.seize(connection, name)
            await agents.change(connection, name, values, now)
            after = await self._find(connection, who, name)
            return (await self._items(connection, who, [after or Profile(name)]))[0]

    async def _find(self, connection: AsyncConnection, who: Caller, name: str) -> Profile | None:
        """By a row or a key; the caller is always there, also without either."""
        name = who.actor if name == "me" else name
        found = await agents.named(connection, self._handlers.runtime.now(), [name])
        profile = found.get(name)
        if name != who.actor:
            return profile
        own = profile or Profile(name)
        if own.keyed or own.everywhere:
            return own
        return replace(own, keyed=tuple(sorted(who.teams)), everywhere=not who.teams)

    async def _items(
        self, connection: AsyncConnection, who: Caller, profiles: Sequence[Profile]
    ) -> list[AgentItem]:
        policy = self._handlers.policies.current
        loads = await agents.loads(connection, policy, [profile.name for profile in profiles])
        return [_item(who, profile, loads[profile.name], policy) for profile in profiles]


def _item(who: Caller, profile: Profile, load: float, policy: Policy) -> AgentItem:
    sees = profile.name == who.actor or who.may("admin")  # an address is a secret to write to
    return AgentItem(
        name=profile.name,
        presence=profile.presence or "away",
        skills=list(profile.skills),
        capacity=profile.capacity,
        teams=profile.teams_in(policy),
        load=load,
        given_at=profile.given_at,
        notify=[dict(each) for each in profile.notify] if sees else None,
    )


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no agent {name}: `regie keys create --role agent --agent {name}` makes one"
    )


def _check_own(who: Caller, name: str, body: AgentBody) -> None:
    if who.may("supervisor"):
        return
    if name != who.actor:
        raise Forbidden(f"only {name} or a supervisor may change this: you are {who.actor}")
    if others := sorted(body.model_fields_set - _OWN):
        raise Forbidden(
            f"{' and '.join(others)}: a supervisor's to set; your own presence and notify you may "
            "change"
        )


def _check_words(body: AgentBody, policy: Policy) -> None:
    for what, given, known in (
        ("skill", body.skills, _skills(policy)),
        ("team", body.teams, set(policy.teams)),
    ):
        if wrong := [word for word in given if word not in known]:
            raise Invalid(
                f"unknown {what} `{wrong[0]}`: {nearest(wrong[0], known)}", name=f"unknown-{what}"
            )


def _skills(policy: Policy) -> set[str]:
    """Those the teams list, and those the routing asks for: a team need not list its own."""
    listed = {skill for team in policy.teams.values() for skill in team.skills}
    return listed.union(*(step.skills for steps in policy.steps.values() for step in steps))


def _check_scope(who: Caller, before: Profile, body: AgentBody, policy: Policy) -> None:
    """A supervisor of some teams changes who works for one of them, and moves people only
    between those."""
    if not who.teams or who.role == "admin":
        return
    teams = tuple(body.teams) if "teams" in body.model_fields_set else before.teams
    was, will_be = set(before.teams_in(policy)), set(replace(before, teams=teams).teams_in(policy))
    if not (was | will_be) & who.teams or (was ^ will_be) - who.teams:
        raise Forbidden(
            f"{before.name} works for {', '.join(sorted(was)) or 'no team yet'}; "
            f"your key is for {', '.join(sorted(who.teams))}: ask a supervisor of the others"
        )


def routes(handlers: Handlers) -> APIRouter:
    found = Agents(handlers)
    router = APIRouter(prefix="/v1/agents", tags=["agents"])

    @router.get("", response_model=AgentPage)
    async def list_agents(
        who: Agent, cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 100
    ) -> Any:
        """Everybody with a live key or a row of their own, by name."""
        return await found.page(who, cursor, limit)

    @router.get("/{name}", response_model=AgentItem)
    async def one(name: Name, who: Agent) -> Any:
        """One agent; `me` is the caller."""
        return await found.one(who, name)

    @router.patch("/{name}", response_model=AgentItem)
    @router.put("/{name}", response_model=AgentItem)
    async def change(name: Name, who: Agent, body: AgentBody) -> Any:
        """Changes what the body names. Presence and `notify` are one's own to change, or a
        supervisor's; skills, capacity and teams are a supervisor's. `me` is the caller.
        """
        return await found.change(who, name, body)

    return router
