"""A dry run as a process of its own: `python -m services.router.trial.process`.

A core's work for seconds or minutes has no place in a process that routes. The order comes on
stdin (the database's address is a secret, and an argument is not), lines of JSON go to stdout:

    {"progress": {"events": 4100, "of": 31000}}
    {"report": {…}}                   or   {"failed": "DatabaseUnavailable"}

It ends when its parent does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from datetime import datetime
from typing import BinaryIO, Final

import msgspec

from services.router.trial.dry_run import dry_run
from services.router.trial.remembering import RememberingPolicy
from services.router.trial.report import Report
from shared.serving.memory import calm_collector
from shared.sessions import AWAY

_PAUSE: Final = 0.2  # s between two lines of progress
_POLITE: Final = 10  # what has customers waiting goes first


class Order(msgspec.Struct, frozen=True):
    """What to try. `candidate` is the text of a policy that was found to be good."""

    url: str
    candidate: str
    since: datetime
    until: datetime


class Progress(msgspec.Struct, frozen=True):
    events: int
    of: int


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the three."""

    progress: Progress | None = None
    report: Report | None = None
    failed: str = ""


class _Out:
    """The way to the parent; progress only so often, but always the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._next = 0.0

    def tell(self, events: int, of: int) -> None:
        now = time.monotonic()
        if now >= self._next or events == of:
            self._next = now + _PAUSE
            self.write(Line(progress=Progress(events, of)))

    def write(self, line: Line) -> None:
        self._stream.write(msgspec.json.encode(line) + b"\n")
        self._stream.flush()


def main() -> int:
    out = _Out(sys.stdout.buffer)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(_POLITE)
    candidate = RememberingPolicy.parse(order.candidate, "candidate")
    calm_collector()
    try:
        report = asyncio.run(dry_run(order.url, candidate, order.since, order.until, out.tell))
    except (*AWAY, TimeoutError) as error:
        out.write(Line(failed="DatabaseUnavailable"))
        sys.stderr.write(f"dry run: {type(error).__name__}\n")  # its words may hold a row's
        return 1
    out.write(Line(report=report))
    return 0


def _end_with_parent() -> None:
    """Its end of our stdin closes with it, however it ends."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
