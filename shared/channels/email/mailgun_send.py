"""Replies by Mailgun: by its API where the account has a key and a domain, else by SMTP.

Source: documentation.mailgun.com, API reference, "Send an email in MIME format", and "Error codes"
(2026). It knows no idempotency key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import FileLimits, Outbound, Outgoing, Receipt
from shared.channels.email.compose import message_id, recipient_of
from shared.channels.email.enclosing import whole_mail
from shared.channels.email.mailgun_api import VARIABLE, base, domain, uses_api
from shared.channels.posting import basic, post, retry_after
from shared.channels.wire import text_at
from shared.errors import SendError

LARGEST: Final = 25_000_000  # bytes of a mail, its files in base64
FILES: Final = FileLimits(most=100, size=18_000_000, total=18_000_000)  # 25 MB, in base64
_ADDRESS: Final = re.compile(r"not a valid address|to parameter|recipient", re.IGNORECASE)
_QUOTA: Final = 3600.0  # seconds


def _now() -> datetime:
    return datetime.now(UTC)


class MailgunOutbound:
    """Settings: `address`, `api_key`, `domain`, `region` (us or eu), `api_base`; or `outbound`.

    smtp  what sends for accounts without a key
    now   dates the mail
    """

    def __init__(self, smtp: Outbound, now: Callable[[], datetime] = _now) -> None:
        self._smtp = smtp
        self._now = now

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once Mailgun may have read the request."""
        if not uses_api(account):
            return await self._smtp.send(message, account, http)
        form = {"to": recipient_of(message), f"v:{VARIABLE}": str(message.id)}
        mail = await whole_mail(message, account, self._now(), LARGEST, "Mailgun")
        response = await post(
            http,
            f"{base(account)}/v3/{domain(account)}/messages.mime",
            form=form,
            files={"message": ("message.eml", mail, "message/rfc822")},
            headers=basic("api", account.secrets("api_key")[0]),
        )
        if not response.is_success:
            raise failure(response)
        return Receipt(_taken(response) or message_id(message.id, account))


def failure(response: httpx.Response) -> SendError:
    """The SendError for an answer that is not 2xx."""
    status, words = response.status_code, said(response)
    reason = f"{words or 'no reason given'} (HTTP {status})"[:500]
    match status:
        case 429:
            wait = retry_after(response)
            return SendError("throttled", reason, again=True, retry_after=wait)
        case 401 | 403:
            advice = "check api_key, domain and region (us or eu), and that the domain may send"
            return SendError("token", f"{reason}: {advice}")
        case 402:
            return SendError("quota", f"{reason}: pay", again=True, retry_after=_QUOTA)
        case 404:
            advice = "this region has no such domain: check domain and region (us or eu)"
            return SendError("token", f"{reason}: {advice}")
        case 413:
            return SendError("rejected", f"{reason}: the mail is too large, send a link")
        case 400 if _ADDRESS.search(words):
            return SendError("invalid_recipient", f"{reason}: correct the customer's address")
    if status >= 500 or status < 400:
        return SendError("temporary", f"{reason}: it may have been sent", doubtful=True)
    return SendError("rejected", reason)


def said(response: httpx.Response) -> str:
    """Mailgun's words: JSON mostly, and plain text for a wrong key."""
    try:
        document: Any = response.json()
    except (ValueError, RecursionError):
        return response.text.strip()[:300]
    return text_at(document, "message")


def _taken(response: httpx.Response) -> str:
    try:
        id = text_at(response.json(), "id").strip("<> ")
    except (ValueError, RecursionError):
        return ""
    return f"<{id}>" if id else ""
