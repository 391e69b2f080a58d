"""Customers: found by any identity, read in one call, corrected by hand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import customers, lookup, records
from services.router.api import customer_views, merges, views
from services.router.api.actions import Body
from services.router.api.customer_views import CustomerView
from services.router.api.once import once
from services.router.handlers import Handlers
from shared.channels.wire import text_at
from shared.database import transaction
from shared.errors import Conflict, NotFound, PreconditionFailed, PreconditionRequired
from shared.events import Identity
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, etag, if_match

Agent = Annotated[Caller, Depends(caller("agent"))]
Written = Annotated[str, Field(min_length=1, max_length=400)]


class CustomerBrief(BaseModel):
    """One line of a list; GET /v1/customers/{id} has the record."""

    id: UUID
    name: str
    language: str
    identities: list[str]
    open_cases: int


class CustomerPage(BaseModel):
    items: list[CustomerBrief]
    next_cursor: str | None


class SearchBody(Body):
    """Words that begin the name's, or the beginning of an identity's value."""

    q: Annotated[str, Field(min_length=2, max_length=200)]
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=2000)] | None = None


class Verified(Body):
    """How somebody made sure: `identity card at the desk`, `called back`."""

    how: Annotated[str, Field(min_length=1, max_length=1000)]


class NewIdentity(Body):
    """`scheme:value`. Without `verified` it is on record as said; one already there is verified."""

    identity: Written
    verified: Verified | None = None


class IdentityChanges(Body):
    add: Annotated[list[NewIdentity], Field(max_length=50)] = Field(default_factory=list)
    remove: Annotated[list[Written], Field(max_length=50)] = Field(default_factory=list)


class CustomerBody(Body):
    """What changes; the rest stays. `opted_out`: no survey is sent any more."""

    name: Annotated[str, Field(max_length=200)] | None = None
    language: Annotated[str, Field(pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")] | None = None
    opted_out: bool | None = None
    identities: IdentityChanges = Field(default_factory=IdentityChanges)


class Files:
    """The customers' records, as the caller may see them."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._engine = handlers.runtime.engine
        regions = (text_at(dict(a.settings), "region") for a in handlers.runtime.accounts)
        self._regions = tuple(dict.fromkeys(filter(None, regions)))

    async def find(self, who: Caller, typed: str) -> Response:
        wanted = lookup.read(typed, self._regions)
        async with transaction(self._engine) as connection:
            ids = await records.found(connection, wanted)
            if not ids:
                raise NotFound(
                    f"nobody is known by this{wanted.hint}; POST /v1/customers/search looks for "
                    "names and beginnings",
                    name="unknown-customer",
                )
            if len(ids) == 1:
                return await self._record(connection, who, ids[0])
            hidden = views.hidden_teams(who, self._handlers.policies.current)
            rows = await records.briefs(connection, ids[:200], hidden)
        return Json(CustomerPage(items=[_brief(r) for r in rows], next_cursor=None).model_dump())

    async def search(self, who: Caller, body: SearchBody) -> CustomerPage:
        after = decode_cursor(body.cursor, tuple[str, UUID]) if body.cursor else None
        hidden = views.hidden_teams(who, self._handlers.policies.current)
        async with transaction(self._engine) as connection:
            rows = await records.search(connection, body.q, hidden, after, body.limit + 1)
        shown = rows[: body.limit]
        last = shown[-1] if len(rows) > body.limit else None
        return CustomerPage(
            items=[_brief(row) for row in shown],
            next_cursor=encode_cursor(last["sorts"], last["id"]) if last else None,
        )

    async def read(self, who: Caller, id: UUID) -> Response:
        async with transaction(self._engine) as connection:
            return await self._record(connection, who, id)

    async def _record(self, connection: AsyncConnection, who: Caller, id: UUID) -> Response:
        standing = (await customers.roots(connection, [id])).get(id)
        if standing is None:
            raise customer_views.unknown(id)
        view = await customer_views.record(connection, self._handlers, who, standing, id)
        return Json(view.model_dump(), headers={"ETag": etag(view.version)})

    async def change(
        self, connection: AsyncConnection, who: Caller, id: UUID, body: CustomerBody, seen: int
    ) -> Response:
        """Identities first, then the customer's lock: the one order in which all take them."""
        standing = (await customers.roots(connection, [id])).get(id)
        if standing is None:
            raise customer_views.unknown(id)
        added = {self._identity(new.identity): new.verified for new in body.identities.add}
        await records.add_identities(connection, standing, added, who.actor)
        row = await records.lock(connection, standing)
        if row is None or row["erased_at"] is not None:
            raise customer_views.unknown(id)
        if row["version"] != seen:
            raise PreconditionFailed(
                f"the record is at version {row['version']}, you saw {seen}: read it again, then "
                "send your change with the new version",
                version=row["version"],
            )
        await _check_owners(connection, standing, added)
        how = {identity: v.how for identity, v in added.items() if v is not None}
        await records.verify(connection, standing, how, who.actor)
        gone = [lookup.identity(written, self._regions) for written in body.identities.remove]
        await records.remove_identities(connection, standing, gone)
        name = row["name"] if body.name is None else body.name.strip()
        language = row["language"] if body.language is None else body.language
        opted_out = row["opted_out"] if body.opted_out is None else body.opted_out
        await records.change(connection, standing, name, language, opted_out)
        return await self._record(connection, who, id)

    def _identity(self, written: str) -> Identity:
        identity = lookup.identity(written, self._regions)
        is_shared = self._handlers.policies.current.is_shared
        return lookup.of_a_person(identity, self._handlers.own, is_shared)


