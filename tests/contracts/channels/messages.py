"""Tables of what a provider sends and what must come of it, read the same way for each provider.

A case is a request (`path`, `query`, and one of `form`, `json`, `raw`) and what it becomes: one
`message`, one `status`, `parked` with a reason, or `unreadable`. What a case does not name is not
compared, or must be empty (NOTHING); `"at": "received"` is the time of receipt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from shared.channels import Parsed
from shared.events import DeliveryStatusReceived, MessageReceived
from tests.contracts.channels.behaviour import RECEIVED_AT

Case = Mapping[str, Any]
NOTHING: Case = {
    "attachments": [],
    "attributes": {},
    "automatic": False,
    "references": [],
    "target": "",
}
_HERE = Path(__file__).parent


def table(path: str) -> list[Case]:
    cases: list[Case] = json.loads((_HERE / path).read_text())
    assert len({case["name"] for case in cases}) == len(cases)
    return cases


def name_of_case(case: Case) -> str:
    return str(case["name"])


def body_of(case: Case) -> bytes:
    if "form" in case:
        return urlencode(case["form"]).encode()
    if "raw" in case:
        return str(case["raw"]).encode()
    # As JSON is written on the wire by most: escaped, so that nothing depends on an encoding.
    return json.dumps(case["json"]).encode()


def check(case: Case, parsed: Parsed) -> None:
    """Compares what came with what the case says must come, and nothing besides it."""
    if "message" in case:
        (message,) = parsed.messages
        _equal(_message(message), {**NOTHING, **case["message"]})
        assert msgspec.json.decode(msgspec.json.encode(message), type=MessageReceived) == message
    elif "status" in case:
        (status,) = parsed.statuses
        _equal(_status(status), case["status"])
    else:
        (parked,) = parsed.parked
        assert case["parked"] in parked.reason
        assert parked.raw
        assert parked.key
    assert len(parsed.messages) + len(parsed.statuses) + len(parsed.parked) == 1


def _equal(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert {name: found[name] for name in expected} == dict(expected)


def _message(message: MessageReceived) -> Mapping[str, Any]:
    attributes = message.attributes
    assert message.reply_text == message.text
    assert message.raw, "the provider's own item is gone"
    return {
        "account": message.account,
        "kind": message.kind,
        "provider_event_id": message.provider_event_id,
        "text": message.text,
        "identities": [str(identity) for identity in message.sender.identities],
        "authentication": message.sender.authentication,
        "name": message.sender.name,
        "recipient": message.recipient,
        "at": _at(message.occurred_at),
        "attachments": [[f.name, f.content_type, f.url] for f in message.attachments],
        "attributes": attributes,
        "automatic": message.automatic,
        "references": list(message.thread.references),
        "target": message.thread.target,
        "window": message.reply_window_closes_at is not None,
    }


def _status(status: DeliveryStatusReceived) -> Mapping[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(status)
    return {"correlation": "", "code": "", "reason": ""} | fields | {"at": _at(status.at)}


def _at(at: datetime) -> str:
    return "received" if at == RECEIVED_AT else at.isoformat().replace("+00:00", "Z")
