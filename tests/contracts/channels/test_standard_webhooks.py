"""Our Standard Webhooks against the official library, both ways, and against hostile headers."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from shared.channels.providers.standard_webhooks import key_of, sign, sign_all, verify
from shared.errors import Misconfigured, Unauthenticated

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(32, 64))).decode()
AT = datetime(2026, 10, 1, 12, tzinfo=UTC)
SECONDS = int(AT.timestamp())
BODY = b'{"text": "caf\xc3\xa9"}'

keys = st.binary(min_size=24, max_size=64)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def headers(**given: str) -> dict[str, str]:
    right = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(SECONDS),
        "webhook-signature": sign(SECRET, "msg_1", SECONDS, BODY),
    }
    return right | {name.replace("_", "-"): value for name, value in given.items()}


def refused(given: dict[str, str], body: bytes = BODY) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        verify([SECRET], given, body, AT)
    return refusal.value.detail


@given(key=keys, id=texts, body=texts, seconds=st.integers(0, 4_000_000_000))
def test_we_sign_as_the_official_library(key: bytes, id: str, body: str, seconds: int) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = Webhook(secret).sign(id, datetime.fromtimestamp(seconds, UTC), body)
    assert sign(secret, id, seconds, body.encode()) == theirs


@given(key=keys, id=texts, body=texts)
def test_we_take_what_the_official_library_signs(key: bytes, id: str, body: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    given = {
        "webhook-id": id,
        "webhook-timestamp": str(SECONDS),
        "webhook-signature": Webhook(secret).sign(id, AT, body),
    }
    assert verify([OTHER, secret], given, body.encode(), AT) == id


def test_the_official_library_takes_what_we_sign() -> None:
    now = datetime.now(UTC)
    seconds = int(now.timestamp())
    signed = headers(
        webhook_timestamp=str(seconds),
        webhook_signature=sign_all([OTHER, SECRET], "msg_1", seconds, BODY),
    )
    assert Webhook(SECRET).verify(BODY, signed) == {"text": "café"}
    assert Webhook(OTHER).verify(BODY, signed) == {"text": "café"}


def test_any_secret_of_the_account_will_do() -> None:
    assert verify([OTHER, SECRET], headers(), BODY, AT) == "msg_1"
    both = headers(webhook_signature=sign_all([OTHER, SECRET], "msg_1", SECONDS, BODY))
    assert verify([SECRET], both, BODY, AT) == "msg_1"
    beside = headers(webhook_signature=f"v1a,AAAA {headers()['webhook-signature']} v9")
    assert verify([SECRET], beside, BODY, AT) == "msg_1"
    assert verify([SECRET.removeprefix("whsec_").rstrip("=")], headers(), BODY, AT) == "msg_1"


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_within_five_minutes_either_way(seconds: int) -> None:
    assert verify([SECRET], headers(), BODY, AT + timedelta(seconds=seconds)) == "msg_1"


@pytest.mark.parametrize("seconds", [-301, 301, 86400])
def test_further_off_is_refused(seconds: int) -> None:
    with pytest.raises(Unauthenticated, match="5 minutes off"):
        verify([SECRET], headers(), BODY, AT + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "given",
    [
        headers(webhook_id=""),
        headers(webhook_id="msg_2"),
        headers(webhook_timestamp=""),
        headers(webhook_timestamp="now"),
        headers(webhook_timestamp="-1"),
        headers(webhook_timestamp="1e9"),
        headers(webhook_timestamp="²"),
        headers(webhook_timestamp="٣" * 10),
        headers(webhook_timestamp="9" * 5000),
        headers(webhook_timestamp=str(SECONDS + 1)),
        headers(webhook_signature=""),
        headers(webhook_signature="v1"),
        headers(webhook_signature="v1,"),
        headers(webhook_signature=",,, ,"),
        headers(webhook_signature="v1,not base64 at all ☃\ud800"),
        headers(webhook_signature="v1a," + headers()["webhook-signature"][3:]),
        headers(webhook_signature=sign(OTHER, "msg_1", SECONDS, BODY)),
        {},
    ],
)
def test_anything_else_is_refused(given: dict[str, str]) -> None:
    assert len(refused(given)) > 10


def test_a_changed_body_is_refused() -> None:
    assert refused(headers(), BODY + b" ")
    assert refused(headers(), b"\xff\xfe")


@given(
    id=st.text(), timestamp=st.text() | st.just(str(SECONDS)), signature=st.text(), body=st.binary()
)
def test_no_header_breaks_it(id: str, timestamp: str, signature: str, body: bytes) -> None:
    given = {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    refused(given, body)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_☃", "whsec_a"])
def test_a_secret_that_is_none(secret: str) -> None:
    with pytest.raises(Misconfigured, match="whsec_"):
        key_of(secret)
    with pytest.raises(Unauthenticated):
        verify([secret], headers(), BODY, AT)
