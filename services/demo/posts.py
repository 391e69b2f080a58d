"""Requests as the providers send them, signed as they sign: pure, ready to be posted.

Sources: developers.facebook.com, "Create a webhook endpoint"; documentation.mailgun.com,
"Securing webhooks"; github.com/standard-webhooks. Twilio's calls stand in `calls.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode

import orjson

from shared.accounts import Account
from shared.channels.providers import standard_webhooks
from shared.ids import new_id


@dataclass(frozen=True)
class Post:
    """One POST to a door."""

    path: str
    headers: Mapping[str, str]
    content: bytes


def whatsapp_text(number: str, text: str, answers: str = "") -> dict[str, Any]:
    """A message of a customer's; `answers` is the wamid it was typed under."""
    message = _item(number) | {"type": "text", "text": {"body": text}}
    return message | ({"context": {"id": answers}} if answers else {})


def whatsapp_reaction(number: str, emoji: str, to: str) -> dict[str, Any]:
    return _item(number) | {"type": "reaction", "reaction": {"message_id": to, "emoji": emoji}}


def whatsapp_status(wamid: str, status: str, number: str, correlation: str) -> dict[str, Any]:
    """Meta's word on a message of ours."""
    return {
        "id": wamid,
        "status": status,
        "timestamp": _now(),
        "recipient_id": number,
        "biz_opaque_callback_data": correlation,
    }


def whatsapp(account: Account, item: Mapping[str, Any], name: str = "") -> Post:
    """Meta posts one item, a message or a status."""
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": str(account.settings["number"]).lstrip("+"),
            "phone_number_id": account.settings["phone_number_id"],
        },
    }
    if "status" in item:
        value["statuses"] = [item]
    else:
        value["contacts"] = [{"profile": {"name": name}, "wa_id": item["from"]}]
        value["messages"] = [item]
    change = {"value": value, "field": "messages"}
    entry = {"id": "100000000000009", "changes": [change]}
    body = orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})
    signature = hmac.new(account.secrets("app_secret")[0].encode(), body, hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "x-hub-signature-256": f"sha256={signature.hexdigest()}",
    }
    return Post(f"/webhooks/{account.name}", headers, body)


def mail(account: Account, message: EmailMessage) -> Post:
    """Mailgun's route forwards the raw MIME."""
    stamp, token = _now(), secrets.token_hex(25)
    key = account.secrets("signing_key")[0].encode()
    form = {
        "recipient": str(account.settings["address"]),
        "sender": str(message["From"]),
        "from": str(message["From"]),
        "subject": str(message["Subject"]),
        "timestamp": stamp,
        "token": token,
        "signature": hmac.new(key, (stamp + token).encode(), hashlib.sha256).hexdigest(),
        "body-mime": message.as_bytes().decode(),
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Post(f"/webhooks/{account.name}/mime", headers, urlencode(form).encode())


def portal(account: Account, message: Mapping[str, Any]) -> Post:
    """The shop's own web site, by Standard Webhooks."""
    moment = datetime.now(UTC)
    body = orjson.dumps({"type": "message", "timestamp": moment, "data": message})
    id, stamp = f"msg_{new_id().hex}", int(moment.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": standard_webhooks.sign(account.secrets("secret")[0], id, stamp, body),
    }
    return Post(f"/webhooks/{account.name}", headers, body)


def _item(number: str) -> dict[str, Any]:
    return {"from": number, "id": f"wamid.DEMO{secrets.token_hex(14).upper()}", "timestamp": _now()}


def _now() -> str:
    return str(int(time.time()))
