"""A delivery as the sender sees it: what leaves, where to, and what is known of its case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from shared.events import Digest

REPLY: Final = "reply"
FOLLOW_UP: Final = "follow_up"  # a web chat's unread answers, by mail
EVENT: Final = "event"  # of the feed, to a subscription
TEST: Final = "test"  # to a subscription, once
DIGEST: Final = "digest"  # what was held back for one target, as one
Effect = Literal[
    "reply", "follow_up", "reminder", "escalation", "breach", "handoff", "digest", "event", "test"
]

# pending, held (for a digest) and sending are alive; the others are ends. `unknown`: it may have
# been delivered. `digested`: it went with others, in a delivery of their own.
State = Literal["pending", "held", "sending", "sent", "failed", "unknown", "dropped", "digested"]

_DELIVERIES: Final = UUID("0c5f5a8e-7f0c-4d6e-9b1a-64b7c1b0a5d2")


def delivery_id(event_id: str, target: str, effect: str) -> UUID:
    """One event, target and effect is one delivery for ever: its repeat finds the same id, and
    with it the same `webhook-id`."""
    return uuid5(_DELIVERIES, "\x1f".join((event_id, target, effect)))


def target_of(kind: str, address: str) -> str:
    """`account:desk-whatsapp`, `webhook:https://…`: where a delivery goes, as one text."""
    return f"{kind}:{address}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery about to be stored.

    lane        those of one lane leave in the order of `seq`; empty: in any order
    at          when the event happened
    expires_at  from then on it is worth nothing
    not_before  the end of its recipient's quiet hours
    digest      when it may have to wait for others; None: never
    """

    id: UUID
    event_id: str
    case_id: UUID
    seq: int
    version: int
    effect: Effect
    target: str
    payload: bytes
    at: datetime
    expires_at: datetime
    lane: str = ""
    not_before: datetime | None = None
    digest: Digest | None = None

    def first_try_at(self, now: datetime) -> datetime:
        """Now, or once its recipient may be disturbed. One that expires before is looked at as it
        does, and dropped like any other that is stale."""
        return now if self.not_before is None else max(now, min(self.not_before, self.expires_at))


@dataclass(frozen=True, slots=True)
class Head:
    """What the router last committed of the case (its view `case_heads`).

    promises  the ids of those that are open
    """

    version: int
    state: str
    answered_at: datetime | None
    promises: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One that was claimed.

    attempts         tries ever begun, this one included once it is being sent
    attempts_before  those made before it was last replayed: they do not count against it
    head             None when the case is gone
    secrets          the target's signing secrets, the current one first
    disabled         why the target takes nothing any more; empty while it does
    read             a follow-up's answers were read in the chat meanwhile
    url              a subscription's address as it is now; empty for others, and for a deleted one
    barred           a subscription's present key may not read this event
    digest           when it may have to wait for others; None: never
    """

    id: UUID
    case_id: UUID
    effect: Effect
    target: str
    payload: Mapping[str, Any]
    version: int
    at: datetime
    attempts: int
    attempts_before: int
    expires_at: datetime
    head: Head | None = None
    secrets: tuple[str, ...] = ()
    disabled: str = ""
    read: bool = False
    url: str = ""
    barred: bool = False
    digest: Digest | None = None

    @property
    def kind(self) -> str:
        return self.target.partition(":")[0]

    @property
    def address(self) -> str:
        return self.target.partition(":")[2]

    @property
    def tries(self) -> int:
        """Tries of this round."""
        return self.attempts - self.attempts_before

    @property
    def is_reply(self) -> bool:
        return self.effect == REPLY

    @property
    def is_published(self) -> bool:
        """For a subscription."""
        return self.effect in (EVENT, TEST)

    @property
    def to_customer(self) -> bool:
        """Leaves by a provider, who may not know a repeat for one."""
        return self.effect in (REPLY, FOLLOW_UP)
