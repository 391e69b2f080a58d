"""SendGrid's posts: raw and parsed mails, events, signatures, and whose each item is."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sendgrid
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sendgrid.helpers.eventwebhook import EventWebhook

from shared.accounts import AccountsError
from shared.blobs import blob_for
from shared.channels import Parsed, WebhookRequest
from shared.channels.email import MailgunInbound, SendGridInbound
from shared.channels.email.sendgrid_signature import OLDEST, SIGNATURE, TIMESTAMP
from shared.errors import Forbidden, Unauthenticated, Unreadable
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
from tests.contracts.channels.test_mailgun import ACCOUNTS as MAILGUNS
from tests.contracts.channels.test_mailgun import raw_post as mailgun_post

TABLES = Path(__file__).parent / "email/sendgrid"
FORMS = json.loads((TABLES / "parse.json").read_text(encoding="utf-8"))
EVENTS = json.loads((TABLES / "events.json").read_text(encoding="utf-8"))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


PARSE, EVENT, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
PEM = PARSE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: sendgrid, address: support@example.org,
                     public_key: ["${PARSE}", "${EVENT}"]}
      claims-mail: {channel: email, provider: sendgrid, address: claims@claims.example.org,
                    public_key: "${PARSE}"}
      basic-mail: {channel: email, provider: sendgrid, address: basic@example.org,
                   username: regie, password: [this-year, last-year]}
      twin-mail: {channel: email, provider: sendgrid, address: twin@example.org,
                  password: this-year}
      both-mail: {channel: email, provider: sendgrid, address: both@example.org,
                  public_key: "${PEM}", password: this-year}
      wrong-mail: {channel: email, provider: sendgrid, address: wrong@example.org,
                   public_key: no key at all}
      foreign-mail: {channel: email, provider: sendgrid, address: desk@elsewhere.example,
                     public_key: "${OTHER}"}
    """,
    PARSE=public(PARSE), EVENT=public(EVENT), OTHER=public(OTHER), PEM=PEM,
)  # fmt: skip
SUPPORT = named(ACCOUNTS, "support-mail")
INBOUND = SendGridInbound()
NOW = int(RECEIVED_AT.timestamp())
RAW = (
    b"From: Jan <jan@example.net>\r\nTo: support@example.org\r\nSubject: Pakket & zo\r\n"
    b"Message-ID: <raw-1@example.net>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
    b"Br\xe9da + 100% zeker\r\n"
)


def signed(
    request: WebhookRequest, key: ec.EllipticCurvePrivateKey = PARSE, at: int | str = NOW
) -> WebhookRequest:
    signature = key.sign(str(at).encode() + request.body, ec.ECDSA(SHA256()))
    shown = {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: str(at)}
    return replace(request, headers={**request.headers, **shown})


def form(fields: Mapping[str, Any]) -> WebhookRequest:
    """As SendGrid writes it: the bytes of each field are in the charset that `charsets` names."""
    parts = [b"--xYzZY\r\n" + _part(name, value) + b"\r\n" for name, value in fields.items()]
    body = b"".join(parts) + b"--xYzZY--\r\n"
    return post(body, {"content-type": "multipart/form-data; boundary=xYzZY"})


def _part(name: str, value: Any) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    if isinstance(value, bytes):
        return f"{head}\r\n\r\n".encode() + value
    if isinstance(value, str):
        return f"{head}\r\n\r\n{value}".encode()
    if "file" in value:
        head += f'; filename="{value["file"]}"'
        head += f"\r\nContent-Type: {value['type']}" if value["type"] else ""
    text: str = value["text"]
    return f"{head}\r\n\r\n".encode() + text.encode(value.get("in", "utf-8"))


def raw_form(raw: bytes, to: str = "support@example.org") -> WebhookRequest:
    envelope = json.dumps({"to": [to], "from": "jan@example.net"})
    return signed(form({"dkim": "{@example.net : pass}", "email": raw, "envelope": envelope}))


def events(*items: Any, key: ec.EllipticCurvePrivateKey = EVENT) -> WebhookRequest:
    body = json.dumps(items).encode() + b"\r\n"
    return signed(post(body, {"content-type": "application/json"}), key)


def parse(request: WebhookRequest, account: str = "support-mail") -> Parsed:
    INBOUND.verify(request, named(ACCOUNTS, account))
    return INBOUND.parse(request, named(ACCOUNTS, account), ACCOUNTS)


