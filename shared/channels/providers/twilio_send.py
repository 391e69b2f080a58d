"""The sending side of Twilio's messages: text messages, and WhatsApp inside or outside its window.

Source: twilio.com/docs/messaging/api/message-resource ("Create a Message") and, for templates,
…/content/send-templates-created-with-the-content-template-builder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from shared.accounts import Account
from shared.channels import FileLimits, Outgoing, Receipt
from shared.channels.posting import basic, post
from shared.channels.providers import twilio
from shared.channels.providers.twilio_errors import failure, refused
from shared.channels.providers.twilio_messages import CORRELATION, STATUS
from shared.channels.wire import clean_text, mapping_at, text_at
from shared.errors import SendError

_API: Final = "https://api.twilio.com"
_LONGEST_TEXT: Final = 1600  # characters (21617)
_MOST_FILES: Final = {"sms": 10, "whatsapp": 1}
# Twilio fetches them: twilio.com/docs/messaging/guides/accepted-mime-types (5 MB with the text) and
# twilio.com/docs/whatsapp/guidance-whatsapp-media-messages (16 MB).
SMS_FILES: Final = FileLimits(10, 5_000_000, total=5_000_000, links=True)
WHATSAPP_FILES: Final = FileLimits(
    1, 16_000_000, types=("image/jpeg", "image/png", "audio/", "video/mp4", "application/pdf",
                          "application/msword", "application/vnd.openxmlformats-officedocument."),
    links=True,
)  # fmt: skip
_TEMPLATE: Final = re.compile(r"HX[0-9a-fA-F]{32}")


class TwilioOutbound:
    """Messages through Twilio, on whichever channel the account is.

    Account settings: `account_sid`, `auth_token` (secret), `number`, `messaging_service`,
    `public_url`, `api_base` and, for WhatsApp, `templates: {name: {name: HX…}}`. A template's
    variables `1`, `2` … are `Outgoing.attributes["parameters"]`; without it the message's own
    text, where there is one, is the only one.
    """

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        """Raises SendError; `doubtful` once the request may have been read: Twilio takes no
        idempotency key. A status callback that names our id settles it later."""
        content = body(message, account)
        sid, token = _credentials(account)
        base = (text_at(dict(account.settings), "api_base") or _API).rstrip("/")
        address = f"{base}/2010-04-01/Accounts/{sid}/Messages.json"
        response = await post(http, address, form=content, headers=basic(sid, token))
        if not response.is_success:
            raise failure(response)
        return _receipt(response)


def body(message: Outgoing, account: Account) -> dict[str, Any]:
    """The form Twilio is sent. Raises SendError for what it would refuse anyway, saying why."""
    content: dict[str, Any] = {"To": _recipient(message, account), **_sender(account)}
    content |= _template(message, account) if message.template else _words(message, account)
    content["StatusCallback"] = twilio.address(
        account, STATUS, urlencode({CORRELATION: str(message.id)})
    )
    return content


def _words(message: Outgoing, account: Account) -> dict[str, Any]:
    text = clean_text(message.text)
    if len(text) > _LONGEST_TEXT:
        raise SendError(
            "rejected",
            f"the text has {len(text)} characters and Twilio takes {_LONGEST_TEXT}: shorten it",
        )
    most = _MOST_FILES[account.channel]
    urls = [file.url for file in message.files or message.attachments]
    if len(urls) > most:
        raise SendError("rejected", f"Twilio takes {most} file(s) in one message: send fewer")
    if not all(urls):
        raise SendError(
            "rejected",
            "Twilio fetches files from a public address: set REGIE_PUBLIC_URL, "
            "or send the text, with a link",
        )
    if not (text.strip() or urls):
        raise SendError("rejected", "there is no text to send")
    return ({"Body": text} if text.strip() else {}) | ({"MediaUrl": urls} if urls else {})


def _template(message: Outgoing, account: Account) -> dict[str, str]:
    chosen = mapping_at(mapping_at(dict(account.settings), "templates"), message.template)
    content_sid = text_at(chosen, "name")
    if not _TEMPLATE.fullmatch(content_sid):
        raise SendError(
            "rejected",
            f"account {account.name} has no template {message.template!r}: add it under "
            "`templates` in the channels file, with its ContentSid (HX…) as its name",
        )
    given = message.attributes.get("parameters")
    if given is None:
        given = (message.text,) if message.text.strip() else ()
    texts = given if isinstance(given, list | tuple) else (given,)
    if not texts:
        return {"ContentSid": content_sid}
    # Line breaks, tabs and runs of blanks are refused in a variable (63013, 63028).
    variables = {
        str(place): " ".join(clean_text(str(text)).split()) for place, text in enumerate(texts, 1)
    }
    return {
        "ContentSid": content_sid,
        "ContentVariables": json.dumps(variables, ensure_ascii=False),
    }


def _recipient(message: Outgoing, account: Account) -> str:
    on_whatsapp = account.channel == "whatsapp"
    match message.recipient.scheme:
        case "e164":
            return ("whatsapp:" if on_whatsapp else "") + message.recipient.value
        case "bsuid" if on_whatsapp:
            return f"whatsapp:{message.recipient.value}"
        case other:
            raise SendError(
                "invalid_recipient", f"Twilio reaches a number by {account.channel}, not {other!r}"
            )


def _sender(account: Account) -> Mapping[str, str]:
    prefix = "whatsapp:" if account.channel == "whatsapp" else ""
    service = text_at(dict(account.settings), "messaging_service")
    # With a service too, the number they know us by is the one that answers.
    return {"From": prefix + text_at(dict(account.settings), "number")} | (
        {"MessagingServiceSid": service} if service else {}
    )


def _credentials(account: Account) -> tuple[str, str]:
    sid, tokens = text_at(dict(account.settings), "account_sid"), account.secrets("auth_token")
    if not (sid and tokens):
        missing = "auth_token" if sid else "account_sid"
        raise SendError("token", f"account {account.name} has no {missing}: it cannot send")
    return sid, tokens[0]


def _receipt(response: httpx.Response) -> Receipt:
    try:
        sent = response.json()
    except (ValueError, RecursionError):
        sent = None
    code = text_at(sent, "error_code")
    if text_at(sent, "status") in ("failed", "undelivered", "canceled"):
        raise refused(code, text_at(sent, "error_message"))
    if not (sid := text_at(sent, "sid")):
        raise SendError("unconfirmed", "Twilio said yes without a message id", doubtful=True)
    return Receipt(provider_id=sid)
