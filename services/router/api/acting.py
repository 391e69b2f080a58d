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
from services.router.case import Case
from services.router.commands import Command
from services.router.decide import Decided
from services.router.handlers import Handlers
from shared import idempotency
from shared.database import transaction
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
    key = request.headers.get("idempotency-key")
    print_ = idempotency.fingerprint(await request.body())
    place = (who.key_id, f"{request.method} {request.url.path}")
    policies = handlers.policies  # asked late: the command itself may bring another in force
    async with transaction(handlers.runtime.engine) as connection:
        # Before any lock is waited for: what comes in meanwhile the agent has not seen.
        arrived = await connection.scalar(_VERSION, {"id": case_id}) or 0
        if key is not None:
            before = await idempotency.begin(connection, key, *place, print_)
            if before is not None:
                return before.response()
        seen = if_match(request.headers.get("if-match"))

        def choose(case: Case) -> Command:
            if action.scoped:
                views.check_writes(who, case, policies.current)
            if action.versioned:
                _check_version(case, seen, who)
            return action.make(case, arrived)

        try:
            decided = await (action.carry or handlers.on_command)(connection, case_id, choose)
        except PreconditionFailed as error:
            error.extra["messages"] = await _messages_since(connection, case_id, seen or 0)
            raise
        seer = who if action.scoped else None
        item = await views.one(connection, case_id, handlers, seer)
        response = _response(action, action.render, decided.case, item)
        if action.scoped is False and not views.may_see(who, item.team, policies.current):
            response = Json({"id": case_id}, action.status)
        if key is not None:
            kept = response
            if action.stored is not None:
                kept = _response(action, action.stored, decided.case, item)
            await idempotency.finish(connection, key, *place, print_, kept)
    handlers.runtime.written.set()
    return response


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
