"""WhatsApp by Meta: every payload in `whatsapp/`, the handshake, who owns what, and noise."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels import Parsed, WebhookRequest
from shared.channels.whatsapp import MetaInbound
from shared.errors import Forbidden, Unauthenticated, Unreadable
from shared.ids import event_id
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
    post,
    survives,
)

CASES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "whatsapp").glob("*.json"))
}
SECRET, OTHER, OLD = "app-secret-of-the-desk", "app-secret-of-another", "app-secret-of-last-year"
ACCOUNTS = load(
    """
    accounts:
      desk-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "106540352242922"
        app_secret: ["${NEW}", "${OLD}"]
        verify_token: ["${TOKEN}", another-token]
        access_token: ${ACCESS}
      night-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "200"
        app_secret: ${NEW}
        verify_token: ${TOKEN}
        access_token: ${ACCESS}
      elsewhere-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "300"
        app_secret: ${OTHER}
        verify_token: ${TOKEN}
        access_token: ${ACCESS}
    """,
    NEW=SECRET, OLD=OLD, OTHER=OTHER, TOKEN="our-verify-token", ACCESS="EAAB-access",
)  # fmt: skip
DESK = named(ACCOUNTS, "desk-whatsapp")


def signed(body: bytes, secret: str = SECRET) -> WebhookRequest:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return post(body, {"x-hub-signature-256": f"sha256={digest}"})


def body_of(name: str) -> bytes:
    # As Meta writes it: ASCII only, and slashes escaped.
    return json.dumps(CASES[name]["received"]).replace("/", "\\/").encode()


def parse(payload: Any) -> Parsed:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return MetaInbound().parse(signed(body), DESK, ACCOUNTS)


def read(name: str) -> Any:
    return copy.deepcopy(CASES[name]["received"])


DOOR = Door(
    MetaInbound(),
    DESK,
    ACCOUNTS,
    sign=signed,
    body=body_of("many_in_one"),
    wrong=[
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": "sha1=" + "0" * 40},
        {"x-hub-signature-256": "sha256=é☃"},
        {
            "x-hub-signature-256": signed(body_of("many_in_one"), OTHER).headers[
                "x-hub-signature-256"
            ]
        },
    ],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


@pytest.mark.parametrize("name", CASES)
def test_payload(name: str) -> None:
    parsed = parse(body_of(name))
    expected = CASES[name]["expected"]
    for message, want in pairs(parsed.messages, expected["messages"]):
        assert {field: shown(message, field) for field in want} == want
        wamid, kind = want["provider_event_id"], want["kind"]
        assert message.id == event_id("desk-whatsapp", wamid, kind)
        assert (message.account, message.channel) == ("desk-whatsapp", "whatsapp")
        assert message.sender.authentication == "proven"
    for status, want in pairs(parsed.statuses, expected["statuses"]):
        assert {field: shown(status, field) for field in want} == want
        assert status.id == event_id("desk-whatsapp", want["provider_id"], "status", want["status"])
    for item, want in pairs(parsed.parked, expected["parked"]):
        assert want["reason"] in item.reason
        assert want["key"] == item.key
        assert json.loads(item.raw) is not None


def pairs(found: Sequence[Any], wanted: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    assert len(found) == len(wanted), found
    return zip(found, wanted, strict=True)


def shown(event: Any, field: str) -> Any:
    """A field of an event, as the payload tables write it."""
    match field:
        case "identities":
            return [str(identity) for identity in event.sender.identities]
        case "name":
            return event.sender.name
        case "references" | "target" | "message_id":
            value = getattr(event.thread, field)
        case "attribute_names":
            value = list(event.attributes)
        case _:
            value = getattr(event, field)
    return json.loads(msgspec.json.encode(value))


def test_the_item_itself_is_kept() -> None:
    message = parse(body_of("text_forwarded")).messages[0]
    item = read("text_forwarded")["entry"][0]["changes"][0]["value"]["messages"][0]
    assert message.raw == item
    parked = parse(body_of("many_in_one")).parked[0]
    item = read("many_in_one")["entry"][0]["changes"][0]["value"]["messages"][1]
    assert json.loads(parked.raw) == item


def test_nothing_unfit_for_the_database_is_kept() -> None:
    message = parse(body_of("text_emoji_and_escapes")).messages[0]
    written = msgspec.json.encode(message)
    assert b"\\u0000" not in written
    assert "half  end/" in json.loads(written)["raw"]["text"]["body"]


def test_a_thousand_updates_in_one_request() -> None:
    payload = read("text")
    value = payload["entry"][0]["changes"][0]["value"]
    pattern = value["messages"][0]
    value["messages"] = [pattern | {"id": f"wamid.{number}"} for number in range(1000)]
    parsed = parse(payload)
    assert [each.provider_event_id for each in parsed.messages] == [
        f"wamid.{number}" for number in range(1000)
    ]
    assert len({each.id for each in parsed.messages}) == 1000


def test_each_item_belongs_to_the_number_it_names() -> None:
    payload = read("many_in_one")
    first, second = payload["entry"][0]["changes"]
    first["value"]["metadata"]["phone_number_id"] = "200"
    second["value"]["metadata"]["phone_number_id"] = 200  # a number where a text is usual
    parsed = parse(payload)
    assert {each.account for each in parsed.messages} == {"night-whatsapp"}
    assert {each.account for each in parsed.statuses} == {"night-whatsapp"}
    assert parsed.messages[0].id == event_id(
        "night-whatsapp", parsed.messages[0].provider_event_id, "message"
    )


def test_a_number_of_another_app_is_parked() -> None:
    payload = read("text")
    payload["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"] = "300"
    parsed = parse(payload)
    assert parsed.messages == []
    assert "phone_number_id 300 is no account with this app secret" in parsed.parked[0].reason


def test_the_old_secret_still_counts_while_secrets_rotate() -> None:
    body = body_of("text")
    MetaInbound().verify(signed(body, OLD), DESK)
    with pytest.raises(Unauthenticated):
        MetaInbound().verify(signed(body, OTHER), DESK)


def test_the_signature_covers_the_bytes_on_the_wire() -> None:
    body = json.dumps(read("text")).encode()
    spelt_otherwise = json.dumps(read("text"), indent=1).encode()
    request = signed(body)
    with pytest.raises(Unauthenticated):
        MetaInbound().verify(replace(request, body=spelt_otherwise), DESK)


def handshake(**asked: str) -> WebhookRequest:
    query = [(name.replace("_", ".", 1), value) for name, value in asked.items()]
    return WebhookRequest("GET", "", query, "", {}, b"", RECEIVED_AT)


@pytest.mark.parametrize("token", ["our-verify-token", "another-token"])
def test_the_handshake_returns_the_challenge(token: str) -> None:
    asked = handshake(hub_mode="subscribe", hub_challenge="1158201444", hub_verify_token=token)
    answer = MetaInbound().handshake(asked, DESK)
    assert (answer.status, answer.body) == (200, b"1158201444")
    assert answer.content_type.startswith("text/plain")


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({}, "hub.mode=subscribe"),
        ({"hub_mode": "subscribe", "hub_verify_token": "our-verify-token"}, "hub.challenge"),
        ({"hub_mode": "unsubscribe", "hub_challenge": "1"}, "hub.mode=subscribe"),
        ({"hub_mode": "subscribe", "hub_challenge": "1"}, "enter the same one"),
        (
            {"hub_mode": "subscribe", "hub_challenge": "1", "hub_verify_token": "wróng"},
            "enter the same one",
        ),
    ],
)
def test_a_handshake_of_a_stranger_is_refused(asked: dict[str, str], detail: str) -> None:
    with pytest.raises(Forbidden) as refusal:
        MetaInbound().handshake(handshake(**asked), DESK)
    assert detail in refusal.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"object": "page", "entry": []}',
        b'{"object": "whatsapp_business_account"}',
        b'{"object": "whatsapp_business_account", "entry": {}}',
        b"[" * 100_000,
        b'{"object": "whatsapp_business_account", "entry": ' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_what_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["text", "image", "system", "31612340001", "NL.123", "wamid.x", "sent"]),
    lambda each: st.lists(each, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "type", "from", "timestamp", "text", "body", "image", "caption", "contacts"]
        )
        | st.text(max_size=5),
        each,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(sorted(CASES)), data=st.data())
def test_any_shape_under_a_good_signature_is_survived(name: str, data: st.DataObject) -> None:
    payload = read(name)
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(list(places(payload))))
        holder[key] = data.draw(SHAPES)
    survives(DOOR, json.dumps(payload).encode())


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])
