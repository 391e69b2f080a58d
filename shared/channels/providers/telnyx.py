"""Telnyx's webhooks: the signature and the envelope of messages and calls alike.

Source: developers.telnyx.com, "Webhook signature verification" and "Receiving webhooks". They come
out of order, twice and at once; `data.id` names the event and stays the same in a repeat.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.times import moment
from shared.channels.wire import load, mapping_at, need, text_at
from shared.errors import Unauthenticated, Unreadable

TOLERANCE: Final = 300  # seconds either way; each repeat is signed anew


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event. `occurred_at` is Telnyx's signed time, never later than the receipt."""

    id: str
    type: str
    occurred_at: datetime
    payload: Mapping[str, Any]


def verify(request: WebhookRequest, account: Account) -> None:
    """Checks `telnyx-signature-ed25519` with every `public_key` of the account.

    Raises Unauthenticated, also for anything a sender may have got wrong on purpose.
    """
    given = request.headers.get("telnyx-signature-ed25519", "")
    timestamp = request.headers.get("telnyx-timestamp", "")
    if not (given and timestamp):
        raise Unauthenticated("send telnyx-signature-ed25519 and telnyx-timestamp")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise Unauthenticated("telnyx-timestamp must be Unix seconds")
    if abs(int(timestamp) - request.received_at.timestamp()) > TOLERANCE:
        raise Unauthenticated("telnyx-timestamp is more than 5 minutes off: sign anew, set clocks")
    signed = timestamp.encode() + b"|" + request.body
    # Nothing secret is compared, so that the time it takes tells nothing.
    if not any(_signed(_bytes(key), _bytes(given), signed) for key in keys(account)):
        raise Unauthenticated(
            "telnyx-signature-ed25519 is by no public_key of this account: copy it from the "
            "portal, under Keys & Credentials"
        )


def envelope(request: WebhookRequest) -> Envelope:
    """The event in a body. Raises Unreadable, naming what is missing."""
    data = mapping_at(load(request.body), "data")
    if not data:
        raise Unreadable("the body is no Telnyx webhook: it has no object `data`")
    occurred_at = moment(text_at(data, "occurred_at")) or request.received_at
    return Envelope(
        id=need(data, "id", "data."),
        type=need(data, "event_type", "data."),
        occurred_at=min(occurred_at, request.received_at),
        payload=mapping_at(data, "payload"),
    )


def keys(account: Account) -> Sequence[str]:
    """The public keys whose signatures an account accepts, as they stand in the portal."""
    given = account.settings.get("public_key") or ()
    return (given,) if isinstance(given, str) else tuple(given)


def _signed(key: bytes, signature: bytes, content: bytes) -> bool:
    if len(key) != 32 or len(signature) != 64:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _bytes(text: str) -> bytes:
    """The bytes behind base64; none for what is no base64."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
