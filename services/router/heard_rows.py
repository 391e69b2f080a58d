"""A customer's message as a row."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.router.commands import CustomerFacts
from services.router.models import MessageRow
from shared.events import MessageReceived

REPLACING: Final = frozenset(("edit", "revoke"))


def row(
    message: MessageReceived, case_id: UUID, customer: CustomerFacts, marked: str, now: datetime
) -> MessageRow:
    reference = "" if message.kind in REPLACING else message.thread.message_id
    return MessageRow(
        id=message.id, case_id=case_id, customer_id=customer.id, account=message.account,
        channel=message.channel, direction="in", kind=message.kind, state="received",
        authentication=message.sender.authentication, author=message.sender.name,
        provider_id=reference, subject=message.subject, text=message.text, marked=marked,
        occurred_at=message.occurred_at, received_at=message.received_at,
        processed_at=now, data=msgspec.json.encode(data(message, customer)).decode(),
    )  # fmt: skip


def data(message: MessageReceived, customer: CustomerFacts | None = None) -> dict[str, Any]:
    """What has no column of its own; `customer`: what the rules knew of them, for a dry run."""
    rest = {
        "product": message.product,
        "priority": message.priority,
        "customer": None if customer is None else _known_of(customer),
        "reply_text": message.reply_text if message.reply_text != message.text else "",
        "sender": [str(identity) for identity in message.sender.identities],
        "claimed": message.sender.customer_ref if message.sender.authentication != "proven" else "",
        "attachments": message.attachments,
        "automatic": message.automatic,
        "attributes": message.attributes,
        "draft": message.draft,
        "call": message.call,
        "language": message.language,
        "thread": message.thread,
        "text_blob": message.text_blob,
        "html_blob": message.html_blob,
        "raw": message.raw,
        "raw_blob": message.raw_blob,
    }
    return {name: value for name, value in rest.items() if value}


def _known_of(customer: CustomerFacts) -> dict[str, str | bool]:
    facts: dict[str, str | bool] = {
        "known": customer.known, "group": customer.group, "internal": customer.internal,
        "language": customer.language,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value}
