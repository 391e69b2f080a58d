"""What became of deliveries: `/v1/subscriptions/{id}/attempts test`, `/v1/deliveries/{id}`."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from services.notifier import attempts, subscriptions
from services.notifier.attempts import Sent, Tried, webhook_id
from shared.database import transaction
from shared.runtime import Runtime
from shared.security import Caller, caller
from shared.web import Json, decode_cursor, encode_cursor, page

Owner = Annotated[Caller, Depends(caller("integrator", "agent"))]
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
    """`state`: pending, sending, sent, failed, or dropped: its event was erased, or the key may not
    read it."""

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


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1")
    _add_attempts(router, runtime)
    _add_test(router, runtime)
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
            waiting = await attempts.find(connection, who, id, now)
        return Json(delivery_view(waiting), status_code=202)


def _add_deliveries(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/deliveries/{delivery_id}", response_model=DeliveryView, tags=["deliveries"])
    async def show_delivery(delivery_id: str, who: Owner) -> Response:
        """By its id, or by the webhook-id that the endpoint saw."""
        id = attempts.delivery_id(delivery_id)
        async with transaction(runtime.engine) as connection:
            return Json(delivery_view(await attempts.find(connection, who, id, runtime.now())))

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


def _attempt(tried: Tried) -> dict[str, Any]:
    fields = {name: getattr(tried, name) for name in Attempt.model_fields if name != "webhook_id"}
    return {"webhook_id": webhook_id(tried.delivery_id), **fields}


def delivery_view(found: Sent) -> dict[str, Any]:
    return {
        "id": found.id, "webhook_id": webhook_id(found.id), "subscription_id": found.subscription,
        "type": found.type, "state": found.state, "error": found.error,
        "attempts": found.attempts, "next_at": found.next_at, "created_at": found.created_at,
        "ended_at": found.ended_at,
    }  # fmt: skip