def only(request: WebhookRequest) -> MessageReceived:
    (message,) = parse(request).messages
    return message


RAW_DOOR = Door(
    INBOUND, SUPPORT, ACCOUNTS, sign=raw_form, body=RAW,
    wrong=[{TIMESTAMP: str(NOW + 1)}, {SIGNATURE: "AAAA"}, {SIGNATURE: "é"}],
)  # fmt: skip
FORM_DOOR = Door(
    INBOUND, SUPPORT, ACCOUNTS, body=form(FORMS["plain and html"]["fields"]).body,
    sign=lambda body: signed(post(body, {"content-type": "multipart/form-data; boundary=xYzZY"})),
)  # fmt: skip
EVENT_DOOR = Door(
    INBOUND, SUPPORT, ACCOUNTS,
    body=json.dumps([each["event"] for each in EVENTS.values()]).encode(),
    sign=lambda body: signed(post(body, {"content-type": "application/json"})),
)  # fmt: skip


@pytest.mark.parametrize("door", [RAW_DOOR, FORM_DOOR], ids=["raw", "parsed"])
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check, door: Door) -> None:
    check(door)


@pytest.mark.parametrize("check", CHECKS[1:], ids=name_of)  # they are no messages
def test_behaviour_of_events(check: Check) -> None:
    check(EVENT_DOOR)


# --- mails ---------------------------------------------------------------------------------


def test_a_raw_mail_is_read_as_mailguns_is() -> None:
    parsed = parse(raw_form(RAW))
    (message,) = parsed.messages
    (same,) = MailgunInbound().parse(mailgun_post(RAW), named(MAILGUNS, "support-mail"),
                                     MAILGUNS).messages  # fmt: skip
    ours = {"id", "account", "attributes", "provider_event_id"}
    for name in set(message.__struct_fields__) - ours:
        assert getattr(message, name) == getattr(same, name), name
    assert message.provider_event_id == same.provider_event_id
    assert message.raw_blob == blob_for(RAW)
    assert message.attributes["dkim"] == "{@example.net : pass}"
    assert parsed.answer.status == 200


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS.keys())
def test_a_parsed_mail(case: Any) -> None:
    request = signed(form(case["fields"]))
    parsed = parse(request)
    (message,) = parsed.messages
    expect = dict(case["expect"])
    if "html" in expect:
        assert message.html_blob == blob_for(expect.pop("html").encode())
    assert seen(message, expect) == expect
    assert message.raw_blob == blob_for(request.body)
    assert message.sender.authentication == "asserted"


def seen(message: MessageReceived, expect: Mapping[str, Any]) -> dict[str, Any]:
    """Of a message, what a case names."""
    shown: dict[str, Any] = {
        "account": message.account, "kind": message.kind, "subject": message.subject,
        "text": message.text, "recipient": message.recipient, "automatic": message.automatic,
        "event_id": message.provider_event_id,
        "sender": message.sender.identities[0].value, "name": message.sender.name,
        "message_id": message.thread.message_id, "references": list(message.thread.references),
        "files": [[f.name, f.content_type, f.inline, f.size] for f in message.attachments],
        "attributes": {name: message.attributes.get(name) for name in expect.get("attributes", ())},
    }  # fmt: skip
    return {name: shown[name] for name in expect}


@pytest.mark.parametrize("name", ["default_data", "raw_data", "raw_data_with_attachments"])
def test_their_librarys_own_samples(name: str) -> None:
    folder = Path(sendgrid.__file__).parent / "helpers/inbound/sample_data"
    request = post((folder / f"{name}.txt").read_bytes(),
                   {"content-type": "multipart/form-data; boundary=xYzZY"})  # fmt: skip
    parsed = INBOUND.parse(signed(request), SUPPORT, ACCOUNTS)
    # Sent to an address that is none of ours, so kept for a person.
    assert [item.raw for item in parsed.parked] == [request.body]
    ours = request.body.replace(b"inbound@inbound.example.com", b"support@example.org")
    ours = ours.replace(b"inbound@inbound.inbound.com", b"support@example.org")
    (message,) = INBOUND.parse(replace(request, body=ours), SUPPORT, ACCOUNTS).messages
    assert "Hello Twilio SendGrid!" in message.text


