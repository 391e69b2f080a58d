"""The agents' REST API: one file a resource."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from services.router.api import actions, cases, handoffs, inbox
from services.router.handlers import Handlers


def routers(handlers: Handlers) -> Sequence[APIRouter]:
    return tuple(part.routes(handlers) for part in (inbox, cases, actions, handoffs))
