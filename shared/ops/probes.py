"""`/healthz`, `/readyz` and `/metrics`: for machines, not for people."""

from __future__ import annotations

import asyncio
import ipaddress
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from shared.errors import Forbidden, Unavailable
from shared.ops.health import Health
from shared.ops.metrics import Measures
from shared.security import Caller, identify
from shared.web import Json

_OUTAGE: Final = timedelta(hours=1)
_PATIENCE: Final = 2.0  # s
_FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


def routes(health: Health, measures: Measures) -> APIRouter:
    router = APIRouter(tags=["probes"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives. Restart it when this does not answer."""
        return {"status": "alive"}

    @router.get("/readyz", responses={503: {"description": "not ready; `reasons` say why"}})
    async def readyz(service: Annotated[str, Query(max_length=50)] = "") -> Response:
        """Whether to send work here; `service` asks for one room of the process alone. `stopped`
        is there when a group waits for a person."""
        reasons, stopped = await health.reasons(service), health.stopped(service)
        said = {"ready": not reasons, "reasons": reasons} | (
            {"stopped": stopped} if stopped else {}
        )
        return Json(said, 503 if reasons else 200)

    @router.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus' text format: open on this machine, for an operator's key elsewhere."""
        if not _is_local(request):
            await _operator(request)
        return Response(await measures.exposition(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _operator(request: Request) -> None:
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    who = await _known(request, key.strip() if kind.lower() == "bearer" else None)
    if not who.may("operator"):
        raise Forbidden("metrics are for a key of role operator, or for this machine itself")


async def _known(request: Request, key: str | None) -> Caller:
    """Who scraped within the hour still may while the database is away: the scrape tells of it."""
    asking = asyncio.ensure_future(identify(request, key))
    # Not cancelled when it is late: a database call that is broken off leaks its connection.
    done, _ = await asyncio.wait({asking}, timeout=_PATIENCE)
    try:
        if done:
            return asking.result()
        asking.add_done_callback(lambda late: late.cancelled() or late.exception())
    except Unavailable:
        pass
    return await identify(request, key, fresh=_OUTAGE)


def _is_local(request: Request) -> bool:
    """Asked from this machine, and not by a proxy on it for someone else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
