"""The times providers write, read without guessing at a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import Final

_WRITTEN: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?) ?(Z|UTC|[+-]\d\d:?\d\d)?", re.ASCII
)


def moment(text: str, zone: tzinfo | None = None) -> datetime | None:
    """An ISO 8601 time in UTC; None for anything else, and for one without an offset unless
    `zone` says what the provider means then."""
    if not (written := _WRITTEN.fullmatch(text)):
        return None
    date, time, offset = written.groups()
    offset = "Z" if offset == "UTC" else offset  # Vonage writes it so, where it writes no offset
    if offset is None and zone is None:
        return None
    try:
        read = datetime.fromisoformat(f"{date}T{time}{offset or ''}")
        return (read if offset else read.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
