"""The agents' REST API: one file a resource."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from services.router.api import (
    actions,
    agents,
    attachments,
    cases,
    customers,
    dry_run,
    files,
    handoffs,
    inbox,
    opening,
    partners,
    policy,
    preview,
    promises,
    reports,
    results,
    rights,
    split,
    thawing,
)
from services.router.handlers import Handlers


def routers(handlers: Handlers) -> Sequence[APIRouter]:
    return tuple(
        part.routes(handlers)
        for part in (
            inbox,
            cases,
            customers,
            opening,
            split,
            actions,
            attachments,
            files,
            handoffs,
            partners,
            agents,
            policy,
            dry_run,
            preview,
            promises,
            reports,
            results,
            rights,
            thawing,
        )
    )
