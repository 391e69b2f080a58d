"""Mailgun's posts: raw and parsed mails, event webhooks, signatures, and whose each item is."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs import blob_for
from shared.channels import Parsed, WebhookRequest
from shared.channels.email import MailgunInbound
from shared.channels.email.mailgun_signature import OLDEST
from shared.errors import Forbidden, Unauthenticated, Unreadable
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

KEY, OLD, OTHER = "key-of-this-year", "key-of-last-year", "key-of-another-domain"
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: mailgun, address: support@example.org,
                     signing_key: ["${KEY}", "${OLD}"]}
      claims-mail: {channel: email, provider: mailgun, address: Claims@example.org,
                    signing_key: "${KEY}"}
      foreign-mail: {channel: email, provider: mailgun, address: desk@elsewhere.example,
                     signing_key: "${OTHER}"}
    """,
    KEY=KEY, OLD=OLD, OTHER=OTHER,
)  # fmt: skip
SUPPORT = named(ACCOUNTS, "support-mail")
INBOUND = MailgunInbound()
OURS = "regie.0190a0b0-0000-7000-8000-000000000001@example.org"
RAW = (
    b"From: Jan <jan@example.net>\r\nTo: support@example.org\r\nSubject: Pakket & zo\r\n"
    b"Message-ID: <mg-1@example.net>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    b"Br\xe9da + 100% zeker\r\n"
)

Files = Sequence[tuple[str, tuple[str, bytes, str]]]


