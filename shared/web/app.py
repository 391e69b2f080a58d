"""The HTTP application: all rooms' routers behind one edge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, FastAPI

from shared.runtime import Runtime
from shared.security import KeyRing
from shared.web import problems
from shared.web.edge import Edge


def make_app(
    runtime: Runtime,
    routers: Iterable[APIRouter],
    *,
    ready: asyncio.Event | None = None,
    stopping: asyncio.Event | None = None,
) -> FastAPI:
    """What dependencies and routes find in `app.state`: `runtime`, `keys`, and `stopping`, which
    a long poll also waits for.

    ready  until it is set, all but the probes and the operator's routes answer 503
    """
    app = FastAPI(
        title="Regie",
        version=_version(),
        summary="Every request reaches the team that can answer, with its reply deadline.",
        # The pages FastAPI offers here load scripts from elsewhere; /openapi.json stays.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.RESPONSES,
    )
    app.state.runtime = runtime
    app.state.keys = KeyRing(runtime.engine, runtime.settings.admin_key, runtime.now)
    app.state.stopping = stopping or asyncio.Event()
    for router in routers:
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Edge, ready=ready)
    return app


def _version() -> str:
    try:
        return version("regie")
    except PackageNotFoundError:
        return "0"
