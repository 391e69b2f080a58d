"""`regie …` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.waiting import BOUND


@dataclass
class Command:
    """It, while it runs."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    address: str = ""

    async def follow(self) -> None:
        """Reads what it says to its end."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.lines.append(line.decode())
            if found := re.search(r"listens on (http://\S+)", self.lines[-1]):
                self.address = found[1]

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), BOUND)


@asynccontextmanager
async def regie(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *arguments,
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    command = Command(process)
    following = asyncio.create_task(command.follow())
    try:
        yield command
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await following


async def ready(command: Command) -> bool:
    assert command.process.returncode is None, "".join(command.lines)
    if not command.address:
        return False
    async with httpx.AsyncClient(base_url=command.address) as http:
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False


async def said(*arguments: str, env: Mapping[str, str]) -> tuple[int, str]:
    """A command's exit status and what it wrote."""
    async with regie(*arguments, env=env) as command:
        assert command.process.stdout is not None
        out = await asyncio.wait_for(command.process.stdout.read(), BOUND)
        status = await command.ended()
    return status, out.decode() + "".join(command.lines)
