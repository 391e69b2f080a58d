"""`regie serve` as a real process: started, killed, stopped, and talked to over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.builders import EXAMPLE
from tests.rooms import SECRETS

ADMIN_KEY = "an-admin-key-for-tests-of-forty-characters"
READY_SECONDS = 60


def example_env(**more: str) -> dict[str, str]:
    """The example files of deploy/, with made-up secrets."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "REGIE_CHANNELS_FILE": str(EXAMPLE.with_name("channels.yaml")),
        "REGIE_POLICY_FILE": str(EXAMPLE),
        "REGIE_ADMIN_KEY": ADMIN_KEY,
        **SECRETS,
        **more,
    }


@dataclass
class Regie:
    """One process. `log` holds what it wrote; a failing test shows it."""

    data_dir: Path
    env: Mapping[str, str]
    services: tuple[str, ...] = ()
    port: int = 0
    log: Path = field(init=False)
    process: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        self.log = self.data_dir.with_suffix(f".{'-'.join(self.services) or 'all'}.log")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, ready: bool = True) -> None:
        self.port = self.port or free_port()
        command = ["-m", "services", "serve", *self.services, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *command, "--data-dir", str(self.data_dir),
                env=dict(self.env), stdout=log, stderr=log,
            )  # fmt: skip
        if ready:
            await self.until_ready()

    async def until_ready(self) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            async for _ in attempts(READY_SECONDS):
                assert self.process is not None
                if self.process.returncode is not None:
                    raise AssertionError(f"regie ended: {self.tail()}")
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    continue
        raise AssertionError(f"regie is not ready: {self.tail()}")

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is told."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 40)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def client(self, key: str = ADMIN_KEY, **more: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=20, **more
        )


@asynccontextmanager
async def running(regie: Regie) -> AsyncIterator[Regie]:
    await regie.start()
    try:
        yield regie
    finally:
        if regie.process is not None and regie.process.returncode is None:
            await regie.kill()


async def attempts(seconds: float) -> AsyncIterator[float]:
    """Looks again and again, for so long: `async for _ in attempts(10)`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        yield loop.time()
        await asyncio.sleep(0.05)


def free_port() -> int:
    """Below the ports that outgoing connections are given: one of those could be taken between
    this look and the server's start, or while it is down to be started again."""
    import random
    import socket

    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
