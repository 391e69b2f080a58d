"""`/v1/targets`: whom the policy notifies, and their signing secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import secrets
from services.notifier.api.once import Key, once
from shared.database import transaction
from shared.runtime import Runtime
from shared.security import Caller, caller
from shared.web import Json, page

Admin = Annotated[Caller, Depends(caller("admin"))]


class TargetView(BaseModel):
    """Somebody we notify. `rotated_at` null: its secret was never shown, so rotate it first.
    Until `previous_until` the secret before signs as well."""

    id: UUID
    kind: str
    address: str
    rotated_at: datetime | None
    previous_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str
    created_at: datetime


class TargetPage(BaseModel):
    items: list[TargetView]
    next_cursor: str | None


class NewSecret(TargetView):
    """`secret` is shown this once."""

    secret: str


def routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v1/targets", tags=["targets"])

    @router.get("", response_model=TargetPage)
    async def list_targets(who: Admin) -> Json:
        """Every target of the policy file, and every other that was ever notified."""
        async with transaction(runtime.engine) as connection:
            targets = await secrets.listing(connection)
        return Json(page(list(targets), None))

    @router.post("/{target_id}/rotate", response_model=NewSecret)
    async def rotate_secret(
        target_id: UUID, who: Admin, request: Request, _: Key = None
    ) -> Response:
        """A new signing secret. One that was shown before signs beside it for 24 hours."""

        async def work(connection: AsyncConnection) -> Response:
            target, secret = await secrets.rotate(connection, target_id, runtime.now())
            return Json({**_fields(target), "secret": secret})

        return await once(runtime, request, who, work)

    return router


def _fields(target: secrets.Target) -> dict[str, object]:
    return {name: getattr(target, name) for name in TargetView.model_fields}
