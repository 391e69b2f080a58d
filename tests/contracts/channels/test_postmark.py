"""Postmark's posts: mails whole and in fields, its other webhooks, and whose each item is."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.blobs import blob_for
from shared.channels import Parsed, WebhookRequest
from shared.channels.email import PostmarkInbound
from shared.channels.email.tokens import reply_address, reply_secrets
from shared.errors import Refused, Unauthenticated, Unreadable
from tests.builders import uuid
from tests.contracts.channels.behaviour import CHECKS, Check, Door, load, name_of, named, post
from tests.contracts.channels.test_sendgrid import RAW, seen

TABLES = Path(__file__).parent / "email/postmark"
MAILS = json.loads((TABLES / "inbound.json").read_text(encoding="utf-8"))
WEBHOOKS = json.loads((TABLES / "webhooks.json").read_text(encoding="utf-8"))
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: postmark, address: support@example.org,
                     username: regie, password: [this-year, last-year], reply_secret: ours}
      claims-mail: {channel: email, provider: postmark, address: Claims@claims.example.org,
                    password: this-year}
      foreign-mail: {channel: email, provider: postmark, address: desk@elsewhere.example,
                     password: theirs}
    """
)
SUPPORT = named(ACCOUNTS, "support-mail")
INBOUND = PostmarkInbound()


def signed(body: bytes, credentials: str = "regie:this-year") -> WebhookRequest:
    shown = base64.b64encode(credentials.encode()).decode()
    return post(body, {"content-type": "application/json", "authorization": f"Basic {shown}"})


def posted(document: Any) -> WebhookRequest:
    return signed(json.dumps(document).encode())


def parse(request: WebhookRequest) -> Parsed:
    INBOUND.verify(request, SUPPORT)
    return INBOUND.parse(request, SUPPORT, ACCOUNTS)


def changed(case: str, **changes: Any) -> dict[str, Any]:
    return {**MAILS[case]["post"], **changes}


def door(document: Any) -> Door:
    return Door(INBOUND, SUPPORT, ACCOUNTS, sign=signed, body=json.dumps(document).encode(),
                covered=False, wrong=[{"authorization": "Basic cmVnaWU6bm8teWVhcg=="},
                                      {"authorization": "Bearer this-year"}])  # fmt: skip


@pytest.mark.parametrize("case", ["fields", "raw"])
@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_behaviour(check: Check, case: str) -> None:
    check(door(MAILS[case]["post"]))


@pytest.mark.parametrize("check", CHECKS[1:], ids=name_of)  # it is no message
def test_behaviour_of_a_status(check: Check) -> None:
    check(door(WEBHOOKS["hard bounce"]["post"]))


# --- mails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", MAILS.values(), ids=MAILS.keys())
def test_a_mail(case: Any) -> None:
    request = posted(case["post"])
    parsed = parse(request)
    (message,) = parsed.messages
    assert seen(message, case["expect"]) == case["expect"]
    assert (parsed.answer.status, parsed.answer.body) == (200, b"")
    raw = case["post"].get("RawEmail", "").encode() or request.body
    assert message.raw_blob == blob_for(raw)
    assert message.sender.authentication == "asserted"


def test_a_raw_mail_over_the_limit_is_read_from_its_fields() -> None:
    huge = changed("fields", RawEmail="x" * (36 * 1024 * 1024))
    (message,) = parse(posted(huge)).messages
    assert message.text == "Waar is mijn pakket?"


def test_a_mail_counts_once_by_its_id() -> None:
    first = parse(posted(changed("fields"))).messages[0]
    raw = changed("fields", RawEmail=RAW.decode("latin-1"))  # the setting was changed meanwhile
    assert parse(posted(raw)).messages[0].id == first.id
    other = parse(posted(changed("fields", MessageID="another"))).messages[0]
    assert other.id != first.id


def test_the_token_of_a_reply_address_comes_as_mailbox_hash() -> None:
    case = uuid(7)
    address = reply_address("support@example.org", case, reply_secrets(SUPPORT)[0])
    extension = address.partition("@")[0].partition("+")[2]
    answer = changed(
        "forwarded to the server's own address",
        ToFull=[{"Email": "someone@example.net"}], MailboxHash=extension,
        OriginalRecipient=f"451d9b70cf+{extension}@inbound.postmarkapp.com",
    )  # fmt: skip
    (message,) = parse(posted(answer)).messages
    assert message.thread.token == str(case)
    assert message.account == "support-mail"


def test_a_strange_recipient_is_parked() -> None:
    for to in ("who@example.org", "desk@elsewhere.example"):
        request = posted(changed("raw", OriginalRecipient=to))
        parsed = parse(request)
        assert parsed.messages == ()
        assert [item.raw for item in parsed.parked] == [request.body]
        assert parsed.parked[0].key == MAILS["raw"]["post"]["MessageID"]


@pytest.mark.parametrize("document", [{}, {"MessageID": "x"}, [], 7, "x", {"RecordType": "New"}])
def test_what_is_no_webhook_of_theirs(document: Any) -> None:
    with pytest.raises(Unreadable):
        parse(posted(document))


# --- what became of ours -------------------------------------------------------------------


@pytest.mark.parametrize("case", WEBHOOKS.values(), ids=WEBHOOKS.keys())
def test_a_webhook(case: Any) -> None:
    parsed = parse(posted(case["post"]))
    assert (list(parsed.messages), list(parsed.parked)) == ([], [])
    if case["expect"] is None:
        assert list(parsed.statuses) == []
        return
    (status,) = parsed.statuses
    expect = dict(case["expect"])
    if "at" in expect:
        assert status.at == datetime.fromisoformat(expect.pop("at"))
    assert {name: getattr(status, name) for name in expect} == expect


def test_two_bounces_of_one_mail_are_two() -> None:
    post = WEBHOOKS["hard bounce"]["post"]
    ids = [parse(posted({**post, "ID": id})).statuses[0].id for id in (1, 2, 1)]
    assert ids[0] == ids[2] != ids[1]


# --- who may post --------------------------------------------------------------------------


def test_every_password_is_accepted_while_it_rotates() -> None:
    for credentials in ("regie:this-year", "regie:last-year"):
        INBOUND.verify(signed(b"{}", credentials), SUPPORT)
    INBOUND.verify(signed(b"{}", "whoever:this-year"), named(ACCOUNTS, "claims-mail"))
    for wrong in ("regie:", "regie:theirs", "Regie:this-year", "this-year", "é:é"):
        with pytest.raises(Unauthenticated) as refusal:
            INBOUND.verify(signed(b"{}", wrong), SUPPORT)
        assert refusal.value.status == 401  # upon a 403 Postmark would give the mail up


def test_there_is_no_handshake() -> None:
    with pytest.raises(Refused) as refusal:
        INBOUND.handshake(replace(signed(b""), method="GET"), SUPPORT)
    assert refusal.value.status != 403


# --- noise ---------------------------------------------------------------------------------

_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(
        st.sampled_from(["Email", "Name", "Value", "Content", "ContentType", "Data"]), each
    ),
    max_leaves=8,
)  # fmt: skip
_NAMES = sorted({name for each in (*MAILS.values(), *WEBHOOKS.values()) for name in each["post"]})


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(_NAMES), _VALUES),
       st.sampled_from(["", "Inbound", "Bounce", "Open", "SubscriptionChange"]))  # fmt: skip
def test_any_document(document: dict[str, Any], kind: str) -> None:
    try:
        parsed = parse(posted({**document, "RecordType": kind}))
    except Unreadable:
        return
    assert all(message.account for message in parsed.messages)
