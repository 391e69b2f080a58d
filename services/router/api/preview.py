"""Trying a policy's words: what would be sent, and nothing is sent by it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from services.router.api.actions import Body
from services.router.handlers import Handlers
from services.router.policy import Policy, PolicyError
from services.router.previewing import PreviewTarget, preview
from shared.errors import Invalid
from shared.notices import CUSTOMERS, KINDS
from shared.security import Caller, caller

Admin = Annotated[Caller, Depends(caller("admin"))]


class PreviewBody(Body):
    """`policy`: the text of another than the one in force, YAML or JSON."""

    kind: Annotated[
        str, Field(max_length=50, description=f"one of {', '.join((*KINDS, *CUSTOMERS))}")
    ]
    language: Annotated[str, Field(max_length=35, pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]+)*)?$")] = ""
    target: PreviewTarget = "email"
    policy: Annotated[str, Field(max_length=1_000_000)] = ""


class PreviewView(BaseModel):
    """With a made-up case. `target` is `customer` for what customers read; `headers` and `body`
    are the request that Slack, Teams or ntfy would get, else empty and null."""

    kind: str
    language: str
    target: str
    subject: str
    text: str
    headers: Mapping[str, str]
    body: Any


def routes(handlers: Handlers) -> APIRouter:
    router = APIRouter(prefix="/v1/policy", tags=["policy"])

    @router.post("/preview", response_model=PreviewView)
    async def preview_words(_: Admin, body: PreviewBody) -> Any:
        """What a notice of a kind would say in a language. Admins only: words name no addresses,
        but a policy does."""
        policy = handlers.policies.current
        if body.policy:
            async with handlers.policies.turns.turn():
                policy = await asyncio.to_thread(_read, body.policy)
        now = handlers.runtime.now()
        return asdict(preview(policy, body.kind, body.language, body.target, now))

    return router


def _read(source: str) -> Policy:
    try:
        return Policy.parse(source, "policy")
    except PolicyError as error:
        raise Invalid(f"this policy cannot rule: {error}", name="policy-invalid") from error
