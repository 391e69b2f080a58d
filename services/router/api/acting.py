"""Changing a case over HTTP: scope, version, idempotency, one transaction, one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from services.router.api import views
from services.router.api.once import Answer, once
from services.router.case import Case
from services.router.commands import Command
from services.router.decide import Decided
from services.router.handlers import Handlers
from shared.errors import PreconditionFailed, PreconditionRequired
from shared.security import Caller
from shared.web import Json, etag, if_match

Make = Callable[[Case, int], Command]  # (the case, the version committed as the request came)
Render = Callable[[Case, views.Item], Any]
Carry = Callable[[AsyncConnection, UUID, Callable[[Case], Command]], Awaitable[Decided]]

_VERSION: Final = text("SELECT version FROM cases WHERE id = :id")
_SINCE: Final = text(
    "SELECT messages.id, direction, kind, author, messages.text, occurred_at FROM case_events "
    "JOIN messages ON messages.id = (case_events.data ->> 'message_id')::uuid "
    "WHERE case_events.case_id = :id AND case_events.version > :version "
    "AND type IN ('message.added', 'reply.requested', 'reply.recorded') "
    "ORDER BY case_events.seq LIMIT 50"
)


@dataclass(frozen=True)
class Action:
    """One kind of change.

    versioned  needs If-Match, unless the caller holds the claim
    scoped     only by the team that has the case
    stored     what an idempotent repeat is answered with, where it differs from the answer
    carry      who carries it out, where it concerns another case as well
    """

    make: Make
    versioned: bool
    status: int = 200
    render: Render | None = None
    stored: Render | None = None
    scoped: bool = True
    carry: Carry | None = None


async def act(
    handlers: Handlers, request: Request, who: Caller, case_id: UUID, action: Action
) -> Response:
    """Carries the action out and answers with the case, its version as ETag."""
    seen = if_match(request.headers.get("if-match"))
    return await once(handlers, request, who, _Acting(handlers, who, case_id, action, seen).carry)


@dataclass
class _Acting:
    """One request.

    seen     the version the caller names
    arrived  the version committed as the request came, which a repeat does not change
    """

    handlers: Handlers
    who: Caller
    case_id: UUID
    action: Action
    seen: int | None
    arrived: int | None = None

    async def carry(self, connection: AsyncConnection) -> Answer:
        if self.arrived is None:
            # Before any lock is waited for: what comes in meanwhile the agent has not seen.
            self.arrived = await connection.scalar(_VERSION, {"id": self.case_id}) or 0
        carry = self.action.carry or self.handlers.on_command
        try:
            decided = await carry(connection, self.case_id, self._choose)
        except PreconditionFailed as error:
            since = await _messages_since(connection, self.case_id, self.seen or 0)
            error.extra["messages"] = since
            raise
        return await self._answer(connection, decided.case)

    def _choose(self, case: Case) -> Command:
        # The policy is asked late: the command itself may bring another in force.
        if self.action.scoped:
            views.check_writes(self.who, case, self.handlers.policies.current)
        if self.action.versioned:
            _check_version(case, self.seen, self.who)
        return self.action.make(case, self.arrived or 0)

    async def _answer(self, connection: AsyncConnection, case: Case) -> Answer:
        action, policy = self.action, self.handlers.policies.current
        seer = self.who if action.scoped else None
        item = await views.one(connection, self.case_id, self.handlers, seer)
        first = _response(action, action.render, case, item)
        if not action.scoped and not views.may_see(self.who, item.team, policy):
            first = Json({"id": self.case_id}, action.status)
        if action.stored is None:
            return Answer(first, first)
        return Answer(first, _response(action, action.stored, case, item))


def _response(action: Action, render: Render | None, case: Case, item: views.Item) -> Response:
    content = render(case, item) if render else item.model_dump()
    return Json(content, action.status, {"ETag": etag(item.version)})


def _check_version(case: Case, seen: int | None, who: Caller) -> None:
    if seen is None and case.agent == who.actor:
        return
    if seen is None:
        raise PreconditionRequired(
            f'claim the case first, or say which version you saw: If-Match: "{case.version}"',
            version=case.version,
        )
    if seen != case.version:
        raise PreconditionFailed(
            f"the case is at version {case.version}, you saw {seen}: read what came since, "
            "then send again with the new version",
            version=case.version,
        )


async def _messages_since(
    connection: AsyncConnection, case_id: UUID, version: int
) -> list[dict[str, Any]]:
    rows = await connection.execute(_SINCE, {"id": case_id, "version": version})
    return [dict(row) for row in rows.mappings()]