def signature(
    key: str = KEY, timestamp: int | None = None, token: str = "t" * 50
) -> dict[str, str]:
    at = str(int(RECEIVED_AT.timestamp()) if timestamp is None else timestamp)
    digest = hmac.new(key.encode(), (at + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": at, "token": token, "signature": digest}


def multipart(
    fields: Mapping[str, str | bytes], files: Files = (), path: str = ""
) -> WebhookRequest:
    """As an HTTP client writes it."""
    parts = [(name, (None, value)) for name, value in fields.items()]
    built = httpx.Request("POST", "http://regie.test/", files=[*parts, *files])
    return post(built.read(), {"content-type": built.headers["content-type"]}, path)


def urlencoded(fields: Mapping[str, str | bytes], path: str = "") -> WebhookRequest:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return post(urlencode(fields).encode(), headers, path)


def raw_post(raw: bytes, **fields: str) -> WebhookRequest:
    known = {"recipient": "support@example.org", "sender": "jan@example.net", **fields}
    return multipart({**signature(), **known, "body-mime": raw}, path="/mime")


def event_post(event: Any, key: str = KEY) -> WebhookRequest:
    body = {"signature": signature(key), "event-data": event}
    return post(json.dumps(body).encode(), {"content-type": "application/json"})


def parse(request: WebhookRequest) -> Parsed:
    INBOUND.verify(request, SUPPORT)
    return INBOUND.parse(request, SUPPORT, ACCOUNTS)


DOOR = Door(INBOUND, SUPPORT, ACCOUNTS, sign=raw_post, body=RAW, covered=False)


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check) -> None:
    check(DOOR)


# --- raw mails -----------------------------------------------------------------------------


@pytest.mark.parametrize("write", [multipart, urlencoded])
@pytest.mark.parametrize("path", ["", "/mime"])
def test_a_raw_mail_comes_whole(write: Any, path: str) -> None:
    fields = {**signature(), "recipient": "support@example.org", "sender": "bounce@mx.example"}
    parsed = parse(write({**fields, "body-mime": RAW}, path=path))
    (message,) = parsed.messages
    assert (message.text, message.subject) == ("Bréda + 100% zeker", "Pakket & zo")
    assert message.recipient == "support@example.org"
    assert message.raw_blob == blob_for(RAW)
    assert [blob.content for blob in parsed.blobs] == [RAW]
    assert message.received_at == message.occurred_at == RECEIVED_AT
    assert parsed.answer.status == 200


def test_a_repeat_with_another_token_is_the_same_message() -> None:
    first = parse(raw_post(RAW)).messages[0]
    fields = {**signature(token="other"), "recipient": "support@example.org"}
    again = parse(multipart({**fields, "body-mime": RAW}, path="/mime")).messages[0]
    assert again.id == first.id


def test_each_recipient_gets_its_own() -> None:
    both = "Support@Example.org, <claims+tag@example.org>, nobody@example.com"
    parsed = parse(raw_post(RAW, recipient=both))
    found = [(message.account, message.recipient) for message in parsed.messages]
    assert found == [("support-mail", "support@example.org"),
                     ("claims-mail", "claims+tag@example.org")]  # fmt: skip
    assert len({message.id for message in parsed.messages}) == 2
    assert len(parsed.blobs) == 1


@pytest.mark.parametrize("recipient", ["desk@elsewhere.example", "who@example.org", "", "?"])
def test_a_strange_recipient_is_parked(recipient: str) -> None:
    request = raw_post(RAW, recipient=recipient)
    parsed = parse(request)
    assert parsed.messages == ()
    assert [item.raw for item in parsed.parked] == [request.body]
    assert "add one" in parsed.parked[0].reason
    again = parse(raw_post(RAW, recipient=recipient, sender="else@example.net"))
    assert again.parked[0].key == parsed.parked[0].key


def test_without_a_recipient_the_path_says_whose_it_is() -> None:
    (message,) = parse(multipart({**signature(), "body-mime": RAW})).messages
    assert (message.account, message.recipient) == ("support-mail", "support@example.org")


def test_the_null_sender() -> None:
    assert parse(raw_post(RAW, sender="")).messages[0].automatic
    assert parse(raw_post(RAW, sender="<>")).messages[0].automatic
    assert not parse(raw_post(RAW)).messages[0].automatic


# --- parsed mails --------------------------------------------------------------------------

HEADERS = [
    ["Received", "from mx by mailgun"],
    ["From", "Zoë <zoe@example.com>"],
    ["To", "support@example.org"],
    ["Subject", "Foto's"],
    ["Message-Id", "<mg-2@example.com>"],
    ["In-Reply-To", f"<{OURS}>"],
    ["Content-Type", "multipart/mixed; boundary=x"],
]


def parsed_fields(**changes: str) -> dict[str, str]:
    return {
        **signature(),
        "recipient": "support@example.org",
        "sender": "zoe@example.com",
        "from": "Zoë <zoe@example.com>",
        "subject": "Foto's",
        "body-plain": "Zie de foto's.\r\n\r\nOp 1-10-2026 om 09:12 schreef U:\r\n> Hoe is het?",
        "stripped-text": "Zie de foto's.",
        "body-html": '<p>Zie de foto\'s.</p><img src="cid:een">',
        "message-headers": json.dumps(HEADERS),
        "attachment-count": "2",
        "content-id-map": json.dumps({"<een>": "attachment-1"}),
        **changes,
    }


FILES: Files = [
    ("attachment-1", ("één.png", b"\x89PNG\r\n", "image/png")),
    ("attachment-2", ("..\\bon.pdf", b"%PDF", "application/pdf")),
]


def test_a_parsed_mail_is_put_together() -> None:
    request = multipart(parsed_fields(), FILES)
    parsed = parse(request)
    (message,) = parsed.messages
    assert [str(each) for each in message.sender.identities] == ["email:zoe@example.com"]
    assert (message.sender.name, message.subject) == ("Zoë", "Foto's")
    assert message.reply_text == "Zie de foto's."
    assert message.thread.message_id == "<mg-2@example.com>"
    assert message.thread.references == (f"<{OURS}>",)
    assert [(f.name, f.content_type, f.inline, f.size) for f in message.attachments] == [
        ("één.png", "image/png", True, 6),
        ("bon.pdf", "application/pdf", False, 4),
    ]
    assert message.raw_blob == blob_for(request.body)
    assert {blob_for(blob.content).ref for blob in parsed.blobs} == {b.ref for b in parsed.blobs}


def test_a_parsed_mail_that_comes_again() -> None:
    again = multipart({**parsed_fields(), **signature(token="other")}, FILES)
    first = parse(multipart(parsed_fields(), FILES)).messages[0]
    assert parse(again).messages[0].id == first.id
    changed = parse(multipart(parsed_fields(**{"body-plain": "Iets anders"}), FILES)).messages[0]
    assert changed.id != first.id


def test_what_is_left_of_a_parsed_mail() -> None:
    few = {**signature(), "recipient": "support@example.org", "from": "jan@example.net",
           "subject": "Kort", "stripped-text": "Alleen dit",
           "message-headers": "[[1], null"}  # fmt: skip
    (message,) = parse(urlencoded(few)).messages
    assert (message.text, message.subject) == ("Alleen dit", "Kort")
    assert [str(each) for each in message.sender.identities] == ["email:jan@example.net"]
    old = {**signature(), "recipient": "support@example.org", "body-plain": "x",
           "Message-Id": "<old@x>", "From": "a@b.nl"}  # fmt: skip
    assert parse(urlencoded(old)).messages[0].thread.message_id == "<old@x>"


def test_a_mail_of_files_alone() -> None:
    few = {**signature(), "recipient": "support@example.org", "message-headers": "[]",
           "attachment-count": "2"}  # fmt: skip
    (message,) = parse(multipart(few, FILES)).messages
    assert [file.name for file in message.attachments] == ["één.png", "bon.pdf"]
    assert message.sender.identities == ()
    with pytest.raises(Unreadable):
        parse(multipart(few))


def test_the_files_of_a_mail_that_mailgun_stored() -> None:
    """A route with `store()` posts where the files are, and not the files."""
    place = "https://storage.eu.mailgun.net/v3/domains/example.org/messages/k/attachments/0"
    named = [{"url": place, "content-type": "application/pdf", "name": "bon.pdf", "size": 4}, 7,
             {"url": "no address", "name": "x"}]  # fmt: skip
    stored = parsed_fields(attachments=json.dumps(named))
    (message,) = parse(urlencoded(stored)).messages
    (file,) = message.attachments
    assert (file.name, file.content_type, file.url) == ("bon.pdf", "application/pdf", place)
    for spoilt in ("[", "{}", "null", '"x"'):
        (message,) = parse(urlencoded({**stored, "attachments": spoilt})).messages
        assert message.attachments == ()


# --- event webhooks ------------------------------------------------------------------------


def event(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "event": name,
        "id": "Ase7i2zsRYeDXztHGENqRA",
        "timestamp": RECEIVED_AT.timestamp() - 60,
        "recipient": "jan@example.net",
        "envelope": {"sender": "support@example.org", "targets": "jan@example.net"},
        "message": {"headers": {"message-id": OURS, "from": "support@example.org"}},
        "delivery-status": {"code": 250, "message": "OK"},
        **changes,
    }


def test_what_became_of_our_mail() -> None:
    (delivered,) = parse(event_post(event("delivered"))).statuses
    assert (delivered.status, delivered.account) == ("delivered", "support-mail")
    assert (delivered.provider_id, delivered.code) == (f"<{OURS}>", "250")
    assert delivered.correlation == "0190a0b0-0000-7000-8000-000000000001"
    assert delivered.at == RECEIVED_AT - timedelta(seconds=60)
    told = {
        "code": 605,
        "message": "",
        "description": "Not delivering to previously bounced address",
    }
    failed = event("failed", severity="permanent", **{"delivery-status": told})
    (status,) = parse(event_post(failed)).statuses
    assert (status.status, status.code) == ("failed", "605")
    assert status.reason.startswith("Not delivering")
    assert status.id != delivered.id
    assert parse(event_post(event("rejected"))).statuses[0].status == "failed"


@pytest.mark.parametrize("name", ["accepted", "opened", "clicked", "complained", "stored", "x"])
def test_what_says_nothing_about_delivery(name: str) -> None:
    assert parse(event_post(event(name))) == Parsed(statuses=())
    temporary = event("failed", severity="temporary")
    assert parse(event_post(temporary)).statuses == ()


def test_a_status_belongs_to_the_account_that_sent() -> None:
    of_claims = event("delivered", envelope={"sender": "claims@example.org"})
    assert parse(event_post(of_claims)).statuses[0].account == "claims-mail"
    unknown = event("delivered", envelope={}, message={"headers": {"message-id": "a@b"}})
    assert parse(event_post(unknown)).statuses[0].account == "support-mail"


def test_our_own_variable_names_the_message() -> None:
    other = "0190a0b0-0000-7000-8000-000000000002"
    named_ = event("delivered", **{"user-variables": {"regie_message": other}})
    assert parse(event_post(named_)).statuses[0].correlation == other
    strange_ones: list[Any] = [{"regie_message": "x"}, [], None, {}]
    for wrong in strange_ones:
        strange = event("delivered", **{"user-variables": wrong})
        assert parse(event_post(strange)).statuses[0].correlation == OURS[6:42]


@pytest.mark.parametrize("at", ["soon", None, 1e300, -1e300, RECEIVED_AT.timestamp() + 1e6])
def test_a_status_with_a_wrong_clock(at: Any) -> None:
    assert parse(event_post(event("delivered", timestamp=at))).statuses[0].at <= RECEIVED_AT


@pytest.mark.parametrize("wrong", [None, [], "x", {}, {"event": "delivered"}])
def test_events_of_the_wrong_shape_are_unreadable(wrong: Any) -> None:
    with pytest.raises(Unreadable):
        parse(event_post(wrong))


# --- signatures ----------------------------------------------------------------------------


def refuses(request: WebhookRequest, words: str | None = None) -> None:
    with pytest.raises(Unauthenticated, match=words):
        INBOUND.verify(request, SUPPORT)


def test_either_key_is_accepted_while_it_rotates() -> None:
    for key in (KEY, OLD):
        INBOUND.verify(urlencoded({**signature(key), "body-mime": RAW}), SUPPORT)
        INBOUND.verify(event_post(event("delivered"), key), SUPPORT)


@pytest.mark.parametrize("name", ["timestamp", "token", "signature"])
def test_every_part_of_the_signature_is_needed(name: str) -> None:
    good = {**signature(), "body-mime": RAW.decode("latin-1")}
    refuses(multipart({field: value for field, value in good.items() if field != name}), "send")
    refuses(multipart({**good, name: ""}), "send")
    refuses(multipart({**good, name: good[name][:-1]}))
    refuses(urlencoded({**good, name: good[name] + "0"}))
    refuses(urlencoded({**good, name: "é\0"}))


def test_wrong_keys_and_no_form() -> None:
    refuses(urlencoded(signature(OTHER)), "signing_key")
    refuses(urlencoded(signature("")), "signing_key")
    refuses(event_post(event("delivered"), OTHER), "signing_key")
    for body, kind in [
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"x", "text/plain"),
        (b"", ""),
        (b"--x", "multipart/form-data"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
    ]:
        refuses(post(body, {"content-type": kind}))


def test_the_bounds_on_the_timestamp() -> None:
    now = int(RECEIVED_AT.timestamp())
    for offset in (0, -8 * 3600 - 600, 14 * 60):
        INBOUND.verify(urlencoded(signature(timestamp=now + offset)), SUPPORT)
    for offset in (-OLDEST - 1, 16 * 60, -now):
        refuses(urlencoded(signature(timestamp=now + offset)), "set the clocks")


def signed_fields() -> dict[str, str | bytes]:
    return {**signature(), "recipient": "support@example.org", "body-mime": RAW}


def test_a_signed_post_that_was_cut_off_is_unreadable_and_not_refused() -> None:
    fields = signed_fields()
    whole = multipart(fields, path="/mime")
    for end in (len(whole.body) - 3, len(whole.body) - 60, whole.body.index(b"body-mime")):
        with pytest.raises(Unreadable):
            parse(replace(whole, body=whole.body[:end]))
    refuses(replace(whole, body=whole.body[: whole.body.index(b'"signature"')]), "send")
    refuses(replace(whole, body=b""), "send")
    event_ = event_post(event("delivered"))
    for end in (len(event_.body) - 1, event_.body.index(b"event-data")):
        with pytest.raises(Unreadable):
            parse(replace(event_, body=event_.body[:end]))
    refuses(replace(event_, body=event_.body[: event_.body.index(b"token")]), "send")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/json", "multipart/form-data",
                                  "multipart/form-data; boundary=other"])  # fmt: skip
