"""Our check of Vonage's two signatures against Vonage's own libraries, and hostile requests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vonage_http_client.auth import Auth
from vonage_jwt import verify_signature

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.providers import vonage
from shared.errors import Unauthenticated, Unreadable
from tests.contracts.channels.behaviour import RECEIVED_AT, load, named

SECRET = "f1dcpJhcQyqwdg7VA0MOZ5qx3a2b9e8c"
OTHER = "0000000000000000000000000000other"
BODY = b'{"message_uuid": "aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab", "text": "caf\\u00e9"}'
FORM = "application/x-www-form-urlencoded"
NOW = datetime.now(UTC)  # Vonage's library reads the clock
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def account(secrets: str = SECRET) -> Account:
    text = f"""
    accounts:
      desk-sms:
        channel: sms
        provider: vonage
        number: "+31970000001"
        signature_secret: {secrets}
    """
    return named(load(text), "desk-sms")


def claims(body: bytes = BODY, at: datetime = RECEIVED_AT, **more: Any) -> dict[str, Any]:
    return {
        "iat": int(at.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "a1b2c3d",
        "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    } | more


def bearer(
    content: Mapping[str, Any], secret: str = SECRET, body: bytes = BODY, algorithm: str = "HS256"
) -> WebhookRequest:
    token = jwt.encode(dict(content), secret, algorithm)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return WebhookRequest("POST", "", (), "", headers, body, RECEIVED_AT)


def accepted(request: WebhookRequest, by: Account | None = None) -> bool:
    try:
        vonage.verify(request, by or account())
    except Unauthenticated:
        return False
    return True


def token_of(request: WebhookRequest) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


# --- the token -------------------------------------------------------------------------------


def test_what_vonage_signs_is_accepted() -> None:
    request = replace(bearer(claims(at=NOW)), received_at=NOW)
    assert verify_signature(token_of(request), SECRET)
    assert accepted(request)
    assert accepted(replace(request, headers={"authorization": f"bearer {token_of(request)}"}))


def test_another_secret_is_refused_as_by_vonage() -> None:
    request = bearer(claims(), OTHER)
    assert not verify_signature(token_of(request), SECRET)
    assert not accepted(request)


def test_each_secret_of_a_rotation_is_accepted_and_no_other() -> None:
    both = account(f"[{OTHER}, {SECRET}]")
    assert accepted(bearer(claims()), both)
    assert accepted(bearer(claims(), OTHER), both)
    assert not accepted(bearer(claims(), "a" * 32), both)


def test_a_good_token_about_another_body_is_refused() -> None:
    request = replace(bearer(claims(at=NOW)), received_at=NOW, body=BODY + b" ")
    assert verify_signature(token_of(request), SECRET), "Vonage's library looks at the token only"
    assert not accepted(request)


@pytest.mark.parametrize(
    "changed",
    [
        {"payload_hash": None},
        {"payload_hash": 7},
        {"payload_hash": "é"},
        {"iat": None},
        {"iat": "soon"},
        {"iat": 1e400},
        {"iat": int(RECEIVED_AT.timestamp()) - vonage.OLDEST - 1},
        {"iat": int(RECEIVED_AT.timestamp()) + vonage.AHEAD + 1},
        {"exp": int(RECEIVED_AT.timestamp())},
        {"iss": "Somebody"},
    ],
)
def test_claims_that_do_not_hold(changed: dict[str, Any]) -> None:
    assert not accepted(bearer(claims(**changed)))


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": int(RECEIVED_AT.timestamp()) - vonage.OLDEST},
        {"iat": int(RECEIVED_AT.timestamp()) + vonage.AHEAD},
        {"exp": int(RECEIVED_AT.timestamp()) + 1},
        {"payload_hash": hashlib.sha256(BODY).hexdigest().upper()},
    ],
)
def test_claims_that_just_hold(changed: dict[str, Any]) -> None:
    assert accepted(bearer(claims(**changed)))


def test_a_body_without_its_hash_is_refused_and_a_bare_get_is_not() -> None:
    bare = {name: value for name, value in claims().items() if name != "payload_hash"}
    assert not accepted(bearer(bare))
    assert not accepted(bearer(bare, body=b""))
    assert accepted(replace(bearer(bare, body=b""), method="GET"))
    assert not accepted(replace(bearer(bare), method="GET"))


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_no_other_algorithm_is_taken_even_with_the_secret() -> None:
    assert not accepted(bearer(claims(), algorithm="HS512"))
    unsigned = f"{part({'alg': 'none'})}.{part(claims())}."
    headers = {"authorization": f"Bearer {unsigned}"}
    assert not accepted(replace(bearer(claims()), headers=headers))
    lying = jwt.encode(claims(), SECRET, "HS256", headers={"alg": "HS256", "crit": ["b64"]})
    assert not accepted(replace(bearer(claims()), headers={"authorization": f"Bearer {lying}"}))


@pytest.mark.parametrize("header", [{"alg": "HS512"}, {}, [], "HS256", {"alg": ["HS256"]}])
def test_a_header_that_names_another_algorithm_than_it_is_signed_by(header: Any) -> None:
    signed = f"{part(header)}.{part(claims())}"
    token = f"{signed}.{vonage._hs256(signed, SECRET).decode()}"
    assert not accepted(replace(bearer(claims()), headers={"authorization": f"Bearer {token}"}))


@given(st.text(max_size=60), st.binary(max_size=40), st.sampled_from(["Bearer ", "bearer ", ""]))
def test_nothing_a_stranger_sends_gets_in_or_breaks_it(
    token: str, body: bytes, scheme: str
) -> None:
    headers = {"authorization": scheme + token, "content-type": "application/json"}
    assert not accepted(replace(bearer(claims()), headers=headers, body=body))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_token_of_odd_parts_under_the_secret_is_refused(header: bytes, payload: bytes) -> None:
    signed = ".".join(base64.urlsafe_b64encode(each).decode() for each in (header, payload))
    token = f"{signed}.{vonage._hs256(signed, SECRET).decode()}"
    assert not accepted(replace(bearer(claims()), headers={"authorization": f"Bearer {token}"}))


# --- the older signature ---------------------------------------------------------------------


def sms(**more: str) -> dict[str, str]:
    return {
        "msisdn": "447700900001",
        "to": "447700900000",
        "messageId": "0A0000000123ABCD1",
        "text": "Where is my parcel? a=b & c",
        "type": "text",
        "timestamp": str(int(RECEIVED_AT.timestamp())),
        "nonce": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    } | more


def sig(parameters: Mapping[str, str], method: str = "sha256") -> str:
    auth = Auth(api_key="a1b2c3d", signature_secret=SECRET, signature_method=method)
    return str(auth.sign_params(dict(parameters)))


def form(parameters: Mapping[str, str]) -> WebhookRequest:
    body = urlencode(parameters).encode()
    return WebhookRequest("POST", "", (), "", {"content-type": FORM}, body, RECEIVED_AT)


def posted_json(parameters: Mapping[str, Any]) -> WebhookRequest:
    body = json.dumps(parameters).encode()
    headers = {"content-type": "application/json"}
    return WebhookRequest("POST", "", (), "", headers, body, RECEIVED_AT)


@pytest.mark.parametrize("method", ["md5", "sha1", "sha256", "sha512"])
def test_each_method_of_the_dashboard(method: str) -> None:
    good = sms(sig=sig(sms(), method))
    assert accepted(form(good))
    assert accepted(form(good | {"sig": good["sig"].upper()}))
    assert accepted(posted_json(good))
    assert not accepted(form(good | {"text": "another"}))
    assert not accepted(form(good), account(OTHER))
    assert accepted(form(good), account(f"[{OTHER}, {SECRET}]"))


def test_the_plain_md5_of_vonages_documentation() -> None:
    text = "".join(f"&{name}={value}" for name, value in sorted(sms(text="hi").items()))
    plain = hashlib.md5((text + SECRET).encode()).hexdigest()
    assert accepted(form(sms(text="hi", sig=plain)))
    assert not accepted(form(sms(text="ho", sig=plain)))


@given(st.dictionaries(words.filter(lambda name: name != "sig"), words, max_size=5))
def test_whatever_is_signed_as_vonage_signs_is_accepted(more: dict[str, str]) -> None:
    parameters = {**more, "timestamp": sms()["timestamp"]}
    assert accepted(form({**parameters, "sig": sig(parameters)}))


@pytest.mark.parametrize("stamp", ["", "soon", "0", "99999999999", "2026-10-01 12:00:00"])
def test_a_timestamp_that_does_not_hold(stamp: str) -> None:
    parameters = sms(timestamp=stamp or " ")
    assert not accepted(form(parameters | {"sig": sig(parameters)}))


def test_a_days_repeats_are_taken_and_no_more() -> None:
    request = form(sms(sig=sig(sms())))
    day = timedelta(seconds=vonage.OLDEST)
    assert accepted(replace(request, received_at=RECEIVED_AT + day))
    assert not accepted(replace(request, received_at=RECEIVED_AT + day + timedelta(seconds=1)))


@pytest.mark.parametrize("given_", ["", "x", "é" * 64, "0" * 32, "0" * 40, "0" * 64, "0" * 128])
def test_an_odd_sig_is_refused(given_: str) -> None:
    assert not accepted(form(sms(sig=given_)))


def test_without_either_signature_nothing_is_accepted() -> None:
    assert not accepted(form(sms()))
    assert not accepted(posted_json(sms()))
    assert not accepted(posted_json({"sig": {}}))
    assert not accepted(replace(form(sms()), headers={"authorization": "Basic YTpi"}))


@given(st.binary(max_size=60), st.sampled_from([FORM, "application/json", ""]))
def test_parameters_are_read_or_unreadable(body: bytes, kind: str) -> None:
    request = replace(form({}), body=body, headers={"content-type": kind})
    assert not accepted(request)
    try:
        vonage.parameters(request)
    except Unreadable:
        return
