"""What a visitor's page posts becomes an event, or is refused by name; nothing else happens."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from shared.accounts import AccountsError
from shared.broker import Record
from shared.channels.table import can_send
from shared.channels.webchat import (
    ChatSettings,
    Visitor,
    admit,
    files_in,
    fingerprint,
    message_of,
    settings_of,
    takes_chats,
)
from shared.channels.webchat_posted import (
    PostedContact,
    PostedLine,
    PostedMark,
    PostedStart,
    check_words,
    mail_address,
    read,
)
from shared.channels.webchat_proof import Proof, proof_of
from shared.cloudevents import decode, encode
from shared.errors import Forbidden, Invalid, TooLarge, Unauthenticated
from shared.keys import message_key
from tests.contracts.channels.behaviour import RECEIVED_AT, load, named

OLD, NEW = "the-secret-before-the-last-rotation", "the-secret-of-this-quarter-and-no-other"
ACCOUNTS = load(
    """
    accounts:
      shop:
        channel: webchat
        provider: generic
        origins: ["https://Shop.example:443", "http://localhost:3000"]
        secret: ["${NEW}", "${OLD}"]
        session_lifetime: 2h
        follow_up_from: mail
        limits: {session: 5/1s}
      door: {channel: webchat, provider: generic, region: NL}
    """,
    NEW=NEW,
    OLD=OLD,
)
SHOP = named(ACCOUNTS, "shop")
SETTINGS = settings_of(SHOP)
SESSION = UUID("01a203aa-908a-7000-9dca-002fc5131784")
NOW = RECEIVED_AT.timestamp()


def line(**posted: Any) -> PostedLine:
    return read(json.dumps({"seq": 1, "text": "Hello"} | posted).encode(), PostedLine)


def signed(secret: str = NEW, alg: str = "HS256", **claims: Any) -> str:
    said = {"sub": "1001", "exp": NOW + 60} | claims
    return jwt.encode({"alg": alg}, said, OctKey.import_key(secret), algorithms=[alg])


# --- the account -------------------------------------------------------------------------------


def test_what_an_account_says_and_what_holds_where_it_is_silent() -> None:
    assert SETTINGS.origins == {"https://shop.example", "http://localhost:3000"}
    assert (SETTINGS.lifetime.total_seconds(), SETTINGS.follow_up_after.total_seconds()) == (
        7200, 300,
    )  # fmt: skip
    assert (SETTINGS.limits["session"].count, SETTINGS.limits["session"].seconds) == (5, 1.0)
    assert (SETTINGS.limits["address"].count, SETTINGS.streams) == (240, 100)


def test_only_one_with_origins_takes_chats_and_sends() -> None:
    for account, open_ in (("shop", True), ("door", False)):
        assert takes_chats(named(ACCOUNTS, account)) is open_
        assert can_send(named(ACCOUNTS, account)) is open_


@pytest.mark.parametrize(
    ("field", "right"),
    [
        ("origins: shop.example", "write https://"),
        ("origins: https://shop.example/chat", "write https://shop.example"),
        ("origins: ['*']", "write https://"),
        ("limits: {session: 30}", "write 30/1m"),
        ("limits: {session: 0/1m}", "write 30/1m"),
        ("limits: {session: 3/0s}", "time is zero"),
        ("limits: {lines: 3/1s}", "unknown key"),
        ("max_text: many", "whole number"),
        ("session_lifetime: 1bd", "no fixed length"),
    ],
)
def test_a_wrong_field_is_told_with_what_would_be_right(field: str, right: str) -> None:
    with pytest.raises(AccountsError, match=right):
        load(f"accounts:\n  c:\n    channel: webchat\n    provider: generic\n    {field}\n")


# --- who may speak -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"origin": "https://shop.example"}, "https://shop.example"),
        ({"origin": "HTTPS://SHOP.EXAMPLE"}, "https://shop.example"),
        ({"origin": "http://localhost:3000"}, "http://localhost:3000"),
        ({}, ""),
        ({"sec-fetch-site": "same-origin", "host": "shop.example"}, ""),
        ({"origin": "http://shop.example"}, None),
        ({"origin": "https://shop.example:8443"}, None),
        ({"origin": "null"}, None),
        ({"sec-fetch-site": "same-origin", "host": "op.example"}, None),
        ({"sec-fetch-site": "cross-site", "host": "shop.example"}, None),
        ({"sec-fetch-site": "none"}, None),
    ],
)
def test_pages_of_these_origins_may_speak(headers: dict[str, str], told: str | None) -> None:
    if told is None:
        with pytest.raises(Forbidden):
            admit(headers, SETTINGS)
    else:
        assert admit(headers, SETTINGS) == told


# --- lines ---------------------------------------------------------------------------------------


def said(visitor: Visitor, posted: PostedLine, before: str = "") -> Any:
    files, _ = files_in(posted, SETTINGS)
    return message_of(visitor, SHOP, posted, files, received_at=RECEIVED_AT, before=before)


def test_a_line_becomes_a_message() -> None:
    content = base64.b64encode(b"torn").decode()
    file = {"name": "/etc/corner.jpg", "content_type": "image/jpeg", "content": content}
    visitor = Visitor(SESSION, "Ada", "ada@example.org", "nl", "https://shop.example/x")
    message = said(visitor, line(seq=7, attachments=[file]), before="earlier")
    assert (message.channel, message.kind, message.text) == ("webchat", "message", "Hello")
    assert message.occurred_at == message.received_at == RECEIVED_AT
    assert message.thread.message_id == f"{SESSION}-7" == message.provider_event_id
    assert message.thread.references == ("earlier",)
    assert [(f.name, f.size) for f in message.attachments] == [("corner.jpg", 4)]
    record = encode("t", message_key(message), message, id=str(message.id), source="/x")
    back = decode(Record("t", 0, 0, record.key, record.value, record.headers, RECEIVED_AT))
    assert back.body == message


def test_a_repeat_is_the_same_message_and_another_number_is_not() -> None:
    visitor = Visitor(SESSION)
    ids = [said(visitor, line(seq=seq, text=text)).id for seq, text in ((1, "a"), (1, "b"))]
    assert ids[0] == ids[1], "the door tells them apart, by their fingerprint"
    assert said(visitor, line(seq=2)).id != ids[0]
    assert said(Visitor(UUID(int=5)), line(seq=1)).id != ids[0]


@pytest.mark.parametrize(
    ("visitor", "identities", "authentication"),
    [
        (Visitor(SESSION), ["chat"], "asserted"),
        (Visitor(SESSION, email="a@b.example"), ["chat", "email"], "asserted"),
        (Visitor(SESSION, customer_ref="1"), ["chat", "customer_no"], "proven"),
        (Visitor(SESSION, email="a@b.ex", customer_ref="1"), ["chat", "customer_no"], "proven"),
        (
            Visitor(SESSION, email="a@b.example", customer_ref="1", email_proven=True),
            ["chat", "customer_no", "email"], "proven",
        ),
        (Visitor(SESSION, email="a@b.example", email_proven=True), ["chat", "email"], "asserted"),
    ],
)  # fmt: skip
def test_nothing_is_proven_but_what_the_shop_signed(
    visitor: Visitor, identities: list[str], authentication: str
) -> None:
    sender = visitor.sender
    assert [i.scheme for i in sender.identities] == identities
    assert sender.authentication == authentication
    assert sender.identities[0].value == str(SESSION), "where an answer goes"


def test_another_body_has_another_fingerprint() -> None:
    one = base64.b64encode(b"1").decode()
    bodies = [
        line(text="a"), line(text="a "), line(text="a", attachments=[{"content": one}]),
        line(text="a", attachments=[{"content": one, "name": "b"}]),
        line(text="a", attachments=[{"content": one, "content_type": "b"}]),
        line(text="a", attachments=[{"content": base64.b64encode(b"2").decode()}]),
    ]  # fmt: skip
    prints = {fingerprint(b.text, files_in(b, SETTINGS)[0]) for b in bodies}
    assert len(prints) == len(bodies)
    assert fingerprint(bodies[0].text, []) in prints


def test_too_much_is_refused() -> None:
    big = base64.b64encode(b"x" * (SETTINGS.max_size + 1)).decode()
    with pytest.raises(TooLarge):
        files_in(line(attachments=[{"content": big}]), SETTINGS)
    with pytest.raises(Invalid):
        check_words(line(text="x" * (SETTINGS.max_text + 1)), SETTINGS.max_text)
    with pytest.raises(Invalid):
        check_words(line(text=" \n"), SETTINGS.max_text)


# --- the shop's word -----------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_a_token_signed_with_any_of_the_secrets_proves_who_it_is(secret: str) -> None:
    token = signed(secret, name="Ada", email="Ada@Example.org", email_verified=True)
    assert proof_of(token, SHOP, RECEIVED_AT) == Proof("1001", "Ada", "ada@example.org")
    assert proof_of(signed(secret, sub=1001), SHOP, RECEIVED_AT) == Proof("1001")


def test_a_token_made_by_hand_is_read() -> None:
    """RFC 7515 section 3.3, with nothing but HMAC: no library of ours on both sides."""

    def written(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    claims = json.dumps({"sub": "1001", "exp": NOW + 60}).encode()
    signing = written(b'{"typ":"JWT","alg":"HS256"}') + b"." + written(claims)
    digest = hmac.digest(NEW.encode(), signing, "sha256")
    token = (signing + b"." + written(digest)).decode()
    assert proof_of(token, SHOP, RECEIVED_AT) == Proof("1001")


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "a.b.c", "..", signed() + "x", signed()[:-4], signed("an entirely wrong secret!!"),
        signed(exp=NOW - 61), signed(exp=NOW + 86_400 + 61), signed(exp="soon"), signed(exp=True),
        signed(exp=float("nan")), signed(nbf=NOW + 61), signed(sub=""), signed(sub=None),
        signed(sub=["1"]),
        signed(aud="other"), signed(aud=["x", "y"]), signed(alg="HS512"),
        signed(email="nobody", email_verified=True),
        # "none": signed by nobody (RFC 7519 section 6)
        base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + "."
        + signed().split(".")[1] + ".",
    ],
)  # fmt: skip
def test_whatever_else_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        proof_of(token, SHOP, RECEIVED_AT)
    assert len(refusal.value.detail) > 10


def test_a_clock_may_be_a_little_off() -> None:
    for claims in ({"exp": NOW - 30}, {"nbf": NOW + 30}, {"aud": ["shop", "x"]}):
        assert proof_of(signed(**claims), SHOP, RECEIVED_AT).customer_ref == "1001"


def test_without_a_secret_nothing_is_proven() -> None:
    with pytest.raises(Unauthenticated):
        proof_of(signed(), named(ACCOUNTS, "door"), RECEIVED_AT)


# --- no other exception --------------------------------------------------------------------------

MODELS = st.sampled_from([PostedStart, PostedContact, PostedLine, PostedMark])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["seq", "text", "attachments", "name", "email", "language", "page", "token", "upto", "content"]
)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(FIELDS, JSON, max_size=5).map(json.dumps).map(str.encode) | st.binary(), MODELS
)
def test_any_body_is_read_or_refused(body: bytes, model: Any) -> None:
    try:
        posted = read(body, model)
        if isinstance(posted, PostedStart):
            mail_address(posted.email)
        if isinstance(posted, PostedLine):
            check_words(posted, SETTINGS.max_text)
            said(Visitor(SESSION), posted)
    except (Invalid, TooLarge):
        pass


@settings(max_examples=300, deadline=None)
@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_token_is_refused_and_nothing_worse(token: str) -> None:
    with pytest.raises(Unauthenticated):
        proof_of(token, SHOP, RECEIVED_AT)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "aud", "email", "name"]), JSON))
def test_any_claims_under_a_good_signature_prove_or_are_refused(claims: dict[str, Any]) -> None:
    try:
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(NEW))
    except Exception:  # what the library will not sign nobody can send
        return
    try:
        assert proof_of(token, SHOP, RECEIVED_AT).customer_ref
    except Unauthenticated:
        pass


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["origin", "host", "sec-fetch-site"]), st.text()))
def test_any_headers_are_admitted_or_refused(headers: dict[str, str]) -> None:
    given_settings: ChatSettings = SETTINGS
    try:
        assert admit(headers, given_settings) in {"", *SETTINGS.origins}
    except Forbidden:
        pass
