"""Servers under measurement, each a process of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0


@dataclass(frozen=True)
class ServerProcess:
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time it has used so far, in user and kernel mode."""
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@asynccontextmanager
async def running(
    module: str, *arguments: str, env: Mapping[str, str], log: Path
) -> AsyncIterator[ServerProcess]:
    """`python -m module …` (`{port}` is filled in), ready to serve. What it says goes to `log`.

    Raises RuntimeError with the end of that when it does not come up.
    """
    port = free_port()
    command = [each.format(port=port) for each in arguments]
    with log.open("wb") as words:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *command,
            env={**os.environ, **env}, stdout=words, stderr=words,
        )  # fmt: skip
    try:
        await _until_ready(port, process, log)
        yield ServerProcess(port, process.pid)
    finally:
        await _end(process)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def _until_ready(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await _ready(http):
                    if process.returncode is not None:
                        raise TimeoutError
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise RuntimeError(f"a server did not come up:\n{log.read_text()[-3000:]}") from error


async def _ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
