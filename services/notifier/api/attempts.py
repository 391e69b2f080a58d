"""What became of deliveries, and once more: `/v1/subscriptions/{id}/attempts test replay replays`,
`/v1/deliveries/{id}`."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import attempts, letters, replaying, subscriptions
from services.notifier.api.once import Key, once
from services.notifier.attempts import Sent, Tried, webhook_id
from services.notifier.replaying import Replay
from services.notifier.subscriptions import Subscription
from shared.database import transaction
from shared.errors import Conflict
from shared.runtime import Runtime
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, page

Owner = Annotated[Caller, Depends(caller("integrator", "agent"))]
_MOST_IDS: Final = 500
_TEST_SECONDS: Final = 20.0  # the endpoint has 15
_LOOK_SECONDS: Final = 0.1


class Attempt(BaseModel):
    """One call. `took` in seconds; `status` null: no HTTP answer; `response` is cut at 16 kB."""

    delivery_id: UUID
    webhook_id: str
    type: str
    number: int
    at: datetime
    took: float
    status: int | None
    error: str
    response: str


class AttemptPage(BaseModel):
    items: list[Attempt]
    next_cursor: str | None


class DeliveryView(BaseModel):
    """`state`: pending, sending, sent, failed, or dropped when its event was erased."""

    id: UUID
    webhook_id: str
    subscription_id: UUID | None
    type: str
    state: str
    error: str
    attempts: int
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


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
    _add_attempts(router, runtime)
    _add_test(router, runtime)
    _add_replays(router, runtime)
    _add_deliveries(router, runtime)
    return router


def _add_attempts(router: APIRouter, runtime: Runtime) -> None:
    @router.get(
        "/subscriptions/{subscription_id}/attempts",
        response_model=AttemptPage,
        tags=["subscriptions"],
    )
    async def list_attempts(
        subscription_id: UUID,
        who: Owner,
        failed: bool = False,
        cursor: str = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Response:
        """The latest first; `failed=true` leaves out what was taken."""
        before = decode_cursor(cursor, tuple[datetime, UUID, int]) if cursor else None
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.find(connection, who, subscription_id, runtime.now())
            tried = await attempts.of_subscription(
                connection, found.id, before, limit + 1, failed=failed
            )
        last = tried[limit - 1] if len(tried) > limit else None
        following = encode_cursor(last.at, last.delivery_id, last.number) if last else None
        return Json(page([_attempt(each) for each in tried[:limit]], following))


def _add_test(router: APIRouter, runtime: Runtime) -> None:
    @router.post(
        "/subscriptions/{subscription_id}/test",
        response_model=Attempt,
        responses={202: {"description": "sent, and not answered yet", "model": DeliveryView}},
        tags=["subscriptions"],
    )
    async def test_subscription(subscription_id: UUID, who: Owner, request: Request) -> Response:
        """Sends `webhook.test`, once, to a disabled one too, and answers with what came back."""
        now = runtime.now()
        async with transaction(runtime.engine) as connection:
            found = await subscriptions.find(connection, who, subscription_id, now)
            id = await attempts.test(
                connection, found.id, now, runtime.settings.keep_events.timedelta()
            )
        until = time.monotonic() + _TEST_SECONDS
        while time.monotonic() < until and not request.app.state.stopping.is_set():
            async with transaction(runtime.engine) as connection:
                tried = await attempts.of_delivery(connection, id)
            if tried:
                return Json(_attempt(tried[0]))
            await asyncio.sleep(_LOOK_SECONDS)
        async with transaction(runtime.engine) as connection:
            return Json(_delivery(await attempts.find(connection, who, id, now)), status_code=202)


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


def _add_deliveries(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/deliveries/{delivery_id}", response_model=DeliveryView, tags=["deliveries"])
    async def show_delivery(delivery_id: str, who: Owner) -> Response:
        """By its id, or by the webhook-id that the endpoint saw."""
        id = attempts.delivery_id(delivery_id)
        async with transaction(runtime.engine) as connection:
            return Json(_delivery(await attempts.find(connection, who, id, runtime.now())))

    @router.get(
        "/deliveries/{delivery_id}/attempts", response_model=AttemptPage, tags=["deliveries"]
    )
    async def attempts_of_delivery(delivery_id: str, who: Owner) -> Response:
        """In order."""
        id = attempts.delivery_id(delivery_id)
        async with transaction(runtime.engine) as connection:
            found = await attempts.find(connection, who, id, runtime.now())
            tried = await attempts.of_delivery(connection, found.id)
        return Json(page([_attempt(each) for each in tried], None))

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
            return Json(_delivery(await attempts.find(connection, who, id, now)), status_code=202)

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


def _attempt(tried: Tried) -> dict[str, Any]:
    fields = {name: getattr(tried, name) for name in Attempt.model_fields if name != "webhook_id"}
    return {"webhook_id": webhook_id(tried.delivery_id), **fields}


def _delivery(found: Sent) -> dict[str, Any]:
    return {
        "id": found.id, "webhook_id": webhook_id(found.id), "subscription_id": found.subscription,
        "type": found.type, "state": found.state, "error": found.error,
        "attempts": found.attempts, "next_at": found.next_at, "created_at": found.created_at,
        "ended_at": found.ended_at,
    }  # fmt: skip


def _replay(replay: Replay) -> dict[str, Any]:
    return {
        "id": replay.id, "from": replay.from_at, "to": replay.to_at, "planned": replay.planned,
        "created_at": replay.created_at, "done_at": replay.done_at,
    }  # fmt: skip
