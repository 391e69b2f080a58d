"""SendGrid's signature: the same for inbound mails and for events.

Source: twilio.com/docs/sendgrid, "Securing your Inbound Parse webhooks" and "Getting started with
the Event Webhook security features" (2026): ECDSA on P-256 with SHA-256 over the timestamp and the
raw body, the line end behind it included. Each webhook has a key pair of its own.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.errors import Unauthenticated

SIGNATURE: Final = "x-twilio-email-event-webhook-signature"
TIMESTAMP: Final = "x-twilio-email-event-webhook-timestamp"
# A mail that we could not take comes again for three days, and whether it is signed anew is not
# said: refusing it would lose it. The body is signed, so that an old post only repeats itself.
OLDEST: Final = 73 * 3600
NEWEST: Final = 15 * 60


def verify(request: WebhookRequest, account: Account) -> None:
    """Checks the signature with every `public_key` of the account. Raises Unauthenticated."""
    given, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
    if not (given and timestamp):
        raise Unauthenticated(
            f"send {SIGNATURE} and {TIMESTAMP}: give the parse setting a security policy with "
            "signature, and sign the event webhook"
        )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        raise Unauthenticated(f"{TIMESTAMP} must be Unix seconds")
    if not -NEWEST <= request.received_at.timestamp() - int(timestamp) <= OLDEST:
        raise Unauthenticated(f"{TIMESTAMP} is 3 days old or 15 minutes ahead: set the clocks")
    signed, signature = timestamp.encode() + request.body, _bytes(given)
    # Nothing secret is compared, so that the time it takes tells nothing.
    if not any(_signed(key, signature, signed) for key in keys(account)):
        raise Unauthenticated(
            "the signature is by no public_key of this account: each webhook has its own, list "
            "those of the parse security policy and of the event webhook"
        )


def keys(account: Account) -> Sequence[str]:
    """The public keys whose signatures an account accepts, as SendGrid shows them."""
    given = account.settings.get("public_key") or ()
    return (given,) if isinstance(given, str) else tuple(given)


def is_readable(key: str) -> bool:
    """Whether it is a public key such as SendGrid's."""
    return _read(key) is not None


def _signed(key: str, signature: bytes, content: bytes) -> bool:
    if (public := _read(key)) is None:
        return False
    try:
        public.verify(signature, content, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _read(key: str) -> ec.EllipticCurvePublicKey | None:
    """The key behind base64, with or without the lines of a PEM file around it."""
    lines = (line for line in key.splitlines() if not line.startswith("-----"))
    try:
        public = load_der_public_key(_bytes("".join("".join(lines).split())))
    except (ValueError, UnsupportedAlgorithm):
        return None
    fits = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
    return public if fits and isinstance(public, ec.EllipticCurvePublicKey) else None


def _bytes(text: str) -> bytes:
    """The bytes behind base64; none for what is no base64."""
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