def test_a_signed_post_of_an_odd_type_is_unreadable_and_not_refused(kind: str) -> None:
    fields = signed_fields()
    for request in (multipart(fields), urlencoded(fields)):
        odd = replace(request, headers={"content-type": kind})
        if kind == "application/json":
            refuses(odd)
            continue
        with pytest.raises(Unreadable):
            parse(odd)
    wrong = multipart({**fields, **signature(OTHER)})
    refuses(replace(wrong, headers={"content-type": kind}))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10_000), st.sampled_from(["cut", "spoilt"]))
def test_no_damage_is_more_than_a_refusal(at: int, how: str) -> None:
    for request in (multipart({**signature(), "body-mime": RAW}), event_post(event("delivered"))):
        at %= len(request.body)
        tail = b"" if how == "cut" else b'\xff\x00"{' + request.body[at + 2 :]
        try:
            parse(replace(request, body=request.body[:at] + tail))
        except (Unauthenticated, Unreadable):
            continue


def test_there_is_no_handshake() -> None:
    with pytest.raises(Forbidden):
        INBOUND.handshake(replace(raw_post(RAW), method="GET"), SUPPORT)


# --- noise ---------------------------------------------------------------------------------


_NAMES = [
    "recipient", "sender", "from", "subject", "body-plain", "body-html", "message-headers",
    "content-id-map", "attachment-1", "body-mime",
]  # fmt: skip
_VALUES = ['[["From", "a@b.nl"]]', '{"<x>": 1}', "[" * 500, '[["a",1]]']


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(_NAMES), st.text() | st.sampled_from(_VALUES)))
def test_any_form(fields: dict[str, str]) -> None:
    clean = {name: value.encode("utf-8", "replace") for name, value in fields.items()}
    for request in (multipart({**signature(), **clean}), urlencoded({**signature(), **clean})):
        try:
            parsed = parse(request)
        except Unreadable:
            continue
        assert parsed.messages or parsed.parked