def test_a_mail_that_comes_again() -> None:
    fields = FORMS["plain and html"]["fields"]
    again = {**fields, "spam_score": "1.2"}
    assert only(signed(form(again))).id == only(signed(form(fields))).id
    other = {**fields, "text": "Iets anders", "html": ""}
    assert only(signed(form(other))).id != only(signed(form(fields))).id


def test_each_recipient_gets_its_own() -> None:
    to = ["Support+tag@example.org", "claims@claims.example.org", "nobody@example.com"]
    envelope = json.dumps({"to": to, "from": "jan@example.net"})
    parsed = parse(signed(form({"email": RAW, "envelope": envelope})))
    assert [(each.account, each.recipient) for each in parsed.messages] == [
        ("support-mail", "support+tag@example.org"),
        ("claims-mail", "claims@claims.example.org"),
    ]
    assert len(parsed.blobs) == 1


def test_a_strange_recipient_is_parked() -> None:
    strange = RAW.replace(b"support@example.org", b"who@example.org")
    for to in ("who@example.org", "desk@elsewhere.example"):  # that one has another key
        parsed = parse(raw_form(strange, to))
        assert parsed.messages == ()
        assert [item.raw for item in parsed.parked] == [raw_form(strange, to).body]
        assert "add one" in parsed.parked[0].reason


@pytest.mark.parametrize("fields", [{}, {"email": ""}, {"spam_score": "1"}, {"text": ""}])
def test_a_form_without_a_mail(fields: Mapping[str, str]) -> None:
    with pytest.raises(Unreadable, match="no mail"):
        parse(signed(form(fields)))


# --- events --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EVENTS.values(), ids=EVENTS.keys())
def test_an_event(case: Any) -> None:
    parsed = parse(events(case["event"]))
    assert (parsed.messages, list(parsed.parked)) == ((), [])
    if case["expect"] is None:
        assert list(parsed.statuses) == []
        return
    (status,) = parsed.statuses
    expect = dict(case["expect"])
    if "at" in expect:
        assert status.at == datetime.fromtimestamp(expect.pop("at"), UTC)
    assert {name: getattr(status, name) for name in expect} == expect


def test_many_events_and_a_broken_one() -> None:
    broken = [{"sg_event_id": "7"}, 7, None, [], {"event": "delivered"}]
    good = [case["event"] for case in EVENTS.values()]
    parsed = parse(events(*good, *broken))
    wanted = [case for case in EVENTS.values() if case["expect"]]
    assert len(parsed.statuses) == len(wanted)
    assert len({status.id for status in parsed.statuses}) == len(wanted)
    assert [item.key for item in parsed.parked] == ["7", "", "", "", ""]


def test_an_event_counts_once_by_its_id() -> None:
    event = EVENTS["deferred"]["event"]
    first, again, second = (
        parse(events(each)).statuses[0].id
        for each in (event, {**event, "attempt": "6"}, {**event, "sg_event_id": "another"})
    )
    assert first == again != second


def test_what_is_no_array_is_unreadable() -> None:
    for body in (b"7", b'"x"', b"{", b""):
        with pytest.raises(Unreadable):
            parse(signed(post(body, {"content-type": "application/json"})))


# --- who may post --------------------------------------------------------------------------


def refuses(
    request: WebhookRequest, account: str = "support-mail", words: str | None = None
) -> None:
    with pytest.raises(Unauthenticated, match=words):
        INBOUND.verify(request, named(ACCOUNTS, account))


@pytest.mark.parametrize("key", [PARSE, EVENT])
def test_each_webhook_has_its_key(key: ec.EllipticCurvePrivateKey) -> None:
    INBOUND.verify(signed(form({"email": RAW}), key), SUPPORT)
    refuses(signed(form({"email": RAW}), OTHER), words="no public_key|by no public_key")


def test_their_library_agrees_on_the_signature() -> None:
    request = events(EVENTS["delivered"]["event"])  # a line end behind it, which is signed too
    theirs = EventWebhook(public(EVENT))
    signature, at = request.headers[SIGNATURE], request.headers[TIMESTAMP]
    assert theirs.verify_signature(request.body.decode(), signature, at)
    INBOUND.verify(request, SUPPORT)
    stripped = replace(request, body=request.body.rstrip())
    assert not theirs.verify_signature(stripped.body.decode(), signature, at)
    refuses(stripped)


def test_a_key_as_a_file_has_it() -> None:
    INBOUND.verify(signed(form({"email": RAW})), named(ACCOUNTS, "both-mail"))


