"""The HTTP server: uvicorn, whose signals and logs are ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

_IDLE: Final = 65  # s; longer than the usual 60 s of a load balancer, which then closes first
GRACE: Final = 5  # s for requests that are under way when the process stops


class Server(uvicorn.Server):
    """Ends when `should_exit` is set; the process's own signals say when."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                server_header=False,
                http="httptools",
                ws="none",
                timeout_keep_alive=_IDLE,
                timeout_graceful_shutdown=GRACE,
                # Behind a proxy nothing depends on the caller's address or scheme.
                proxy_headers=False,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_on(self, listener: socket.socket) -> None:
        await self.serve(sockets=[listener])
