"""Identifiers: time-ordered for rows, name-based where a repeat must find the same one."""

from __future__ import annotations

import os
import time
from uuid import UUID, uuid5

_MESSAGES = UUID("5d6f1c1e-54c3-4c0e-9d3b-6f3a5f1f7a10")
REPORTS = UUID("9a3a3f0e-0d5c-4b0d-9a53-0f7d1c1b2e11")  # names of deliveries.reported in `dedupe`


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562): sorts by creation, so that indexes grow at one end."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & ((1 << 48) - 1)) << 80 | int.from_bytes(os.urandom(10))
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def event_id(account: str, provider_event_id: str, kind: str, status: str = "") -> UUID:
    """The id of what a provider told us once: its repeats get the same one (DESIGN 5.2)."""
    return uuid5(_MESSAGES, "\x1f".join((account, provider_event_id, kind, status)))
