"""WhatsApp traffic in any amount: what customers write, as Meta posts and signs it."""

from __future__ import annotations

import hashlib
import hmac
import random
import time
from collections.abc import Iterator
from typing import Any, Final

import orjson

SECRET: Final = "benchmark-app-secret"
NUMBER_ID: Final = "106540352242922"
CHANNELS: Final = f"""
accounts:
  desk-whatsapp:
    channel: whatsapp
    provider: meta
    phone_number_id: "{NUMBER_ID}"
    app_secret: {SECRET}
    verify_token: benchmark-verify-token
"""
_TEXTS: Final = (
    "Hello, where is my parcel 3SABC{n:07d}? It should have come yesterday.",
    "Goedemorgen, mijn pakket {n} is beschadigd aangekomen, wat moet ik doen?",
    "Can I change the delivery address of my order {n}? I am not at home on Friday.",
    "Dank u wel, en kunt u mij ook zeggen wanneer bestelling {n} komt?",
    "I did not get an answer about order {n} yet 🙂 — could somebody look, please?",
)


class Writers:
    """Customers who write one after the other; the same seed gives the same traffic.

    follow_ups  the part of all messages that come from somebody who wrote before
    """

    def __init__(self, follow_ups: float = 0.0, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._follow_ups = follow_ups
        self._customers = 0
        self._written = 0

    def bodies(self, count: int, each: int = 1) -> Iterator[bytes]:
        """Webhook bodies that together hold `count` messages, `each` to a body."""
        for start in range(0, count, each):
            messages = [self._message() for _ in range(min(each, count - start))]
            yield orjson.dumps(_envelope(messages))

    def _message(self) -> tuple[dict[str, Any], str]:
        self._written += 1
        if self._customers and self._random.random() < self._follow_ups:
            customer = self._random.randrange(self._customers)
        else:
            customer, self._customers = self._customers, self._customers + 1
        number = f"316{customer:08d}"
        message = {
            "from": number,
            "id": f"wamid.HBgL{self._random.getrandbits(96):024X}{self._written:08d}",
            "timestamp": str(int(time.time())),
            "type": "text",
            "text": {"body": self._random.choice(_TEXTS).format(n=customer)},
        }
        return message, number


def _envelope(messages: list[tuple[dict[str, Any], str]]) -> dict[str, Any]:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "31880001234", "phone_number_id": NUMBER_ID},
        "contacts": [{"profile": {"name": f"N {wa}"}, "wa_id": wa} for _, wa in messages],
        "messages": [message for message, _ in messages],
    }
    change = {"value": value, "field": "messages"}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [change]}],
    }


def signed_request(body: bytes, path: str = "/webhooks/desk-whatsapp") -> bytes:
    """The whole request, as it goes over a kept connection."""
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        "User-Agent: facebookexternalua\r\n"
        "Accept: */*\r\n"
        "Content-Type: application/json\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
