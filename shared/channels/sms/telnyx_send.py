"""The sending side of Telnyx's text messages.

Source: developers.telnyx.com, "Send a message" and "Idempotency": a repeat under the same
`Idempotency-Key` gets the first answer again for a day, so that a time-out is not a doubt here.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

from shared.accounts import Account
from shared.channels import Outgoing, Receipt
from shared.channels.posting import bearer, post
from shared.channels.sms.segments import parts
from shared.channels.sms.telnyx_errors import failure
from shared.channels.wire import clean_text, mapping_at, text_at
from shared.errors import SendError

_API: Final = "https://api.telnyx.com"
_MOST_PARTS: Final = 10  # a longer text is refused (40302)
_MOST_FILES: Final = 10


class TelnyxOutbound:
    """Text messages through Telnyx.

    Account settings: `number`, `api_key` (secret), `messaging_service` (the messaging profile's
    id, which a sender that is a name needs), `public_url`, `api_base`.
    """

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; never `doubtful`: what got no answer may be sent again."""
        content = body(message, account)
        if not (keys := account.secrets("api_key")):
            raise SendError("token", f"account {account.name} has no api_key: it cannot send")
        base = (text_at(dict(account.settings), "api_base") or _API).rstrip("/")
        headers = bearer(keys[0]) | {b"idempotency-key": str(message.id).encode()}
        response = await post(
            http, f"{base}/v2/messages", json=content, headers=headers, repeatable=True
        )
        if not response.is_success:
            raise failure(response)
        return _receipt(response)


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The JSON Telnyx is sent. Raises SendError for what it would refuse anyway, saying why."""
    if message.recipient.scheme != "e164":
        raise SendError(
            "invalid_recipient",
            f"a text message reaches a number, not {message.recipient.scheme!r}",
        )
    settings = dict(account.settings)
    content: dict[str, Any] = {
        "from": text_at(settings, "number"),
        "to": message.recipient.value,
        **_words(message),
    }
    if profile := text_at(settings, "messaging_service"):
        content["messaging_profile_id"] = profile
    if base := text_at(settings, "public_url").rstrip("/"):
        content["webhook_url"] = f"{base}/webhooks/{account.name}"
    return content


def _words(message: Outgoing) -> dict[str, Any]:
    text = clean_text(message.text)
    urls = [file.url for file in message.attachments]
    if not (text.strip() or urls):
        raise SendError("rejected", "there is no text to send")
    if not all(urls):
        raise SendError(
            "rejected", "Telnyx fetches files from a public address: send the text, with a link"
        )
    if len(urls) > _MOST_FILES:
        raise SendError("rejected", f"Telnyx takes {_MOST_FILES} files in one message: send fewer")
    if not urls and (count := parts(text)) > _MOST_PARTS:
        raise SendError(
            "rejected",
            f"the text makes {count} text messages and Telnyx joins {_MOST_PARTS}: shorten it",
        )
    said = {"text": text} if text.strip() else {}
    return said | ({"media_urls": urls, "type": "MMS"} if urls else {})


def _receipt(response: httpx.Response) -> Receipt:
    try:
        sent = mapping_at(response.json(), "data")
    except (ValueError, RecursionError):
        sent = {}
    if not (id := text_at(sent, "id")):
        # The same key brings the same answer again, this time perhaps whole.
        raise SendError("unconfirmed", "Telnyx said yes without a message id", again=True)
    return Receipt(provider_id=id)
