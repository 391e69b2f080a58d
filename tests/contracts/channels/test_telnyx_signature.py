"""Our check of telnyx-signature-ed25519 against Telnyx's own library, and hostile requests."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from telnyx import Telnyx

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.providers import telnyx
from shared.errors import Unauthenticated, Unreadable
from tests.contracts.channels.behaviour import load, named

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NOW = datetime.now(UTC).replace(microsecond=0)
BODY = b'{"data": {"id": "1", "event_type": "message.received", "payload": {}}}'


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


ORACLE = Telnyx(api_key="KEY0", public_key=public(KEY))


def account(keys: str = f'"{public(KEY)}"') -> Account:
    text = f"""
    accounts:
      desk-sms: {{channel: sms, provider: telnyx, number: "+31970000001", public_key: {keys}}}
    """
    return named(load(text), "desk-sms")


@pytest.fixture(autouse=True)
def now() -> None:
    """Telnyx's library reads the machine's clock, and this module may be minutes old by now."""
    global NOW  # noqa: PLW0603 - every helper here reads it
    NOW = datetime.now(UTC).replace(microsecond=0)


def signed(
    body: bytes = BODY, at: datetime | None = None, key: Ed25519PrivateKey = KEY
) -> WebhookRequest:
    stamp = str(int((at or NOW).timestamp()))
    signature = base64.b64encode(key.sign(stamp.encode() + b"|" + body)).decode()
    headers = {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature}
    return WebhookRequest("POST", "", (), "", headers, body, NOW)


def accepted(request: WebhookRequest, by: Account) -> bool:
    try:
        telnyx.verify(request, by)
    except Unauthenticated:
        return False
    return True


def by_oracle(request: WebhookRequest) -> bool:
    try:
        ORACLE.webhooks.unwrap(request.body.decode(), headers=request.headers)
    except ValueError:
        return False
    return True


# At the very edge the two clocks would have to be the same one.
@pytest.mark.parametrize("seconds", [0, 290, -290, 400, -400, 10**8])
def test_the_timestamp_counts_as_it_does_for_telnyx(seconds: int) -> None:
    request = signed(at=NOW - timedelta(seconds=seconds))
    assert accepted(request, account()) is by_oracle(request) is (abs(seconds) < 300)


def test_the_edge_of_the_tolerance() -> None:
    request = signed()
    for seconds, taken in ((300, True), (301, False), (-300, True), (-301, False)):
        later = replace(request, received_at=NOW + timedelta(seconds=seconds))
        assert accepted(later, account()) is taken


def spoilt(request: WebhookRequest, **headers: str) -> WebhookRequest:
    by = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(request, headers={**request.headers, **by})


@pytest.mark.parametrize(
    "request_",
    [
        signed(key=OTHER),
        replace(signed(), body=BODY.replace(b"1", b"2")),
        replace(signed(), headers={}),
        spoilt(signed(), telnyx_timestamp=str(int(NOW.timestamp()) + 1)),
        spoilt(signed(), telnyx_timestamp="yesterday"),
        spoilt(signed(), telnyx_timestamp=""),
        spoilt(signed(), telnyx_signature_ed25519="AAAA"),
        spoilt(signed(), telnyx_signature_ed25519="é" * 88),
        spoilt(signed(), telnyx_signature_ed25519=base64.b64encode(bytes(64)).decode()),
    ],
)
def test_what_telnyx_refuses_is_refused(request_: WebhookRequest) -> None:
    assert not accepted(request_, account())
    assert not by_oracle(request_)


@given(st.text(max_size=60))
def test_what_telnyx_accepts_is_accepted(text: str) -> None:
    body = f'{{"data": {{"text": "{text.encode().hex()}"}}}}'.encode()
    assert by_oracle(signed(body))
    assert accepted(signed(body), account())
    assert not accepted(replace(signed(body), body=body + b" "), account())


def test_each_key_of_a_rotation_is_accepted_and_no_other() -> None:
    both = account(f'["{public(OTHER)}", "{public(KEY)}"]')
    assert accepted(signed(), both)
    assert accepted(signed(key=OTHER), both)
    assert not accepted(signed(key=OTHER), account())


@pytest.mark.parametrize("key", ["no key", "AAAA", "é"])
def test_a_key_that_is_none_refuses_everything(key: str) -> None:
    assert not accepted(signed(), account(f'"{key}"'))


@given(st.binary(max_size=80), st.text(max_size=90), st.text(max_size=20))
def test_nothing_a_stranger_sends_gets_in_or_breaks_it(
    body: bytes, signature: str, stamp: str
) -> None:
    headers = {"telnyx-signature-ed25519": signature, "telnyx-timestamp": stamp}
    assert not accepted(replace(signed(body), headers=headers), account())
    headers["telnyx-timestamp"] = str(int(NOW.timestamp()))
    assert not accepted(replace(signed(body), headers=headers), account())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": {"id": "1"}}',
        b'{"data": {"event_type": "x"}}',
    ],
)
def test_what_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        telnyx.envelope(signed(body))


def test_an_event_never_occurs_after_its_receipt() -> None:
    body = b'{"data": {"id": "1", "event_type": "x", "occurred_at": "2999-01-01T00:00:00Z"}}'
    found = telnyx.envelope(signed(body))
    assert (found.id, found.type, found.payload) == ("1", "x", {})
    assert found.occurred_at == NOW
