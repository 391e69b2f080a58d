"""A fake provider on a socket of this machine, for those who call it by `api_base`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.serving import address_of, listen
from tests.waiting import BOUND


@asynccontextmanager
async def serving(app: Any, *, dated: bool = True) -> AsyncIterator[str]:
    """Its address, while it is served there; its answers bear the time, unless it does that."""
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app, log_level="error", lifespan="off", date_header=dated, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address_of(listener)
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, BOUND)
        listener.close()
