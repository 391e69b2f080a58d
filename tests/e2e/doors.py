"""Customers at the real doors: each provider's request, signed as the provider signs it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import orjson

from tests.rooms import SECRETS


@dataclass
class Doors:
    """Sends to the accounts of deploy/channels.yaml."""

    client: httpx.AsyncClient

    async def whatsapp(self, text: str, number: str = "31612345678", **more: Any) -> httpx.Response:
        return await self.meta(whatsapp_message(text, number, **more))

    async def meta(self, *items: dict[str, Any]) -> httpx.Response:
        """One POST with these messages, or statuses."""
        body = orjson.dumps(envelope(*items))
        return await self.raw_meta(body, meta_signature(body))

    async def raw_meta(self, body: bytes, signature: str) -> httpx.Response:
        headers = {"X-Hub-Signature-256": signature, "Content-Type": "application/json"}
        return await self.client.post("/webhooks/desk-whatsapp", content=body, headers=headers)

    async def mail(self, mail: EmailMessage) -> httpx.Response:
        """Mailgun forwards the raw MIME."""
        stamp, token = str(int(time.time())), uuid4().hex
        key = SECRETS["MAILGUN_SIGNING_KEY"].encode()
        form = {
            "recipient": "support@example.org",
            "sender": str(mail["From"]),
            "timestamp": stamp,
            "token": token,
            "signature": hmac.new(key, f"{stamp}{token}".encode(), hashlib.sha256).hexdigest(),
            "body-mime": mail.as_bytes().decode(),
        }
        return await self.client.post("/webhooks/support-mail/mime", data=form)

    async def call(self, path: str = "", query: str = "", **form: str) -> httpx.Response:
        """A request of Twilio's about a call; the signature is over the public URL."""
        url = f"https://regie.example.org/webhooks/desk-phone{path}"
        values = {"To": "+31880000000", "Direction": "inbound", **form}
        return await self.signed_call(url + (f"?{query}" if query else ""), values)

    async def signed_call(self, url: str, form: dict[str, str]) -> httpx.Response:
        """As Twilio follows a URL of our TwiML."""
        signed = url + "".join(name + form[name] for name in sorted(form))
        key = SECRETS["TWILIO_AUTH_TOKEN"].encode()
        signature = base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha1).digest()).decode()
        return await self.client.post(
            url.removeprefix("https://regie.example.org"),
            content=urlencode(form),
            headers={
                "X-Twilio-Signature": signature,
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )


def meta_signature(body: bytes) -> str:
    key = SECRETS["META_APP_SECRET"].encode()
    return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def whatsapp_message(text: str, number: str = "31612345678", **more: Any) -> dict[str, Any]:
    return {
        "from": number,
        "id": f"wamid.{uuid4().hex}",
        "timestamp": str(int(time.time())),
        "type": "text",
        "text": {"body": text},
        **more,
    }


def whatsapp_status(provider_id: str, status: str) -> dict[str, Any]:
    return {
        "id": provider_id,
        "status": status,
        "timestamp": str(int(time.time())),
        "recipient_id": "31612345678",
    }


def envelope(*items: dict[str, Any]) -> dict[str, Any]:
    messages = [item for item in items if "type" in item]
    value: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "31880000001", "phone_number_id": "106540352242922"},
        "contacts": [
            {"profile": {"name": "Ada"}, "wa_id": number}
            for number in sorted({str(item["from"]) for item in messages})
        ],
        "messages": messages,
        "statuses": [item for item in items if "status" in item],
    }
    change = {"field": "messages", "value": {name: part for name, part in value.items() if part}}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [change]}],
    }


def a_mail(text: str, sender: str = "Ada <ada@example.org>", **headers: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = "support@example.org"
    mail["Message-ID"] = f"<{uuid4().hex}@example.org>"
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail
