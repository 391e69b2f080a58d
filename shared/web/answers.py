"""JSON answers: times as RFC 3339 in UTC with a `Z`, whatever zone the value came in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def to_json(content: Any) -> bytes:
    """Structs, dataclasses, UUIDs and times too."""
    return _ENCODER.encode(_in_utc(content))


def _in_utc(value: Any) -> Any:
    # msgspec writes `Z` for UTC only; a database session or a calendar may hand us another zone.
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.utcoffset() else value
    if isinstance(value, Mapping):
        return {name: _in_utc(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utc(item) for item in value]
    return value


class Json(Response):
    """`Json({"items": […], "next_cursor": None}, headers={"ETag": …})`."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content)


def page(items: list[Any], next_cursor: str | None) -> dict[str, Any]:
    """The shape of every list."""
    return {"items": items, "next_cursor": next_cursor}
