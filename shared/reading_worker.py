"""The process that reads large bodies: calls come by stdin, results go by stdout.

It ends with the pipe, and by its own alarm where the process that asked is no longer there to end
it. What it logs goes to stderr, as its parent's does.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import structlog

from shared.errors import Unreadable
from shared.telemetry import configure_logs, describe

log = structlog.get_logger("reading")

LENGTH: Final = 8  # bytes in front of each message, which say how long it is
READY: Final = b"\n"
_MARGIN: Final = 5.0  # seconds after which the one that asked must have given up


def main() -> None:
    """Answers until the pipe ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing printed may look like an answer
    configure_logs()
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, signal.SIG_IGN)  # what was sent to all: the one that asks ends us
    answers.write(READY)
    answers.flush()
    while (job := _next(sys.stdin.buffer)) is not None:
        answer = pickle.dumps(_done(job))
        answers.write(len(answer).to_bytes(LENGTH, "big"))
        answers.write(answer)
        answers.flush()


def _next(calls: BinaryIO) -> bytes | None:
    length = calls.read(LENGTH)
    if len(length) < LENGTH:
        return None
    job = calls.read(int.from_bytes(length, "big"))
    return job if len(job) == int.from_bytes(length, "big") else None


def _done(job: bytes) -> object:
    """The result, or in words why there is none."""
    function, args, named, seconds = pickle.loads(job)  # noqa: S301 - our own process wrote it
    _alarm(seconds + _MARGIN)
    try:
        return function(*args, **named)
    except Unreadable as error:
        return str(error)
    except Exception as error:
        log.exception("a parser failed")
        return f"the parser failed: {describe(error)}"
    finally:
        _alarm(0)


def read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    """What a read-only mapping is unpickled with."""
    return MappingProxyType(mapping)


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process


if __name__ == "__main__":
    main()
