"""The rights of the person: everything held of them, and its erasure after a delay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import StreamingResponse

from services.router import customers
from services.router.api import views
from services.router.api.customer_views import unknown
from services.router.api.once import once
from services.router.handlers import Handlers
from services.router.rights import asking, letters, scope
from services.router.rights.erasing import log_forgets
from services.router.rights.exporting import Export, chunks
from services.router.rights.letters import Found
from services.router.rights.scope import Scope
from shared import ledger
from shared.database import transaction
from shared.errors import Forbidden
from shared.security import Caller, caller
from shared.web import Json

Supervisor = Annotated[Caller, Depends(caller("supervisor"))]
Admin = Annotated[Caller, Depends(caller("admin"))]
Ask = Annotated[str, Query(min_length=1, max_length=1000)]

_TEAMS: Final = text("SELECT DISTINCT team FROM cases WHERE id = ANY(:ids)")
_ROWS: Final = (
    "the record with its addresses, its cases' messages, notes, results, promises' and handoffs' "
    "words, what was delivered and tried, dead letters, and what waits to be sent"
)
_FILES: Final = "attachments, raw items and long texts, but those that others sent too"
_LOG: Final = "the log keeps what it holds until then; whoever reads it drops what was erased"
_BACKUPS: Final = (
    "when you delete them; after restoring one, `regie erasures apply` before the start erases "
    "again"
)


class Going(BaseModel):
    """One kind of thing, and when it goes; null: no time of ours."""

    what: str
    at: datetime | None
    words: str


class ErasureView(BaseModel):
    """A request to erase a person.

    state  waiting (it can be withdrawn), done, withdrawn
    goes   what goes when; numbers of reports stay as they are
    """

    id: UUID
    customer: UUID
    state: str
    by: str
    reason: str
    asked_at: datetime
    due_at: datetime
    done_at: datetime | None
    withdrawn_at: datetime | None
    goes: list[Going]


class Rights:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._runtime = handlers.runtime

    async def ask(self, connection: AsyncConnection, who: Caller, id: UUID, why: str) -> Response:
        policy = await self._handlers.policies.in_force(connection)
        now = self._runtime.now()
        due = policy.retention.erasure_delay.after(now)
        row = await asking.ask(connection, id, who.actor, why, now, due)
        return self._told(row, 202)

    async def keep(self, connection: AsyncConnection, who: Caller, id: UUID) -> Response:
        return self._told(await asking.keep(connection, id, who.actor, self._runtime.now()))

    async def state(self, id: UUID) -> Response:
        async with transaction(self._runtime.engine) as connection:
            return self._told(await asking.latest(connection, id))

    def _told(self, row: Any, status: int = 200) -> Response:
        state = "withdrawn" if row["withdrawn_at"] else "done" if row["done_at"] else "waiting"
        rows_at = row["done_at"] or row["due_at"]
        gone_at = row["log_gone_at"] or log_forgets(self._handlers, rows_at)
        goes = [
            Going(what="rows", at=rows_at, words=_ROWS),
            Going(what="files", at=rows_at, words=_FILES),
            Going(what="log", at=gone_at, words=_LOG),
            Going(what="backups", at=None, words=_BACKUPS),
        ]
        names = ("id", "by", "reason", "asked_at", "due_at", "done_at", "withdrawn_at")
        view = ErasureView(
            **{name: row[name] for name in names},
            customer=row["customer_id"],
            state=state,
            goes=[] if state == "withdrawn" else goes,
        )
        return Json(view.model_dump(), status)

    async def export(self, who: Caller, id: UUID, whole: bool) -> Response:
        """Written to a file first: nobody's slow line holds a transaction open."""
        held, found = await self._holdings(who, id)
        async with transaction(self._runtime.engine) as connection:
            export = Export(connection, self._runtime.blobs, held, found, whole)
            file = await export.write()
        kind, name = ("application/zip", "zip") if whole else ("application/json", "json")
        disposition = f'attachment; filename="customer-{id}.{name}"'
        return StreamingResponse(
            chunks(file), media_type=kind,
            headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
        )  # fmt: skip

    async def _holdings(self, who: Caller, id: UUID) -> tuple[Scope, list[Found]]:
        async with transaction(self._runtime.engine) as connection:
            policy = await self._handlers.policies.in_force(connection)
            standing = (await customers.roots(connection, [id])).get(id)
            if standing is None:
                raise unknown(id)
            held = await scope.find(connection, policy, self._handlers.own, standing)
            hidden = views.hidden_teams(who, policy)
            teams = await connection.execute(_TEAMS, {"ids": list(held.cases)})
            if not set(hidden).isdisjoint(teams.scalars()):
                raise Forbidden(
                    "some of it is with a confidential team, and your key does not see that: ask "
                    "a supervisor over all teams, so that the export is whole"
                )
            key = await ledger.key(connection)
        marks = held.marks(key, self._runtime.now())
        runtime = self._runtime
        return held, [each async for each in letters.find(runtime.engine, runtime.blobs, marks)]


def routes(handlers: Handlers) -> APIRouter:
    rights = Rights(handlers)
    router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["customers"])

    async def change(
        request: Request, who: Caller, work: Callable[[AsyncConnection], Awaitable[Response]]
    ) -> Response:
        return await once(handlers, request, who, work)

    @router.post(
        "/export",
        response_class=Response,
        responses={200: {"content": {"application/zip": {}, "application/json": {}}}},
    )
    async def export(customer_id: UUID, who: Supervisor, request: Request) -> Response:
        """Everything held of the person: a ZIP of `data.json` and the files, or with
        `Accept: application/json` the document alone."""
        wanted = request.headers.get("accept", "")
        return await rights.export(who, customer_id, "application/json" not in wanted)

    @router.delete("", status_code=202, response_model=ErasureView)
    async def erase(customer_id: UUID, who: Admin, request: Request, reason: Ask) -> Response:
        """Erases the person, and all records merged into theirs, once the policy's delay is over
        (`retention.erasure_delay`). The answer says what goes when; asked again, it says so again.
        """
        return await change(request, who, lambda c: rights.ask(c, who, customer_id, reason))

    @router.post("/keep", response_model=ErasureView)
    async def keep(customer_id: UUID, who: Admin, request: Request) -> Response:
        """Withdraws it, as long as it is waiting."""
        return await change(request, who, lambda c: rights.keep(c, who, customer_id))

    @router.get("/erasure", response_model=ErasureView)
    async def state(customer_id: UUID, who: Supervisor) -> Response:
        """The newest request to erase this person, and what became of it."""
        return await rights.state(customer_id)

    return router
