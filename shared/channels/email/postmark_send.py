"""Replies by Postmark's API.

Source: postmarkapp.com/developer, "Email API" and "API overview: error codes" (2026). It knows no
idempotency key: what got no answer may have left. A Message-ID of our own is kept only with
`X-PM-KeepID`.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from shared.channels.email.postmark_errors import failure
from shared.channels.email.postmark_events import ACCOUNT, MESSAGE
from shared.channels.posting import post
from shared.channels.wire import text_at
from shared.errors import SendError

API: Final = "https://api.postmarkapp.com"
FILES: Final = FileLimits(most=50, size=7_000_000, total=7_000_000)  # 10 MB, in base64
_LARGEST: Final = 10_000_000  # bytes of the whole mail
_LONGEST_TEXT: Final = 5_000_000  # bytes
_HEADERS_TAKE: Final = 50_000
_LONGEST_NAME: Final = 150  # characters; From has 255 at the most


class PostmarkOutbound:
    """Settings: `address`, `display_name`, `server_token`, `message_stream`, `api_base`."""

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read."""
        content = body(message, account)
        response = await post(
            http, f"{base(account)}/email", json=content, headers=token_header(account)
        )
        if error := failure(response):
            raise error
        # Their MessageID names nothing that a customer's answer would name.
        return Receipt(message_id(message.id, account))


def base(account: Account) -> str:
    """Where the account's API is, without a slash at its end."""
    return (text_at(dict(account.settings), "api_base") or API).rstrip("/")


def token_header(account: Account) -> dict[bytes, bytes]:
    """Raises SendError where the account has no token."""
    token = key_of(account, "server_token")
    return {b"x-postmark-server-token": token.encode(), b"accept": b"application/json"}


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The JSON Postmark is sent. Raises SendError for what it would refuse anyway, saying why."""
    text = text_of(message)
    if (size := len(text.encode())) > _LONGEST_TEXT:
        raise SendError("rejected", f"the text has {size} bytes of 5 MB at the most: shorten it")
    content: dict[str, Any] = {
        "From": _from(account),
        "To": recipient_of(message),
        "Subject": subject_of(message, account),
        "TextBody": text,
        "Headers": [{"Name": name, "Value": value} for name, value in _headers(message, account)],
        # Comes back in every webhook about this mail: no lookup is needed to match them.
        "Metadata": {MESSAGE: str(message.id), ACCOUNT: account.name},
        "MessageStream": text_at(dict(account.settings), "message_stream") or "outbound",
    }
    if answer_to := reply_to(message, account):
        content["ReplyTo"] = answer_to
    if files := _files(message):
        content["Attachments"] = files
    return content


def _headers(message: Outgoing, account: Account) -> Sequence[tuple[str, str]]:
    return [*threading(message, account).items(), ("X-PM-KeepID", "true")]


def _from(account: Account) -> str:
    address, name = address_of(account), sender_name(account)
    quoted = name.replace("\\", "").replace('"', "'")[:_LONGEST_NAME]
    return f'"{quoted}" <{address}>' if quoted else address


def _files(message: Outgoing) -> list[dict[str, str]]:
    encoded = encoded_files(message, _LARGEST - _HEADERS_TAKE, "Postmark")
    return [
        {
            "Name": file.name or "file",
            "Content": content,
            "ContentType": file.content_type or "application/octet-stream",
        }
        for file, content in zip(message.files, encoded, strict=True)
    ]
