"""The sending side of Vonage's text messages: its Messages API.

Source: developer.vonage.com/api/messages ("Send a message", version 1) and, for the token,
…/getting-started/concepts/authentication ("JWT authentication").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import httpx

from shared.accounts import Account
from shared.channels import Outgoing, Receipt
from shared.channels.posting import basic, bearer, post
from shared.channels.providers import vonage
from shared.channels.sms.vonage_errors import failure
from shared.channels.wire import clean_text, text_at
from shared.errors import Misconfigured, SendError
from shared.events import Attachment

_API: Final = "https://api.nexmo.com"
_LONGEST_TEXT: Final = 1000  # characters
_LONGEST_CAPTION: Final = 300


def _now() -> datetime:
    return datetime.now(UTC)


class VonageOutbound:
    """Text messages through Vonage.

    Account settings: `number`, and `api_key` with `api_secret` or `application_id` with
    `private_key`; `public_url`, so that statuses come to this account; `api_base`.

    now  dates the tokens that a private key signs
    """

    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read: Vonage takes no
        idempotency key. Our id goes along as `client_ref`, and a status that names it settles a
        doubt later."""
        content = body(message, account)
        base = (text_at(dict(account.settings), "api_base") or _API).rstrip("/")
        headers = _credentials(account, self._now())
        response = await post(http, f"{base}/v1/messages", json=content, headers=headers)
        if not response.is_success:
            raise failure(response)
        return _receipt(response)


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The JSON Vonage is sent. Raises SendError for what it would refuse anyway, saying why."""
    settings = dict(account.settings)
    content: dict[str, Any] = {
        "to": _recipient(message),
        "from": text_at(settings, "number").lstrip("+"),
        "client_ref": str(message.id),
        **(_file(message) if message.attachments else _text(message)),
    }
    if base := text_at(settings, "public_url").rstrip("/"):
        content["webhook_url"] = f"{base}/webhooks/{account.name}/status"
        content["webhook_version"] = "v1"
    return content


def _text(message: Outgoing) -> dict[str, Any]:
    text = clean_text(message.text)
    if not text.strip():
        raise SendError("rejected", "there is no text to send")
    if len(text) > _LONGEST_TEXT:
        raise SendError(
            "rejected",
            f"the text has {len(text)} characters and Vonage takes {_LONGEST_TEXT}: shorten it",
        )
    return {
        "channel": "sms",
        "message_type": "text",
        "text": text,
        "sms": {"encoding_type": "auto"},
    }


def _file(message: Outgoing) -> dict[str, Any]:
    if len(message.attachments) > 1:
        raise SendError("rejected", "Vonage takes one file in a message: send one, or a link")
    (file,) = message.attachments
    caption = clean_text(message.text).strip()
    if not file.url:
        raise SendError(
            "rejected", "Vonage fetches files from a public address: send the text, with a link"
        )
    if len(caption) > _LONGEST_CAPTION:
        raise SendError(
            "rejected",
            f"the text beside a file has {len(caption)} characters and Vonage takes "
            f"{_LONGEST_CAPTION}: shorten it, or send a link",
        )
    type = _type(file)
    part = {"url": file.url} | ({"caption": caption} if caption else {})
    return {"channel": "mms", "message_type": type, type: part}


def _type(file: Attachment) -> str:
    if "vcard" in file.content_type:
        return "vcard"
    main = file.content_type.partition("/")[0]
    return main if main in ("image", "audio", "video") else "file"


def _recipient(message: Outgoing) -> str:
    if message.recipient.scheme != "e164":
        raise SendError(
            "invalid_recipient",
            f"a text message reaches a number, not {message.recipient.scheme!r}",
        )
    return message.recipient.value.lstrip("+")


def _credentials(account: Account, now: datetime) -> Mapping[bytes, bytes]:
    key, secrets = text_at(dict(account.settings), "api_key"), account.secrets("api_secret")
    if key and secrets:
        return basic(key, secrets[0])
    try:
        return bearer(vonage.token(account, now, str(uuid4())))
    except Misconfigured as error:
        raise SendError("token", str(error)) from error


def _receipt(response: httpx.Response) -> Receipt:
    try:
        sent = response.json()
    except (ValueError, RecursionError):
        sent = None
    if not (id := text_at(sent, "message_uuid")):
        raise SendError("unconfirmed", "Vonage said yes without a message id", doubtful=True)
    return Receipt(provider_id=id)
