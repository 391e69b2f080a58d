"""`/v1/subscriptions`: webhooks out, by their owners."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import audience, endpoints, replaying, secrets, subscriptions
from services.notifier.api.once import Key, once
from services.notifier.subscriptions import Subscription
from shared.database import transaction
from shared.errors import Invalid
from shared.guard import Guard
from shared.runtime import Runtime
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, page

Owner = Annotated[Caller, Depends(caller("integrator", "agent"))]
_Url = Annotated[str, Field(max_length=2_000)]
_Events = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100)
]
_NO_KEY: Final = "its key was revoked or has expired: PATCH it with a key of the same owner"


class NewSubscription(BaseModel):
    """`events`: type names, `prefix.*`, or `*` for all."""

    url: _Url
    events: _Events


class Change(BaseModel):
    url: _Url | None = None
    events: _Events | None = None
    enabled: bool | None = None


class SubscriptionView(BaseModel):
    """`enabled` false: it gets nothing, for `disabled_reason`. `failing_since`: nothing but
    failures since then; after five days of it the subscription is disabled. `missed_after`: what
    the feed has after this cursor was not delivered; `POST …/replay` with `{}` sends it. Until
    `previous_until` the secret before signs as well."""

    id: UUID
    url: str
    events: list[str]
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str
    failing_since: datetime | None
    missed_after: str | None
    rotated_at: datetime | None
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime
    owner: str


class SubscriptionPage(BaseModel):
    items: list[SubscriptionView]
    next_cursor: str | None


class SubscriptionSecret(SubscriptionView):
    """`secret` is shown this once."""

    secret: str


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])
    guard = Guard.of(runtime.settings.allow_private_targets)
    _add_making(router, runtime, guard)
    _add_reading(router, runtime)
    _add_changing(router, runtime, guard)
    _add_rotating(router, runtime)
    return router


def _add_making(router: APIRouter, runtime: Runtime, guard: Guard) -> None:
    @router.post("", status_code=201, response_model=SubscriptionSecret)
    async def subscribe(
        who: Owner, request: Request, body: NewSubscription, _: Key = None
    ) -> Response:
        """From now on each of these events that your key may read is posted to the URL, signed
        (Standard Webhooks 1.0)."""
        url, events = endpoints.checked(body.url, guard), audience.checked(body.events)

        async def work(connection: AsyncConnection) -> Response:
            made, secret = await subscriptions.create(connection, who, url, events, runtime.now())
            return Json({**_shown(made), "secret": secret}, status_code=201)

        return await once(runtime, request, who, work)


def _add_reading(router: APIRouter, runtime: Runtime) -> None:
    @router.get("", response_model=SubscriptionPage)
    async def list_subscriptions(
        who: Owner, cursor: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Response:
        """Yours; an admin sees everybody's. The oldest first."""
        after = decode_cursor(cursor, tuple[UUID])[0] if cursor else None
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.listing(connection, who, after, limit + 1, runtime.now())
        following = encode_cursor(found[limit - 1].id) if len(found) > limit else None
        return Json(page([_shown(each) for each in found[:limit]], following))

    @router.get("/{subscription_id}", response_model=SubscriptionView)
    async def show_subscription(subscription_id: UUID, who: Owner) -> Response:
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.find(connection, who, subscription_id, runtime.now())
        return Json(_shown(found))


def _add_changing(router: APIRouter, runtime: Runtime, guard: Guard) -> None:
    @router.patch("/{subscription_id}", response_model=SubscriptionView)
    async def change_subscription(subscription_id: UUID, who: Owner, body: Change) -> Response:
        """What the body names. `enabled: true` ends whatever had disabled it; what it missed is
        sent by `POST …/replay`."""
        url = None if body.url is None else endpoints.checked(body.url, guard)
        events = None if body.events is None else audience.checked(body.events)
        now = runtime.now()
        async with transaction(runtime.engine) as connection:
            had = await subscriptions.find(connection, who, subscription_id, now)
            if had.keyless and who.role != "admin":
                await subscriptions.miss_since_key(connection, had.id)
            await subscriptions.change(
                connection, who, had.id, url or had.url, events or had.events, now
            )
            await _switch(connection, who, had, body.enabled, now)
            changed = await subscriptions.find(connection, who, subscription_id, now)
        return Json(_shown(changed))

    @router.delete("/{subscription_id}", status_code=204)
    async def unsubscribe(subscription_id: UUID, who: Owner) -> Response:
        """Nothing more is sent, not even what waits."""
        now = runtime.now()
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.find(connection, who, subscription_id, now)
            await subscriptions.remove(connection, found.id, now)
        return Response(status_code=204)


def _add_rotating(router: APIRouter, runtime: Runtime) -> None:
    @router.post("/{subscription_id}/rotate", response_model=SubscriptionSecret)
    async def rotate_secret(
        subscription_id: UUID, who: Owner, request: Request, _: Key = None
    ) -> Response:
        """A new secret. For 24 hours the one before signs beside it: two signatures."""
        now = runtime.now()

        async def work(connection: AsyncConnection) -> Response:
            found = await subscriptions.find(connection, who, subscription_id, now)
            target = await secrets.id_of(connection, found.target)
            _, secret = await secrets.rotate(connection, target, now)
            found = await subscriptions.find(connection, who, subscription_id, now)
            return Json({**_shown(found), "secret": secret})

        return await once(runtime, request, who, work)


async def _switch(
    connection: AsyncConnection, who: Caller, had: Subscription, enabled: bool | None, now: datetime
) -> None:
    if enabled and had.disabled_at is not None:
        await subscriptions.enable(connection, had.id)
        await replaying.settle(connection, had.id, who.actor, now)
    elif enabled is False and had.disabled_at is None:
        await subscriptions.disable(connection, had.id, f"switched off by {who.actor}", now)
    elif enabled and had.keyless and who.role == "admin":
        raise Invalid(_NO_KEY, name="key-gone")


def _shown(found: Subscription) -> dict[str, object]:
    missed = found.missed_from
    return {
        name: getattr(found, name)
        for name in SubscriptionView.model_fields
        if name not in ("missed_after", "disabled_reason")
    } | {
        "missed_after": None if missed is None else str(missed - 1),
        "disabled_reason": _NO_KEY if found.keyless else found.disabled_reason,
    }
