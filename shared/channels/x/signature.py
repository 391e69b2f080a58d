"""X's handshake and signature: both are HMAC-SHA256 under the app's consumer secret, in base64.

Source: docs.x.com, "V2 Webhooks: quickstart" and "Securing webhooks" (read August 2026).
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Final

from shared.channels import Answer, WebhookRequest
from shared.errors import Forbidden, Unauthenticated

_HEADER: Final = "x-twitter-webhooks-signature"
_LONGEST_TOKEN: Final = 1000


def challenge(request: WebhookRequest, secrets: Sequence[str]) -> Answer:
    """The answer to X's CRC, asked when the webhook is registered and every hour after.

    The first secret answers: it is the one X knows, or a wrong answer says so at once. Raises
    Forbidden for a GET that is no CRC.
    """
    token = dict(request.query).get("crc_token", "")
    if not token or len(token) > _LONGEST_TOKEN:
        raise Forbidden("this address answers X's challenge only: GET with crc_token")
    answer = {"response_token": _signed(token.encode("utf-8", "replace"), secrets[0])}
    return Answer(body=json.dumps(answer).encode(), content_type="application/json")


def verify(request: WebhookRequest, secrets: Sequence[str]) -> None:
    """Raises Unauthenticated. There is no timestamp: a repeat is known by its event id."""
    given = request.headers.get(_HEADER, "").encode("utf-8", "replace")
    if not given:
        raise Unauthenticated(f"send {_HEADER}")
    expected = [_signed(request.body, secret).encode() for secret in secrets if secret]
    # Every one is compared, in constant time: nothing is learnt from how long a refusal takes.
    equal = [hmac.compare_digest(given, one) for one in expected]
    if not any(equal):
        raise Unauthenticated(f"{_HEADER} matches no consumer_secret of this account")


def _signed(content: bytes, secret: str) -> str:
    digest = hmac.digest(secret.encode(), content, "sha256")
    return "sha256=" + base64.b64encode(digest).decode()