async def _check_owners(
    connection: AsyncConnection, customer: UUID, added: Collection[Identity]
) -> None:
    for identity, (owner, _) in (await records.owners(connection, added)).items():
        if owner != customer:
            raise Conflict(
                f"{identity} is customer {owner}'s: merge the two if they are one person "
                f"(POST /v1/customers/{customer}/merge), else remove it there first",
                name="identity-taken",
                customer=owner,
            )


def _brief(row: Any) -> CustomerBrief:
    return CustomerBrief(**{name: row[name] for name in CustomerBrief.model_fields})


def routes(handlers: Handlers) -> APIRouter:
    files = Files(handlers)
    router = APIRouter(prefix="/v1/customers", tags=["customers"])

    @router.get("", response_model=CustomerView | CustomerPage)
    async def find(
        who: Agent, identity: Annotated[str, Query(min_length=1, max_length=400)]
    ) -> Response:
        """Who this is: the one record, or a list where several fit; 404 `unknown-customer`.

        `scheme:value`, or the value alone: a mail address, a number with its country, a customer
        number, a resume code.
        """
        return await files.find(who, identity)

    @router.post("/search", response_model=CustomerPage)
    async def search(who: Agent, body: SearchBody) -> Any:
        """By name or beginning, in order of name. By POST, since what is typed is personal."""
        return await files.search(who, body)

    @router.get("/{customer_id}", response_model=CustomerView)
    async def read(customer_id: UUID, who: Agent) -> Response:
        """The record; of one that was merged, the record it went into. Its ETag is its version."""
        return await files.read(who, customer_id)

    @router.patch("/{customer_id}", response_model=CustomerView)
    async def change(
        customer_id: UUID, who: Agent, request: Request, body: CustomerBody
    ) -> Response:
        """Corrects name, language and identities; needs If-Match with the record's version."""
        seen = if_match(request.headers.get("if-match"))
        if seen is None:
            raise PreconditionRequired(
                'say which version of the record you saw: If-Match: "3" (its ETag)'
            )
        return await once(
            handlers, request, who, lambda c: files.change(c, who, customer_id, body, seen)
        )

    merges.add_routes(router, handlers)
    return router