def test_a_key_that_is_none_lets_nobody_in() -> None:
    refuses(signed(form({"email": RAW})), "wrong-mail", "public_key")


def test_the_bounds_on_the_timestamp() -> None:
    for offset in (0, -71 * 3600, 14 * 60):
        INBOUND.verify(signed(form({}), at=NOW + offset), SUPPORT)
    for offset in (-OLDEST - 1, 16 * 60, -NOW):
        refuses(signed(form({}), at=NOW + offset), words="set the clocks")
    for wrong in ("soon", "-1", "٣", "9" * 20, f"{NOW}.5"):
        refuses(signed(form({}), at=wrong), words="Unix seconds")


def basic(credentials: str, scheme: str = "Basic") -> WebhookRequest:
    shown = base64.b64encode(credentials.encode()).decode()
    request = form({"email": RAW})
    return replace(request, headers={**request.headers, "authorization": f"{scheme} {shown}"})


def test_a_password_where_nothing_is_signed() -> None:
    account = named(ACCOUNTS, "basic-mail")
    for good in ("regie:this-year", "regie:last-year"):
        INBOUND.verify(basic(good), account)
    INBOUND.verify(basic("regie:this-year", "basic"), account)
    for wrong in ("regie:", "regie:this-yea", "other:this-year", ":this-year", "this-year", "é:ü"):
        refuses(basic(wrong), "basic-mail", "password")
    refuses(basic("regie:this-year", "Bearer"), "basic-mail", "Basic")
    refuses(replace(form({}), headers={"authorization": "Basic !"}), "basic-mail", "base64")
    refuses(signed(form({})), "basic-mail")
    INBOUND.verify(signed(basic("regie:this-year")), account)  # signed, but nothing to check it by


def test_accounts_with_one_password_belong_together() -> None:
    envelope = json.dumps({"to": ["twin@example.org"], "from": "jan@example.net"})
    request = form({"email": RAW, "envelope": envelope})
    (message,) = INBOUND.parse(request, named(ACCOUNTS, "basic-mail"), ACCOUNTS).messages
    assert message.account == "twin-mail"
    parsed = INBOUND.parse(request, SUPPORT, ACCOUNTS)  # which knows no password
    assert [each.account for each in parsed.messages] == ["support-mail"]  # named in To


def test_either_where_both_are_configured() -> None:
    account = named(ACCOUNTS, "both-mail")
    INBOUND.verify(basic("anyone:this-year"), account)
    refuses(signed(basic("anyone:this-year"), OTHER), "both-mail")  # signed, and wrongly
    refuses(form({}), "both-mail")


def test_a_password_does_not_stand_in_for_a_signature() -> None:
    refuses(basic(":"))
    refuses(basic(":this-year"))


def test_an_account_that_could_check_nothing_is_refused_at_start() -> None:
    text = "accounts: {m: {channel: email, provider: sendgrid, address: a@b.nl, api_key: x}}"
    with pytest.raises(AccountsError, match=r"m\.public_key: is missing, and so is password"):
        load(text)


def test_there_is_no_handshake() -> None:
    with pytest.raises(Forbidden):
        INBOUND.handshake(replace(form({}), method="GET"), SUPPORT)


# --- noise ---------------------------------------------------------------------------------

_NAMES = ["email", "headers", "from", "to", "cc", "subject", "text", "html", "charsets", "envelope",
          "attachment-info", "content-ids", "attachment1", "dkim"]  # fmt: skip
_VALUES = ['{"to": 1}', '{"to": [1, null]}', '{"text": "utf-7", "from": {}}', "[" * 500,
           '{"attachment1": {"type": [], "filename": {}}}', '{"x": "attachment1"}']  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(_NAMES), st.text() | st.sampled_from(_VALUES)))
def test_any_form(fields: dict[str, str]) -> None:
    clean = {name: value.encode("utf-8", "replace") for name, value in fields.items()}
    try:
        parsed = parse(signed(form(clean)))
    except Unreadable:
        return
    assert parsed.messages or parsed.parked


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(
    st.sampled_from(sorted({name for each in EVENTS.values() for name in each["event"]})),
    st.text() | st.integers() | st.none() | st.booleans() | st.just("bounce") | st.just("open"),
))  # fmt: skip
def test_any_event(event: dict[str, Any]) -> None:
    parsed = parse(events(event))
    assert len(parsed.statuses) + len(parsed.parked) <= 1
