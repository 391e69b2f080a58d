"""The notifier's REST API: one file a resource."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter

from services.notifier.api import attempts, events, replays, subscriptions, targets
from services.notifier.watch import Watch
from shared.runtime import Runtime


def routers(runtime: Runtime, watch: Watch) -> Sequence[APIRouter]:
    """`watch`: runs beside them, and tells those who wait that there is something new."""
    return (
        targets.routes(runtime),
        subscriptions.routes(runtime),
        attempts.routes(runtime),
        replays.routes(runtime),
        events.routes(runtime, watch),
    )
