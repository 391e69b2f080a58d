"""Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec), symmetric `v1`.

The same lines verify what integrators send us and sign what we send them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from shared.errors import Misconfigured, Unauthenticated

TOLERANCE: Final = 300  # seconds either way, so that a recorded request is soon worthless
_PREFIX: Final = "whsec_"


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,<base64>`. `timestamp` in Unix seconds. Raises Misconfigured."""
    return "v1," + base64.b64encode(_digest(key_of(secret), id, str(timestamp), body)).decode()


def sign_all(secrets: Sequence[str], id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header while secrets rotate: one signature each, space separated."""
    return " ".join(sign(secret, id, timestamp, body) for secret in secrets)


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, at: datetime) -> str:
    """The `webhook-id`, once any secret is found to have signed `body` within 5 minutes of `at`.

    `headers` by lower-case name. Raises Unauthenticated for everything else, however malformed.
    """
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "")
    if not (id and timestamp and given):
        raise Unauthenticated("send webhook-id, webhook-timestamp and webhook-signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise Unauthenticated("webhook-timestamp must be Unix seconds")
    if abs(int(timestamp) - at.timestamp()) > TOLERANCE:
        raise Unauthenticated("webhook-timestamp is more than 5 minutes off: sign anew, set clocks")
    try:
        matched = _any_matches(secrets, given, id, timestamp, body)
    except Misconfigured as error:
        raise Unauthenticated(f"no signature can be checked: {error}") from error
    if not matched:
        raise Unauthenticated("no webhook-signature matches a secret of this account")
    return id


def key_of(secret: str) -> bytes:
    """The bytes behind `whsec_…` (or its bare base64). Raises Misconfigured."""
    text = secret.removeprefix(_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Misconfigured("a webhook secret must be whsec_ and base64 of 24–64 bytes") from error
    if not key:
        raise Misconfigured("a webhook secret is empty: use whsec_ and base64 of 24–64 bytes")
    return key


def _any_matches(secrets: Sequence[str], given: str, id: str, timestamp: str, body: bytes) -> bool:
    expected = [
        base64.b64encode(_digest(key_of(secret), id, timestamp, body)) for secret in secrets
    ]
    offered = [
        value.encode("utf-8", "replace")
        for version, _, value in (each.partition(",") for each in given.split(" "))
        if version == "v1"
    ]
    # No early return: the time taken tells nothing about which secret came close.
    equal = [hmac.compare_digest(one, other) for one in expected for other in offered]
    return any(equal)


def _digest(key: bytes, id: str, timestamp: str, body: bytes) -> bytes:
    signed = f"{id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    return hmac.new(key, signed, hashlib.sha256).digest()
