"""Identifiers: time-ordered for rows, name-based where a repeat must find the same one."""

from __future__ import annotations

import os
import time
from uuid import UUID, uuid5

_MESSAGES = UUID("5d6f1c1e-54c3-4c0e-9d3b-6f3a5f1f7a10")
REPORTS = UUID("9a3a3f0e-0d5c-4b0d-9a53-0f7d1c1b2e11")  # names of deliveries.reported in `dedupe`


class _Clockwork:
    """The milliseconds of the last id, a counter within them, and random bytes in store."""

    milliseconds = 0
    counter = 0
    _random = memoryview(b"")

    @classmethod
    def random_bits(cls) -> int:
        """62 of them, drawn from the system many at a time."""
        if not cls._random:
            cls._random = memoryview(os.urandom(8 * 512))
        eight, cls._random = cls._random[:8], cls._random[8:]
        return int.from_bytes(eight) >> 2


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562): sorts by creation, so that indexes grow at one end.

    Within one process also by order within a millisecond: the counter takes the place of rand_a.
    """
    now = time.time_ns() // 1_000_000
    if now > _Clockwork.milliseconds:
        _Clockwork.milliseconds, _Clockwork.counter = now, 0
    else:
        _Clockwork.counter += 1
        if _Clockwork.counter > 0xFFF:
            _Clockwork.milliseconds, _Clockwork.counter = _Clockwork.milliseconds + 1, 0
    head = (_Clockwork.milliseconds << 16 | 0x7 << 12 | _Clockwork.counter) << 64
    return UUID(int=head | 0x2 << 62 | _Clockwork.random_bits())


def event_id(account: str, provider_event_id: str, kind: str, status: str = "") -> UUID:
    """The id of what a provider told us once: its repeats get the same one (DESIGN 5.2)."""
    return uuid5(_MESSAGES, "\x1f".join((account, provider_event_id, kind, status)))


def since(seconds: float) -> UUID:
    """Less than any `new_id` made from this instant (of the epoch) on."""
    return UUID(int=int(seconds * 1000) << 80)
