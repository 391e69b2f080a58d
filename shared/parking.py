"""What could not be read: how a parked item stands in `messages.received.dlq`.

The bytes are in the blob store: `raw` is the item a person looks at, `body` the whole request it
came in, which is what a later, better parser gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from shared.blobs import blob_for
from shared.broker import Message
from shared.channels import NewBlob, Parked, WebhookRequest
from shared.events import Blob
from shared.ids import event_id
from shared.topics import MESSAGES_RECEIVED, dead_letters_of

TYPE: Final = "message.parked"

# These may carry a password or somebody's address, and no parser needs them.
_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization", "forwarded"})


class ParkedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One item, and what is needed to read its request again."""

    account: str
    reason: str
    received_at: datetime
    raw: Blob
    body: Blob
    method: str = "POST"
    path: str = ""
    raw_query: str = ""
    headers: dict[str, str] = msgspec.field(default_factory=dict)

    def request(self, body: bytes) -> WebhookRequest:
        """The request again. `received_at` is the first one's: parsing later changes no clock."""
        return WebhookRequest(
            method=self.method,
            path=self.path,
            query=parse_qsl(self.raw_query, keep_blank_values=True),
            raw_query=self.raw_query,
            headers=self.headers,
            body=body,
            received_at=self.received_at,
        )


def park(
    item: Parked, account: str, received_at: datetime, request: WebhookRequest | None
) -> tuple[Message, tuple[NewBlob, ...]]:
    """The record for the dead-letter topic, and the bytes that must be durable before it."""
    whole = request.body if request else item.raw
    parked = ParkedItem(
        account=account,
        reason=item.reason,
        received_at=received_at,
        raw=blob_for(item.raw),
        body=blob_for(whole),
        method=request.method if request else "POST",
        path=request.path if request else "",
        raw_query=request.raw_query if request else "",
        headers=_harmless(request.headers) if request else {},
    )
    blobs = (NewBlob(parked.raw.ref, item.raw), NewBlob(parked.body.ref, whole))
    return _message(parked, id_of(item, account)), blobs


def id_of(item: Parked, account: str) -> UUID:
    """A provider repeats what it was not answered 2xx for: the same item has the same id."""
    return event_id(account, item.key or hashlib.sha256(item.raw).hexdigest(), "parked")


def _message(parked: ParkedItem, dedupe: UUID) -> Message:
    headers = (
        ("ce_id", str(dedupe).encode()),
        ("ce_type", TYPE.encode()),
        ("ce_source", f"/ingest/{parked.account}".encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("dlq_reason", parked.reason.encode()),
        ("dlq_account", parked.account.encode()),
    )
    topic = dead_letters_of(MESSAGES_RECEIVED)
    return Message(topic, dedupe.bytes, msgspec.json.encode(parked), headers)


def read(value: bytes) -> ParkedItem:
    """Raises msgspec.MsgspecError when it is none."""
    return msgspec.json.decode(value, type=ParkedItem)


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in _SECRET and not name.startswith(("x-forwarded", "x-real"))
    }
