"""Once more: `/v1/subscriptions/{id}/replay replays`, `/v1/deliveries/{id}/replay`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import attempts, letters, replaying, subscriptions
from services.notifier.api.attempts import DeliveryView, Owner, delivery_view
from services.notifier.api.once import Key, once
from services.notifier.attempts import webhook_id
from services.notifier.replaying import Replay
from services.notifier.subscriptions import Subscription
from shared.database import transaction
from shared.errors import Conflict
from shared.runtime import Runtime
from shared.security import Caller
from shared.web import Json, page

_MOST_IDS: Final = 500


class Wanted(BaseModel):
    """`ids`: these deliveries, by id or webhook-id. `from`, `to`: every event of that time,
    whatever became of it. Neither: all that failed, or was missed while it was disabled."""

    ids: Annotated[list[str], Field(min_length=1, max_length=_MOST_IDS)] | None = None
    from_: Annotated[datetime | None, Field(alias="from")] = None
    to: datetime | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Wanted:
        if self.ids and (self.from_ or self.to):
            raise ValueError("name ids, or a span of time, not both")
        if self.to and not self.from_:
            raise ValueError("a span of time begins with `from`")
        if any(at is not None and at.tzinfo is None for at in (self.from_, self.to)):
            raise ValueError("times bear a zone: 2026-11-17T09:00:00Z")
        return self


class ReplayView(BaseModel):
    """`planned`: deliveries so far; `done_at` null: it goes on."""

    id: UUID
    from_: Annotated[datetime | None, Field(alias="from")]
    to: datetime | None
    planned: int
    created_at: datetime
    done_at: datetime | None


class ReplayPage(BaseModel):
    items: list[ReplayView]
    next_cursor: str | None


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1")
    _add_replays(router, runtime)
    _add_one(router, runtime)
    return router


def _add_replays(router: APIRouter, runtime: Runtime) -> None:
    @router.post(
        "/subscriptions/{subscription_id}/replay",
        status_code=202,
        response_model=ReplayView,
        tags=["subscriptions"],
    )
    async def replay(
        subscription_id: UUID,
        who: Owner,
        request: Request,
        body: Wanted | None = None,
        _: Key = None,
    ) -> Response:
        """Once more, under the ids they had. What the feed keeps no longer cannot be sent."""

        async def work(connection: AsyncConnection) -> Response:
            found = await subscriptions.find(connection, who, subscription_id, runtime.now())
            _must_be_enabled(found)
            begun = await _begin(connection, who, found, body or Wanted(), runtime)
            return Json(begun, status_code=202)

        return await once(runtime, request, who, work)

    @router.get(
        "/subscriptions/{subscription_id}/replays",
        response_model=ReplayPage,
        tags=["subscriptions"],
    )
    async def list_replays(subscription_id: UUID, who: Owner) -> Response:
        """The last hundred, the latest first."""
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.find(connection, who, subscription_id, runtime.now())
            replays = await replaying.listing(connection, found.id)
        return Json(page([_replay(each) for each in replays], None))


def _add_one(router: APIRouter, runtime: Runtime) -> None:
    @router.post(
        "/deliveries/{delivery_id}/replay",
        status_code=202,
        response_model=DeliveryView,
        tags=["deliveries"],
    )
    async def replay_delivery(
        delivery_id: str, who: Owner, request: Request, _: Key = None
    ) -> Response:
        """Once more, from the first try, under the same webhook-id."""
        id, now = attempts.delivery_id(delivery_id), runtime.now()

        async def work(connection: AsyncConnection) -> Response:
            found = await attempts.find(connection, who, id, now)
            if found.subscription is None:
                await letters.replay(connection, id, now)
                await replaying.settle(connection, id, who.actor, now)
            else:
                owned = await subscriptions.find(connection, who, found.subscription, now)
                _must_be_enabled(owned)
                await _again(connection, owned, [id], runtime)
            return Json(
                delivery_view(await attempts.find(connection, who, id, now)), status_code=202
            )

        return await once(runtime, request, who, work)


async def _begin(
    connection: AsyncConnection, who: Caller, found: Subscription, wanted: Wanted, runtime: Runtime
) -> dict[str, Any]:
    now = runtime.now()
    if wanted.ids:
        ids = [attempts.delivery_id(each) for each in wanted.ids]
        planned = await _again(connection, found, ids, runtime)
        return _replay(Replay(found.id, None, None, planned, now, now))
    if wanted.from_:
        to = wanted.to or now
        return _replay(await replaying.span(connection, found.id, wanted.from_, to, now))
    return _replay(await replaying.missing(connection, found, who.actor, now))


async def _again(
    connection: AsyncConnection, found: Subscription, ids: list[UUID], runtime: Runtime
) -> int:
    """Raises Conflict when one of them cannot be, and then replays none."""
    replayed = await replaying.again(
        connection, ids, found.target, runtime.now(), runtime.settings.keep_events.timedelta()
    )
    left = [webhook_id(id) for id in ids if id not in replayed]
    if left:
        raise Conflict(
            f"{', '.join(left[:5])}: not a delivery of this subscription, on its way already, or "
            "its event is kept no longer",
            name="not-replayable",
            ids=left,
        )
    return len(replayed)


def _must_be_enabled(found: Subscription) -> None:
    if not found.enabled:
        raise Conflict(
            'the subscription is disabled: PATCH it with {"enabled": true} first',
            name="subscription-disabled",
        )


def _replay(replay: Replay) -> dict[str, Any]:
    return {
        "id": replay.id, "from": replay.from_at, "to": replay.to_at, "planned": replay.planned,
        "created_at": replay.created_at, "done_at": replay.done_at,
    }  # fmt: skip
