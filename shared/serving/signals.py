"""SIGTERM and SIGINT: the first asks us to drain, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger("serve")


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that the first signal sets. For the main thread's running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def arrived(number: signal.Signals) -> None:
        if stop.is_set():
            # What is committed is safe, and the embedded PostgreSQL ends with its parent.
            os._exit(128 + number)
        log.info("stopping", signal=number.name)
        stop.set()

    handled = (signal.SIGTERM, signal.SIGINT)
    for number in handled:
        loop.add_signal_handler(number, arrived, number)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
