"""Replies by Amazon SES: the whole mail as we write it, by its API.

Source: docs.aws.amazon.com/ses, API Reference v2, "SendEmail". SES replaces our Message-ID with one
made of its own id: that is the one answers and events name, so it is the receipt. It knows no
idempotency key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import msgspec

from shared.accounts import Account
from shared.channels import FileLimits, Outgoing, Receipt
from shared.channels.email.compose import recipient_of
from shared.channels.email.enclosing import whole_mail
from shared.channels.email.ses_api import TAG, address, credentials_of, message_id, region_of
from shared.channels.email.ses_errors import failure
from shared.channels.posting import post
from shared.channels.providers.sigv4 import signed
from shared.channels.wire import text_at
from shared.errors import SendError

LARGEST: Final = 40_000_000  # bytes of a mail, its files in base64 ("Service quotas in SES")
FILES: Final = FileLimits(most=100, size=28_000_000, total=28_000_000)  # 40 MB, in base64
_PATH: Final = "/v2/email/outbound-emails"


def _now() -> datetime:
    return datetime.now(UTC)


class SesOutbound:
    """Settings: `address`, `access_key_id`, `secret_access_key`, `region` (default: the topic's),
    `configuration_set`, `api_base`. `now` dates the signature."""

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once SES may have read the request."""
        credentials = credentials_of(account, "ses")
        if credentials is None:
            raise SendError(
                "token",
                f"account {account.name} needs access_key_id, secret_access_key and region to "
                "send: add them to the channels file",
            )
        at = self._now()
        body = msgspec.json.encode(await content(message, account, at))
        url = f"{address(account, 'email')}{_PATH}"
        plain = {"content-type": "application/json"}
        headers = signed("POST", url, credentials, at, body, plain)
        response = await post(
            http, url, content=body, headers={k.encode(): v.encode() for k, v in headers.items()}
        )
        if not response.is_success:
            raise failure(response)
        return _receipt(response, account)


async def content(message: Outgoing, account: Account, at: datetime) -> Mapping[str, Any]:
    """What SES is sent. Raises SendError for what it would refuse anyway, saying why."""
    recipient = recipient_of(message)
    if not recipient.isascii():
        raise SendError(
            "invalid_recipient",
            "Amazon SES takes no address with accents before the @: use another one",
        )
    mail = await whole_mail(message, account, at, LARGEST, "Amazon SES")
    given: dict[str, Any] = {
        "Destination": {"ToAddresses": [recipient]},
        "Content": {"Raw": {"Data": base64.b64encode(mail).decode()}},
        "EmailTags": [{"Name": TAG, "Value": str(message.id)}],
    }
    if chosen := str(account.settings.get("configuration_set", "")):
        given["ConfigurationSetName"] = chosen
    return given


def _receipt(response: httpx.Response, account: Account) -> Receipt:
    try:
        id = text_at(response.json(), "MessageId")
    except (ValueError, RecursionError):
        id = ""
    if not id:
        raise SendError("unconfirmed", "Amazon said yes without a message id", doubtful=True)
    return Receipt(message_id(id, region_of(account)))
