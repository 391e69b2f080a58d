"""The generic door: the posted JSON, field by field, and its signed webhook."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.channels import NewBlob, Parsed, WebhookRequest
from shared.channels.portal import GenericInbound, message_from_json
from shared.channels.providers.standard_webhooks import sign
from shared.errors import Invalid, NotFound, Unauthenticated, Unreadable
from shared.events import Call, Identity, MessageReceived
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

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
ACCOUNTS = load(
    """
    accounts:
      service-portal: {channel: portal, provider: generic, secret: "${SECRET}", region: NL}
      front-desk: {channel: counter, provider: generic, secret: ["${OTHER}", "${SECRET}"]}
      colleagues: {channel: internal, provider: generic, secret: "${OTHER}"}
      keyed-portal: {channel: portal, provider: generic}
    """,
    SECRET=SECRET, OTHER=OTHER,
)  # fmt: skip
PORTAL = named(ACCOUNTS, "service-portal")
DESK = named(ACCOUNTS, "front-desk")
COLLEAGUES = named(ACCOUNTS, "colleagues")

POSTED: dict[str, Any] = {
    "account": "service-portal",
    "kind": "message",
    "from": {
        "scheme": "email",
        "address": "Noor@Example.org",
        "name": "Noor de Wit",
        "verified": True,
        "customer_ref": "1001",
    },
    "subject": "Damaged parcel",
    "text": "The corner is torn.\n",
    "language": "nl-NL",
    "attachments": [
        {
            "name": "C:\\photos\\corner.jpg",
            "content_type": "image/jpeg",
            "content": base64.b64encode(b"\xff\xd8 a photo").decode(),
        }
    ],
    "occurred_at": "2026-10-01T13:30:00+02:00",
    "id": "form-77",
    "thread": "form-12",
    "product": "claims",
    "priority": "high",
    "draft": {"order_number": "A-1", "photos": 2},
    "attributes": {"source": "app"},
}


def signed(body: bytes, secret: str = SECRET, id: str = "msg_1") -> WebhookRequest:
    seconds = int(RECEIVED_AT.timestamp())
    return post(
        body,
        {
            "webhook-id": id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(secret, id, seconds, body),
        },
    )


def parse(posted: Any) -> Parsed:
    return GenericInbound().parse(signed(json.dumps(posted).encode()), PORTAL, ACCOUNTS)


def take(
    change: Mapping[str, Any] | None = None, **fields: Any
) -> tuple[MessageReceived, list[NewBlob]]:
    """A small message with these fields, read as `POST /v1/messages` reads it."""
    body: dict[str, Any] = {
        "account": "service-portal",
        "from": {"address": "jo@example.org"},
        "text": "Hello",
    }
    body |= change or {}
    body |= fields
    given = {name: value for name, value in body.items() if value is not ...}
    return message_from_json(given, PORTAL, RECEIVED_AT, "request-1")


def faults(change: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refusal:
        take(change, **fields)
    found = {each["field"]: each["message"] for each in refusal.value.extra["errors"]}
    for field, message in found.items():
        assert field in refusal.value.detail or field == "message"
        assert message in refusal.value.detail
    return found


DOOR = Door(
    GenericInbound(),
    PORTAL,
    ACCOUNTS,
    sign=signed,
    body=json.dumps(POSTED).encode(),
    wrong=[
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(RECEIVED_AT.timestamp()) - 301)},
        {"webhook-signature": "v1,AAAA"},
        {
            "webhook-signature": signed(json.dumps(POSTED).encode(), OTHER).headers[
                "webhook-signature"
            ]
        },
    ],
)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


def test_every_field_arrives() -> None:
    parsed = parse(POSTED)
    (message,) = parsed.messages
    assert message.id == event_id("service-portal", "form-77", "message")
    assert (message.account, message.channel, message.kind) == (
        "service-portal", "portal", "message",
    )  # fmt: skip
    assert message.sender.identities == (
        Identity(scheme="email", value="noor@example.org"),
        Identity(scheme="customer_no", value="1001"),
    )
    assert (message.sender.authentication, message.sender.name) == ("proven", "Noor de Wit")
    assert message.sender.customer_ref == "1001"
    assert (message.subject, message.text) == ("Damaged parcel", "The corner is torn.")
    assert message.reply_text == message.text
    assert message.language == "nl-NL"
    assert message.occurred_at == datetime(2026, 10, 1, 11, 30, tzinfo=UTC)
    assert message.received_at == RECEIVED_AT
    assert message.thread.message_id == message.provider_event_id == "form-77"
    assert message.thread.references == ("form-12",)
    assert (message.product, message.priority) == ("claims", "high")
    assert message.draft == {"order_number": "A-1", "photos": 2}
    assert message.attributes == {"source": "app"}
    assert message.raw is None


def test_a_file_is_kept_before_the_event_that_names_it() -> None:
    parsed = parse(POSTED)
    (file,) = parsed.messages[0].attachments
    (blob,) = parsed.blobs
    digest = hashlib.sha256(b"\xff\xd8 a photo").hexdigest()
    assert blob == NewBlob(f"{digest[:2]}/{digest}", b"\xff\xd8 a photo")
    assert file.blob is not None
    assert (file.blob.ref, file.blob.size, file.sha256) == (blob.ref, 10, digest)
    assert (file.name, file.content_type) == ("corner.jpg", "image/jpeg")


def test_the_standard_envelope_is_opened() -> None:
    data = {"from": {"address": "jo@example.org"}, "text": "Hello"}
    envelope = {"type": "message.sent", "timestamp": "2026-10-01T11:00:00Z", "data": data}
    (message,) = parse(envelope).messages
    assert (message.text, message.account) == ("Hello", "service-portal")
    assert message.occurred_at == datetime(2026, 10, 1, 11, tzinfo=UTC)
    assert message.provider_event_id == "msg_1"


def test_the_request_identifies_a_message_without_an_id() -> None:
    message, _ = take()
    assert message.id == event_id("service-portal", "request-1", "message")
    assert take(id="form-1")[0].id == event_id("service-portal", "form-1", "message")


def test_another_account_of_the_same_secret_may_be_named() -> None:
    (message,) = parse(POSTED | {"account": "front-desk", "kind": "visit"}).messages
    assert (message.account, message.channel) == ("front-desk", "counter")
    for stranger in ("colleagues", "nobody", "keyed-portal"):
        with pytest.raises(Unreadable, match="post to its own address"):
            parse(POSTED | {"account": stranger})


@pytest.mark.parametrize(
    ("sender", "identity"),
    [
        ({"address": "JO@Example.ORG"}, "email:jo@example.org"),
        ({"address": "+31 6 12345678"}, "e164:+31612345678"),
        ({"address": "0031612345678"}, "e164:+31612345678"),
        ({"address": "06-12345678"}, "e164:+31612345678"),
        ({"address": "1001"}, "customer_no:1001"),
        ({"address": "A 77"}, "customer_no:A 77"),
        ({"address": "0612345678", "scheme": "customer_no"}, "customer_no:0612345678"),
        ({"address": "0612345678", "scheme": "e164"}, "e164:+31612345678"),
        ({"address": "jo", "scheme": "chat"}, "chat:jo"),
        ({"address": "E-9", "scheme": "employee_no"}, "employee_no:E-9"),
    ],
)
def test_the_address_shows_its_scheme(sender: dict[str, str], identity: str) -> None:
    message, _ = take({"from": sender})
    assert [str(each) for each in message.sender.identities] == [identity]
    assert message.sender.authentication == "asserted"


def test_a_colleague_is_known_by_employee_number() -> None:
    body = {"account": "colleagues", "from": {"address": "E-9"}, "text": "Can you check?"}
    message, _ = message_from_json(body, COLLEAGUES, RECEIVED_AT, "request-1")
    assert [str(each) for each in message.sender.identities] == ["employee_no:E-9"]


def test_a_customer_number_that_is_only_claimed_is_no_identity() -> None:
    message, _ = take({"from": {"address": "jo@example.org", "customer_ref": "1001"}})
    assert [str(each) for each in message.sender.identities] == ["email:jo@example.org"]
    assert message.sender.customer_ref == "1001"


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ({"address": "jo@"}, "a bare mail address"),
        ({"address": "Jo <jo@example.org>"}, "a bare mail address"),
        ({"address": "jo", "scheme": "email"}, "a bare mail address"),
        ({"address": "+31"}, "a telephone number with its country"),
        ({"address": "jo", "scheme": "e164"}, "a telephone number with its country"),
        ({"address": "  "}, "more than blanks"),
        ({"address": "\0"}, "at least 1 character"),
        ({"address": "x" * 321}, "at most 320 characters"),
    ],
)
def test_an_address_that_does_not_fit(sender: dict[str, str], words: str) -> None:
    assert words in faults({"from": sender})["from.address"]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"account": ...}, "account", "is missing"),
        ({"from": ...}, "from", "is missing"),
        ({"from": {}}, "from.address", "is missing"),
        ({"text": ...}, "message", "kind message needs `text`, `html` or `draft`"),
        ({"text": " "}, "message", "kind message needs `text`, `html` or `draft`"),
        ({"kind": "auto_reply", "text": ""}, "message", "kind auto_reply needs"),
        ({"kind": "edit"}, "message", "needs `thread`"),
        ({"kind": "letter"}, "kind", "is wrong"),
        ({"colour": "red"}, "colour", "is not a field here; known are account, kind, from,"),
        ({"from": {"address": "1", "age": 3}}, "from.age", "known are address, scheme, name,"),
        (
            {"attachments": [{"content": "", "size": 1}]},
            "attachments.0.size",
            "known are name, content_type, content",
        ),
        ({"attachments": [{"content": "%%%"}]}, "attachments.0.content", "is not base64"),
        ({"attachments": [{"content": 5}]}, "attachments.0.content", "must be base64 in a text"),
        ({"attachments": [{}]}, "attachments.0.content", "is missing"),
        ({"from": {"address": "1", "verified": "yes"}}, "from.verified", "is wrong"),
        ({"from": {"address": "1", "scheme": "fax"}}, "from.scheme", "is wrong"),
        ({"text": 5}, "text", "is wrong"),
        ({"priority": "asap"}, "priority", "is wrong"),
        ({"language": "n l"}, "language", "is wrong"),
        ({"occurred_at": "yesterday"}, "occurred_at", "is wrong"),
        ({"occurred_at": "2026-10-01T12:00:00"}, "occurred_at", "is wrong"),
        ({"occurred_at": 1790000000}, "occurred_at", "RFC 3339"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "before the year 2000"),
        ({"draft": {"x": "y" * 130_000}}, "draft", "put the rest in an attachment"),
        ({"draft": []}, "draft", "is wrong"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str, words: str) -> None:
    assert words in faults(change)[field]


def test_the_account_must_be_the_one_it_came_in_by() -> None:
    with pytest.raises(Invalid, match="not the account"):
        take(account="front-desk")


def test_no_value_of_the_message_is_repeated_in_the_error() -> None:
    with pytest.raises(Invalid) as refusal:
        take(priority="secret-word", text=5)
    assert "secret-word" not in str(refusal.value.extra) + refusal.value.detail


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        ("call_missed", Call(outcome="missed")),
        ("voicemail", Call(outcome="voicemail")),
        ("call_ended", Call(outcome="answered")),
        ("callback_requested", None),
        ("form_abandoned", None),
        ("visit", None),
    ],
)
def test_kinds_that_stand_alone(kind: str, call: Call | None) -> None:
    message, _ = take(kind=kind, text=...)
    assert (message.kind, message.text, message.call) == (kind, "", call)


def test_an_edit_names_what_it_is_about() -> None:
    message, _ = take(kind="edit", thread="form-1", text="Better words")
    assert (message.thread.target, message.thread.references) == ("form-1", ())


def test_an_abandoned_form_is_a_draft() -> None:
    message, _ = take(kind="form_abandoned", text=..., draft={"step": 2, "city": None})
    assert message.draft == {"step": 2, "city": None}


def test_html_becomes_readable_and_is_kept() -> None:
    html = "<p>Dear &amp; all,</p><ul><li>one</li></ul><script>alert(1)</script>"
    message, blobs = take(text=..., html=html)
    assert "Dear & all," in message.text
    assert "one" in message.text
    assert "alert" not in message.text
    [kept] = blobs
    assert kept.content == b"<p>Dear &amp; all,</p><ul><li>one</li></ul>"
    assert message.html_blob is not None
    assert message.html_blob.ref == kept.ref
    assert take(html=html)[0].text == "Hello"


def test_time_may_move_back_but_never_on() -> None:
    later = (RECEIVED_AT + timedelta(days=1)).isoformat()
    assert take(occurred_at=later)[0].occurred_at == RECEIVED_AT
    assert take(occurred_at="9999-12-31T23:59:59-14:00")[0].occurred_at == RECEIVED_AT
    assert take(occurred_at=None)[0].occurred_at == RECEIVED_AT
    earlier = (RECEIVED_AT - timedelta(days=1)).isoformat()
    assert take(occurred_at=earlier)[0].occurred_at == RECEIVED_AT - timedelta(days=1)


def test_nothing_unfit_for_the_database_is_kept() -> None:
    message, _ = take(text="a\0b\ud83d", draft={"k\0": ["\0"]}, attributes={"x": {"y": "\udc00"}})
    assert message.text == "ab"
    assert message.draft == {"k": [""]}
    assert message.attributes == {"x": {"y": ""}}


def test_reading_is_not_what_this_address_is_for() -> None:
    with pytest.raises(NotFound, match="POST"):
        GenericInbound().handshake(signed(b""), PORTAL)


def test_an_account_without_a_secret_takes_no_webhooks() -> None:
    with pytest.raises(Unauthenticated, match="POST /v1/messages"):
        GenericInbound().verify(signed(b"{}"), named(ACCOUNTS, "keyed-portal"))


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_both_secrets_count_while_they_rotate(secret: str) -> None:
    GenericInbound().verify(signed(b"{}", secret), DESK)


@pytest.mark.parametrize("posted", [[], None, 5, "text", {"text": "Hello"}, {"data": []}])
def test_a_body_that_is_no_message_is_unreadable(posted: Any) -> None:
    with pytest.raises(Unreadable):
        parse(posted)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.dictionaries(st.sampled_from([*POSTED, "data", "type", "colour"]), VALUES))
def test_any_value_in_any_field_is_survived(changes: dict[str, Any]) -> None:
    survives(DOOR, json.dumps(POSTED | changes).encode())
