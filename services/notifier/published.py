"""A case event as subscribers read it: `{type, timestamp, data}`, at most 20,000 bytes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.notifier.catalogue import CATALOGUE, TEST
from shared.events import Attachment, CaseChanged, Event, ReplyRequested, type_name

LARGEST: Final = 20_000  # bytes; Standard Webhooks 1.0, "Payload structure"
_KEPT_OF_A_TEXT: Final = 500  # characters
_CODE: Final = re.compile(r"\bR(-?)\s?([0-9A-Z]{4})(-?)\s?([0-9A-Z]{4})\b", re.IGNORECASE)
_SHOWN: Final = ("subject", "preview", "text", "what", "comment")
# Worked out, not only named: an agent's words.
ALSO: Final[Mapping[type[Event], tuple[str, ...]]] = {ReplyRequested: ("text", "attachments")}
_PLACE: Final = ("case_id", "version", "seq", "team", "channel", "url")
_ENCODER: Final = msgspec.json.Encoder()


def published(change: CaseChanged, base: str = "") -> bytes:
    """The body. `team` and `channel` are the case's, where the event has none of its own; `base`
    is REGIE_PUBLIC_URL. What is too long is cut, and says so: `url` has all of it."""
    url = f"{base.rstrip('/')}/v1/cases/{change.case_id}"
    data: dict[str, Any] = {
        "case_id": change.case_id, "version": change.version, "seq": change.seq,
        "team": change.team, "channel": change.channel, "url": url,
    }  # fmt: skip
    data |= _fields(change)
    body = {"type": type_name(type(change.event).__name__), "timestamp": change.at, "data": data}
    encoded = _ENCODER.encode(body)
    return encoded if len(encoded) <= LARGEST else _ENCODER.encode(_cut(body))


def ping(subscription: UUID, at: datetime) -> bytes:
    """What `/test` sends."""
    data = {"subscription_id": subscription, "message": "This is a test: nothing has happened."}
    return _ENCODER.encode({"type": TEST, "timestamp": at, "data": data})


def _fields(change: CaseChanged) -> dict[str, Any]:
    event = change.event
    fields: dict[str, Any] = {}
    for each in CATALOGUE[type(event)].fields:
        name, _, shown = each.partition(":")
        value = getattr(event, name)
        fields[shown or name] = without_codes(value) if name in _SHOWN else value
    if isinstance(event, ReplyRequested):
        fields |= _said(event)
    return fields


def _said(reply: ReplyRequested) -> dict[str, Any]:
    """An agent's words; what Regie writes by itself holds codes and links that open something."""
    ours = reply.secret or reply.purpose != "answer"
    return {
        "subject": "" if ours else without_codes(reply.subject),
        "text": "" if ours else without_codes(reply.text),
        "attachments": [] if ours else [_file(each) for each in reply.attachments],
    }


def _file(file: Attachment) -> dict[str, Any]:
    return {"name": file.name, "content_type": file.content_type, "size": file.size}


def without_codes(text: str | None) -> str | None:
    """The text with resume codes hidden: who reads one could take the conversation over."""
    return _CODE.sub(_hidden, text) if text else text


def _hidden(found: re.Match[str]) -> str:
    letters = found[2] + found[4]
    is_code = (found[1] and found[3]) or any(letter.isdigit() for letter in letters)
    return "R-****-****" if is_code else found[0]


def _cut(body: dict[str, Any]) -> dict[str, Any]:
    """The longest fields first: a text to its beginning, anything else away."""
    data = msgspec.to_builtins(body["data"]) | {"truncated": True}
    body = body | {"data": data}
    cuttable = [name for name in data if name not in (*_PLACE, "truncated")]
    for name in sorted(cuttable, key=lambda name: -len(_ENCODER.encode(data[name]))):
        if len(_ENCODER.encode(body)) <= LARGEST:
            break
        value = data[name]
        data[name] = f"{value[:_KEPT_OF_A_TEXT]}…" if isinstance(value, str) else None
    return body
