"""deliveries.reported: what became of what we sent."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from shared.events.body import Event
from shared.values import DeliveryState, Identity

# A later state never gives way to an earlier one; `failed` is final from any state but `read`.
RANK: Final[dict[str, int]] = {
    "pending": 0, "accepted": 1, "unknown": 1, "sent": 2, "delivered": 3, "failed": 4, "read": 5,
}  # fmt: skip


class DeliveryStatusReceived(Event, frozen=True):
    """A provider's word on a message we sent. `correlation` is our own id where it echoes one.

    recipient  instead of one message, it is about all that was sent to them until `at`: some
               providers tell only how far somebody has read
    """

    id: UUID
    account: str
    provider_id: str
    status: DeliveryState
    at: datetime
    correlation: str = ""
    code: str = ""
    reason: str = ""
    recipient: Identity | None = None


class DeliveryReported(Event, frozen=True):
    """The notifier's word on one delivery. `dropped` means it was stale and never left."""

    delivery_id: UUID
    case_id: UUID
    effect: str
    status: Literal["sent", "failed", "unknown", "dropped"]
    at: datetime
    message_id: UUID | None = None
    account: str = ""
    provider_id: str = ""
    code: str = ""
    reason: str = ""
