"""Servers that a killed Regie left behind: they are ended before a new one starts."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from shared.embedded.errors import EmbeddedError

logger = logging.getLogger(__name__)

_POLL: Final = 0.05


async def end_leftovers(data: Path) -> None:
    """Ends every PostgreSQL that works in `data`; the caller holds the directory's lock.

    What was committed stays. Raises EmbeddedError if one does not end.
    """
    recorded = data / "postmaster.pid"
    if not recorded.exists():  # the last one stopped in good order
        return
    for number, patience in (
        (signal.SIGINT, 30.0),
        (signal.SIGQUIT, 10.0),
        (signal.SIGKILL, 5.0),
    ):
        if await _gone(data, number, patience):
            # Its number may be another program's by now, and PostgreSQL would refuse to start.
            recorded.unlink(missing_ok=True)
            return
    raise EmbeddedError(f"a PostgreSQL on {data} does not end; its disk may hang. Look at it.")


async def _gone(data: Path, number: signal.Signals, patience: float) -> bool:
    """Signals the servers and waits, `patience` seconds at most, until there are none."""
    deadline = time.monotonic() + patience
    told = False
    while servers := await asyncio.to_thread(_servers_on, data):
        if not told:
            told = True
            _tell(servers, data, number)
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL)
    return True


def _tell(servers: list[psutil.Process], data: Path, number: signal.Signals) -> None:
    # The postmaster ends its own. One that lost its postmaster ends by itself, as a rule soon.
    postmaster = _recorded_pid(data)
    for server in servers:
        if server.pid == postmaster or number == signal.SIGKILL:
            logger.warning(
                "ending a PostgreSQL left behind: process %d, %s", server.pid, number.name
            )
            with suppress(psutil.NoSuchProcess):
                server.send_signal(number)


def _recorded_pid(data: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int((data / "postmaster.pid").read_text().split()[0])
    return None


def _servers_on(data: Path) -> list[psutil.Process]:
    """The living PostgreSQL processes whose working folder is `data`, as it is for all of them.

    A number in a file proves nothing: numbers are used again.
    """
    found = []
    for process in psutil.process_iter(["name"]):
        # Another user's process, or one that has just ended, cannot be looked at and is not ours.
        with suppress(psutil.Error, OSError):
            if process.info["name"] == "postgres" and data.samefile(_working_folder(process)):
                found.append(process)
    return found


def _working_folder(process: psutil.Process) -> str:
    # On Linux the link itself, not its text: a container's text means another folder here.
    return f"/proc/{process.pid}/cwd" if sys.platform == "linux" else str(process.cwd())
