"""Twilio's webhooks: the address they are signed on, their signature and their form.

Source: twilio.com/docs/usage/webhooks/webhooks-security. The signature covers the public URL, as
Twilio requested it, and every POST parameter; there is no timestamp in it, so a recorded request
stays valid and deduplication is the defence.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.wire import clean_text
from shared.errors import Unauthenticated, Unreadable

_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1000
_BODY_HASH: Final = "bodySHA256"
# An auth token signs with SHA-1; a shared key names its own algorithm in a header of its own.
_HASHES: Final = {"": "sha1", "HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}


def address(account: Account, path: str = "", query: str = "") -> str:
    """The public URL of one of this account's doors: what Twilio requests, and so signs.

    It comes from the channels file alone. What a proxy or a caller claims in `X-Forwarded-*` or
    `Host` never counts: it would let the sender choose what the signature is checked against.
    """
    base = str(account.settings.get("public_url") or "").rstrip("/")
    return f"{base}/webhooks/{account.name}{path}" + (f"?{query}" if query else "")


def verify(request: WebhookRequest, account: Account) -> None:
    """Checks `X-Twilio-Signature` with every `auth_token` of the account. Raises Unauthenticated,
    also for anything a sender may have got wrong on purpose."""
    given = request.headers.get("x-twilio-signature", "")
    if not given:
        raise Unauthenticated("send X-Twilio-Signature")
    try:
        expected = _expected(request, account)
    except ValueError as error:
        raise Unauthenticated(f"the request cannot have been signed by Twilio: {error}") from error
    offered = given.encode("utf-8", "replace")
    # Every one is compared, in constant time: nothing is learnt from how long a refusal takes.
    matches = [hmac.compare_digest(offered, one) for one in expected]
    if not any(matches):
        raise Unauthenticated(
            "X-Twilio-Signature matches no auth_token of this account on its public_url: "
            "compare both with the Twilio console, the URL to the letter"
        )


def form(request: WebhookRequest) -> dict[str, str]:
    """The POST parameters by name, the first where one is repeated, fit to be stored.

    Raises Unreadable for a body that is not a form.
    """
    if not _is_form(request):
        raise Unreadable(f"the body is not a form: Twilio sends {_FORM}")
    try:
        pairs = _pairs(request.body)
    except ValueError as error:
        raise Unreadable(f"the form cannot be read: {error}") from error
    return {clean_text(name): clean_text(value) for name, value in reversed(pairs)}


def _expected(request: WebhookRequest, account: Account) -> list[bytes]:
    """The signatures that would do: each token, on the URL with and without its port.

    Raises ValueError where no signature could be right.
    """
    algorithm = _HASHES.get(_algorithm(request).upper())
    if algorithm is None:
        raise ValueError("X-Twilio-Webhooks-Signature-Settings names an unknown algorithm")
    parameters = _parameters(request)
    spelt = _spellings(address(account, request.path, request.raw_query))
    return [
        base64.b64encode(hmac.digest(token.encode(), (url + parameters).encode(), algorithm))
        for token in account.secrets("auth_token")
        if token
        for url in spelt
    ]


def _algorithm(request: WebhookRequest) -> str:
    settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm":
            return value.strip()
    return ""


def _parameters(request: WebhookRequest) -> str:
    """What is signed after the URL. Of a body that is no form its hash stands in the URL instead.

    Raises ValueError when that hash is missing or of another body.
    """
    if _is_form(request):
        return "".join(name + value for name, value in sorted(set(_pairs(request.body))))
    given = next((value for name, value in request.query if name == _BODY_HASH), "")
    digest = hashlib.sha256(request.body).hexdigest()
    if not hmac.compare_digest(given.encode("utf-8", "replace"), digest.encode()):
        raise ValueError(f"the body is neither a form nor the one named by {_BODY_HASH}")
    return ""


def _spellings(url: str) -> tuple[str, str]:
    """`url` with and without its port: Twilio is inconsistent about which of them it signs."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the account has no public_url: set it to https://… in the channels file")
    start, rest = f"{parts.scheme}://{parts.netloc}", url[len(parts.scheme) + 3 :]
    tail = rest[len(parts.netloc) :]
    if parts.port:
        return (url, start.rpartition(":")[0] + tail)
    return (url, f"{start}:{443 if parts.scheme == 'https' else 80}{tail}")


def _is_form(request: WebhookRequest) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == _FORM or (not kind and not request.body)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    # Blank values are signed too. Raises ValueError for bytes that are no UTF-8.
    return parse_qsl(
        body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
    )
