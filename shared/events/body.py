"""What every event is made of: a body, and the type that names it."""

from __future__ import annotations

import re
from functools import cache

import msgspec


@cache
def type_name(class_name: str) -> str:
    """`DeliveryStatusReceived` → `delivery.status_received`."""
    first, *rest = re.findall(r"[A-Z][a-z0-9]*", class_name)
    return f"{first.lower()}.{'_'.join(word.lower() for word in rest)}"


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=type_name
):
    """The body of something that happened."""
