"""X: both envelopes, the challenge, the signature, and who typed what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.channels import WebhookRequest
from shared.channels.x import XInbound
from shared.errors import Forbidden, Unreadable
from shared.events import MessageReceived
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
    post,
)

CASES = json.loads((Path(__file__).parent / "x" / "payloads.json").read_text())
ACCOUNTS = load(
    """
    accounts:
      desk-x: {channel: x, provider: x, user_id: "4337869213", consumer_secret: [new, old]}
      app-x: {channel: x, provider: x, user_id: "55", app_id: "777", consumer_secret: new}
      other-x: {channel: x, provider: x, user_id: "999", consumer_secret: another}
    """
)
DESK = named(ACCOUNTS, "desk-x")


def signed(body: bytes, secret: str = "new") -> WebhookRequest:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return post(
        body, {"x-twitter-webhooks-signature": f"sha256={base64.b64encode(digest).decode()}"}
    )


def body_of(case: Any) -> bytes:
    return json.dumps(case["received"]).encode()


DOOR = Door(
    XInbound(),
    DESK,
    ACCOUNTS,
    sign=signed,
    body=body_of(CASES[0]),
    wrong=[
        {"x-twitter-webhooks-signature": "sha256=" + "A" * 43 + "="},
        {"x-twitter-webhooks-signature": "é☃"},
        dict(signed(body_of(CASES[0]), "another").headers),
    ],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_payload(case: Any) -> None:
    parsed = DOOR.parse(signed(body_of(case)))
    assert len(parsed.messages) == len(case["messages"])
    for message, want in zip(parsed.messages, case["messages"], strict=True):
        assert {field: shown(message, field) for field in want} == want
    states = [[s.provider_id, s.status, _json(s.at)] for s in parsed.statuses]
    assert states == case.get("statuses", [])
    assert len(parsed.parked) == len(case.get("parked", []))
    for parked, reason in zip(parsed.parked, case.get("parked", []), strict=True):
        assert reason in parked.reason
        assert parked.raw


def test_a_message_by_both_envelopes_is_one() -> None:
    older, newer = (DOOR.parse(signed(body_of(case))).messages[0] for case in CASES[:2])
    assert older.id == newer.id


def test_who_typed_it_is_known_by_our_app_where_it_is_named() -> None:
    event = {
        "for_user_id": "55",
        "direct_message_events": [
            {"type": "message_create", "id": id, "created_timestamp": "1790848800000",
             "message_create": {"target": {"recipient_id": "3"}, "sender_id": "55",
                                "source_app_id": app, "message_data": {"text": "hello"}}}
            for id, app in (("1", "777"), ("2", "888"))
        ],
    }  # fmt: skip
    (message,) = DOOR.parse(signed(json.dumps(event).encode())).messages
    assert (message.provider_event_id, message.echo, message.account) == ("2", True, "app-x")


def test_the_challenge_is_answered_as_the_documentation_shows() -> None:
    request = WebhookRequest(
        "GET", "", [("crc_token", "foo")], "crc_token=foo", {}, b"", RECEIVED_AT
    )
    answer = XInbound().handshake(request, DESK)
    digest = hmac.new(b"new", b"foo", hashlib.sha256).digest()
    assert json.loads(answer.body) == {
        "response_token": "sha256=" + base64.b64encode(digest).decode()
    }
    assert answer.content_type == "application/json"


def test_any_other_get_is_refused() -> None:
    with pytest.raises(Forbidden):
        XInbound().handshake(WebhookRequest("GET", "", [], "", {}, b"", RECEIVED_AT), DESK)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nothing", b'{"data": 1}'])
def test_what_is_no_webhook_of_x_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        DOOR.parse(signed(body))


def shown(message: MessageReceived, field: str) -> Any:
    match field:
        case "who":
            return str(message.sender.identities[0])
        case "sender":
            return message.sender.name
        case "files":
            return [[f.url, f.content_type, f.media_id] for f in message.attachments]
        case "occurred_at":
            return _json(message.occurred_at)
    return getattr(message, field)


def _json(value: Any) -> Any:
    return msgspec.to_builtins(value)
