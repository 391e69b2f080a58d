"""What can be told, and the placeholders each kind of words may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

NoticeKind = Literal[
    "reminder", "escalation", "breach", "handoff", "promise", "promise_broken", "unreached",
    "frozen", "digest",
]  # fmt: skip
KINDS: Final[tuple[NoticeKind, ...]] = get_args(NoticeKind)

# By the type of the event that is told.
TYPES: Final[Mapping[str, NoticeKind]] = {
    "deadline.warned": "reminder",
    "deadline.escalated": "escalation",
    "deadline.breached": "breach",
    "handoff.offered": "handoff",
    "promise.reminded": "promise",
    "promise.broken": "promise_broken",
    "promise.attempted": "unreached",
    "case.frozen": "frozen",
}

_EVERY: Final = ("case", "link", "team", "channel")
_CLOCK: Final = (*_EVERY, "metric", "due", "left")
PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "reminder": (*_CLOCK, "step"),
    "escalation": (*_CLOCK, "step"),
    "breach": _CLOCK,
    "handoff": (*_EVERY, "from", "to", "reason", "results", "until", "left"),
    "promise": (*_EVERY, "due", "left", "step", "by"),
    "promise_broken": (*_EVERY, "due", "left", "by"),
    "unreached": (*_EVERY, "count", "most"),
    "frozen": (*_EVERY, "owner", "reason", "trail"),
    "digest": ("count", "list", "link", "team"),
}

# What customers read, and what is filled in there.
CUSTOMERS: Final[Mapping[str, tuple[str, ...]]] = {
    "invitation": ("about", "channel", "how"),
    "apology": ("tries",),
    "survey": ("question", "low", "high"),
}
