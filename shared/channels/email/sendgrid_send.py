"""Replies by SendGrid's API.

Source: twilio.com/docs/sendgrid, "Mail Send" with "Limitations" and "Errors", and "Rate limits"
(2026). It knows no idempotency key: what got no answer may have left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import FileLimits, Outgoing, Receipt
from shared.channels.email.by_api import address_of, encoded_files, key_of, text_of
from shared.channels.email.compose import (
    message_id,
    recipient_of,
    reply_to,
    sender_name,
    subject_of,
    threading,
)
from shared.channels.email.sendgrid_events import ACCOUNT, MESSAGE
from shared.channels.posting import bearer, post, retry_after
from shared.channels.wire import list_at, text_at
from shared.errors import SendError

API: Final = "https://api.sendgrid.com"  # `api_base: https://api.eu.sendgrid.com` for EU subusers
FILES: Final = FileLimits(most=50, size=21_000_000, total=21_000_000)  # 30 MB, in base64
_LARGEST: Final = 30_000_000  # bytes of the whole mail
_HEADERS_TAKE: Final = 50_000


class SendGridOutbound:
    """Settings: `address`, `display_name`, `api_key` (secret), `api_base`."""

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read."""
        content = body(message, account)
        headers = bearer(key_of(account, "api_key"))
        response = await post(http, f"{base(account)}/v3/mail/send", json=content, headers=headers)
        if not response.is_success:
            raise failure(response)
        # Their X-Message-Id names nothing that a customer's answer would name.
        return Receipt(message_id(message.id, account))


def base(account: Account) -> str:
    """Where the account's API is, without a slash at its end."""
    return (text_at(dict(account.settings), "api_base") or API).rstrip("/")


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The JSON SendGrid is sent. Raises SendError for what it would refuse anyway, saying why."""
    name, answer_to = sender_name(account), reply_to(message, account)
    sender = {"email": address_of(account)} | ({"name": name} if name else {})
    content: dict[str, Any] = {
        "personalizations": [{"to": [{"email": recipient_of(message)}]}],
        "from": sender,
        "subject": subject_of(message, account),
        "content": [{"type": "text/plain", "value": text_of(message)}],
        "headers": threading(message, account),
        # Comes back in every event of this mail: no lookup is needed to match them.
        "custom_args": {MESSAGE: str(message.id), ACCOUNT: account.name},
    }
    if answer_to:
        content["reply_to"] = {"email": answer_to}
    if files := _files(message):
        content["attachments"] = files
    return content


def _files(message: Outgoing) -> list[dict[str, str]]:
    encoded = encoded_files(message, _LARGEST - _HEADERS_TAKE, "SendGrid")
    return [
        {
            "content": content,
            "type": file.content_type or "application/octet-stream",
            "filename": file.name or "file",
            "disposition": "attachment",
        }
        for file, content in zip(message.files, encoded, strict=True)
    ]


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    status, errors = response.status_code, _errors(response)
    words = "; ".join(text_at(each, "message") for each in errors)[:500] or "no reason given"
    reason = f"{words} (HTTP {status})"
    if status == 429:
        return SendError("throttled", reason, again=True, retry_after=_reset(response))
    if status == 503:  # the API is switched off: nothing was taken
        return SendError("temporary", reason, again=True, retry_after=retry_after(response))
    if status >= 500 or status == 408:
        # A gateway may give up on a mail that went through behind it.
        return SendError("temporary", f"{reason}: it may have been sent", doubtful=True)
    return SendError(_name(status, [text_at(each, "field") for each in errors]), reason)


def _name(status: int, fields: list[str]) -> str:
    if any(field.split(".")[0] == "from" for field in fields):
        return "misconfigured"  # the address is no verified sender
    if status in (401, 403):
        return "token"
    named = [field for field in fields if field.startswith("personalizations")]
    return "invalid_recipient" if any(".to" in field for field in named) else "rejected"


def _errors(response: httpx.Response) -> list[Mapping[str, Any]]:
    try:
        return [each for each in list_at(json.loads(response.content), "errors") if each]
    except (ValueError, RecursionError):
        return []


def _reset(response: httpx.Response) -> float | None:
    """Seconds until the limit is lifted: X-RateLimit-Reset is a time, by their clock."""
    if (asked := retry_after(response)) is not None:
        return asked
    at = response.headers.get("x-ratelimit-reset", "")
    if not (at.isascii() and at.isdigit() and len(at) < 12):
        return None
    try:
        now = parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, int(at) - now)
