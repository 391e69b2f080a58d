"""Merging two customers by hand, undoing a merge, and ending a conflict that is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import conflicts, customers, merging, records
from services.router.api.actions import Body
from services.router.api.customer_views import unknown
from services.router.api.once import once
from services.router.handlers import Handlers
from services.router.unmerging import unmerge
from shared.database import transaction
from shared.errors import NotFound
from shared.security import Caller, caller
from shared.web import Json

Agent = Annotated[Caller, Depends(caller("agent"))]
Supervisor = Annotated[Caller, Depends(caller("supervisor"))]


class MergeBody(Body):
    """`other` goes into the customer of the path."""

    other: UUID
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class UnmergeBody(Body):
    merge: UUID


class DismissBody(Body):
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class MergeView(BaseModel):
    """`reason`: a person's words, `proven identities` or `resume code`."""

    id: UUID
    winner: UUID
    loser: UUID
    reason: str
    by: str
    at: datetime
    undone_at: datetime | None
    undone_by: str | None


class MergeList(BaseModel):
    items: list[MergeView]
    next_cursor: None = None


class MergeDone(BaseModel):
    """`cases`: those that changed hands."""

    merge: UUID
    winner: UUID
    loser: UUID
    cases: list[UUID]


class Left(BaseModel):
    """What stays with the winner: identities no longer theirs to give, and cases opened since by
    who goes back."""

    identities: list[str]
    cases: list[UUID]


class UnmergeDone(MergeDone):
    identities: list[str]
    left: Left


@dataclass(frozen=True)
class Merging:
    """The changes themselves, each in the transaction of `once`."""

    handlers: Handlers
    who: Caller
    customer: UUID

    async def standing(self, connection: AsyncConnection) -> UUID:
        found = await customers.roots(connection, [self.customer])
        if self.customer not in found:
            raise unknown(self.customer)
        return found[self.customer]

    async def list(self, connection: AsyncConnection) -> MergeList:
        rows = await records.merges(connection, await self.standing(connection))
        return MergeList(
            items=[MergeView(**{**row, "undone_by": row["undone_by"] or None}) for row in rows]
        )

    async def merge(self, connection: AsyncConnection, body: MergeBody) -> Response:
        desk = await self.handlers.desk(connection)
        done = await merging.merge(desk, self.customer, body.other, body.reason, self.who.actor)
        await desk.save()
        view = MergeDone(merge=done.id, winner=done.winner, loser=done.loser, cases=[*done.cases])
        return Json(view.model_dump())

    async def unmerge(self, connection: AsyncConnection, body: UnmergeBody) -> Response:
        desk = await self.handlers.desk(connection)
        done = await unmerge(desk, body.merge, self.who.actor, self.customer)
        await desk.save()
        view = UnmergeDone(
            merge=done.merge,
            winner=done.winner,
            loser=done.loser,
            cases=[*done.cases],
            identities=[*done.identities],
            left=Left(identities=[*done.left_identities], cases=[*done.left_cases]),
        )
        return Json(view.model_dump())

    async def dismiss(
        self, connection: AsyncConnection, conflict: UUID, body: DismissBody
    ) -> Response:
        standing = await self.standing(connection)
        if await records.conflict_of(connection, standing, conflict) is None:
            raise NotFound(f"this customer has no open conflict {conflict}: read the record")
        now = self.handlers.runtime.now()
        await conflicts.dismiss(connection, conflict, self.who.actor, body.reason, now)
        return Response(status_code=204)


def add_routes(router: APIRouter, handlers: Handlers) -> None:
    """Beside those of the customers."""

    @router.get("/{customer_id}/merges", response_model=MergeList)
    async def list_merges(customer_id: UUID, who: Agent) -> MergeList:
        """What was merged into this record, and out of it again; newest first."""
        async with transaction(handlers.runtime.engine) as connection:
            return await Merging(handlers, who, customer_id).list(connection)

    @router.post("/{customer_id}/merge", response_model=MergeDone)
    async def merge_customers(
        customer_id: UUID, who: Agent, request: Request, body: MergeBody
    ) -> Response:
        """The two are one person; the record of the path stays. Any agent may: the record is no
        team's, and a supervisor can undo it."""
        work = Merging(handlers, who, customer_id)
        return await once(handlers, request, who, lambda c: work.merge(c, body))

    @router.post("/{customer_id}/unmerge", response_model=UnmergeDone)
    async def unmerge_customers(
        customer_id: UUID, who: Supervisor, request: Request, body: UnmergeBody
    ) -> Response:
        """Takes a merge back: each has what was theirs before. What came since stays, and is named
        under `left`. 409 `merged-since` names a later merge (`merge`) to be undone first."""
        work = Merging(handlers, who, customer_id)
        return await once(handlers, request, who, lambda c: work.unmerge(c, body))

    @router.post("/{customer_id}/conflicts/{conflict_id}/dismiss", status_code=204)
    async def dismiss(
        customer_id: UUID, conflict_id: UUID, who: Agent, request: Request, body: DismissBody
    ) -> Response:
        """Nothing is to be done about it; it is not shown again, on neither record."""
        work = Merging(handlers, who, customer_id)
        return await once(handlers, request, who, lambda c: work.dismiss(c, conflict_id, body))
