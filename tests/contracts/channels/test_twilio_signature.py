"""Our check of X-Twilio-Signature against Twilio's own library, and against hostile requests."""

from __future__ import annotations

import hashlib
import string
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from shared.accounts import Account
from shared.channels import WebhookRequest
from shared.channels.providers import twilio
from shared.errors import Unauthenticated, Unreadable
from tests.contracts.channels import twilio_forms as forms

ADDRESS = f"{forms.PUBLIC}/webhooks/desk-phone"
words = st.text(st.characters(codec="utf-8"), max_size=12)
paths = st.text(string.ascii_lowercase, max_size=8).map(lambda name: f"/{name}" if name else "")
queries = st.lists(st.tuples(words, words), max_size=3).map(urlencode)
# A name comes more than once, with the same and with other values, and some values are blank.
posts = st.lists(st.tuples(st.sampled_from(["CallSid", "a", "A", "", "é"]) | words, words))

ports = st.sampled_from(["", ":443", ":8443"])


def account(public: str = forms.PUBLIC, token: str = forms.TOKEN) -> Account:
    return next(iter(forms.accounts(forms.line(public=public, token=token))))


def accepted(request: WebhookRequest, by: Account) -> bool:
    try:
        twilio.verify(request, by)
    except Unauthenticated:
        return False
    return True


def oracle_signature(url: str, pairs: list[tuple[str, str]], algorithm: str | None = None) -> str:
    values = forms.fields(pairs)
    signature = RequestValidator(forms.TOKEN).compute_signature(url, values, algorithm)
    assert isinstance(signature, str)
    return signature


def post(path: str, query: str, pairs: list[tuple[str, str]], signature: str) -> WebhookRequest:
    return forms.request(path, urlencode(pairs).encode(), query, {"x-twilio-signature": signature})


@given(paths, queries, posts)
def test_what_twilio_signs_is_accepted(path: str, query: str, pairs: list[tuple[str, str]]) -> None:
    url = f"{ADDRESS}{path}" + (f"?{query}" if query else "")
    assert accepted(post(path, query, pairs, oracle_signature(url, pairs)), account())


@given(queries, posts, ports, ports)
def test_the_port_counts_as_it_does_for_twilio(
    query: str, pairs: list[tuple[str, str]], configured: str, signed: str
) -> None:
    tail = "/webhooks/desk-phone" + (f"?{query}" if query else "")
    signature = oracle_signature(f"https://regie.example.org{signed}{tail}", pairs)
    by = account(public=f"https://regie.example.org{configured}")
    expected = RequestValidator(forms.TOKEN).validate(
        f"https://regie.example.org{configured}{tail}", forms.fields(pairs), signature
    )
    assert accepted(post("", query, pairs, signature), by) is expected


@given(posts, posts, queries, queries)
def test_another_form_or_address_is_refused_as_by_twilio(
    signed: list[tuple[str, str]],
    sent: list[tuple[str, str]],
    signed_query: str,
    sent_query: str,
) -> None:
    signature = oracle_signature(f"{ADDRESS}?{signed_query}", signed)
    url = f"{ADDRESS}?{sent_query}" if sent_query else ADDRESS
    expected = RequestValidator(forms.TOKEN).validate(url, forms.fields(sent), signature)
    assert accepted(post("", sent_query, sent, signature), account()) is expected


def test_a_shared_key_may_sign_with_sha256() -> None:
    pairs = [("CallSid", "CA1")]
    signature = oracle_signature(ADDRESS, pairs, "HMAC_SHA256")
    request = post("", "", pairs, signature)
    assert not accepted(request, account())
    settings = {"x-twilio-webhooks-signature-settings": "key=k1,algorithm=HMAC_SHA256"}
    assert accepted(replace(request, headers={**request.headers, **settings}), account())
    unknown = {"x-twilio-webhooks-signature-settings": "algorithm=NONE"}
    assert not accepted(replace(request, headers={**request.headers, **unknown}), account())


def test_each_token_of_a_rotation_is_accepted_and_no_other() -> None:
    by = account(token=f"[{forms.ELSEWHERE}, {forms.TOKEN}]")
    assert accepted(forms.signed("", b"CallSid=CA1"), by)
    assert accepted(forms.signed("", b"CallSid=CA1", token=forms.ELSEWHERE), by)
    assert not accepted(forms.signed("", b"CallSid=CA1", token="a" * 32), by)


def test_a_json_body_is_accepted_by_its_hash_in_the_address() -> None:
    body = b'{"CallSid": "CA1"}'
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = oracle_signature(f"{ADDRESS}?{query}", [])
    headers = {"x-twilio-signature": signature, "content-type": "application/json"}
    request = forms.request("", body, query, headers)
    assert accepted(request, account())
    assert RequestValidator(forms.TOKEN).validate(f"{ADDRESS}?{query}", body.decode(), signature)
    assert not accepted(replace(request, body=body + b" "), account())
    # Twilio's library ends in a TypeError here; a refusal is what is meant.
    headers["x-twilio-signature"] = oracle_signature(ADDRESS, [])
    assert not accepted(forms.request("", body, "", headers), account())


def test_forwarded_headers_change_nothing() -> None:
    request = forms.signed("", b"CallSid=CA1")
    lies = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http", "host": "evil.example"}
    assert accepted(replace(request, headers={**request.headers, **lies}), account())
    evil = oracle_signature("https://evil.example/webhooks/desk-phone", [("CallSid", "CA1")])
    headers = {**request.headers, **lies, "x-twilio-signature": evil}
    assert not accepted(replace(request, headers=headers), account())


@pytest.mark.parametrize("signature", ["", " ", "é", "\udcff", "=" * 5000, "sha1=abc", "\x00"])
def test_an_odd_signature_is_refused(signature: str) -> None:
    assert not accepted(forms.request(headers={"x-twilio-signature": signature}), account())


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"a=%ff", b"&".join([b"a=1"] * 2000), b"CallSid=\x00", b"=", b"&&&"],
)
def test_an_odd_body_without_its_signature_is_refused(body: bytes) -> None:
    assert not accepted(forms.request("", body, headers={"x-twilio-signature": "x"}), account())


@given(
    st.binary(max_size=200),
    st.text(max_size=30),
    st.text(max_size=30),
    st.sampled_from(
        [forms.FORM, "application/json", "", "multipart/form-data", forms.FORM + "; x"]
    ),
    st.text(max_size=60),
)
def test_nothing_a_stranger_sends_gets_in_or_breaks_it(
    body: bytes, path: str, query: str, kind: str, signature: str
) -> None:
    headers = {"x-twilio-signature": signature, "content-type": kind}
    assert not accepted(forms.request(path, body, query, headers), account())


@given(st.binary(max_size=200), st.sampled_from([forms.FORM, "application/json", ""]))
def test_a_form_is_read_or_unreadable(body: bytes, kind: str) -> None:
    try:
        form = twilio.form(forms.request("", body, headers={"content-type": kind}))
    except Unreadable:
        return
    assert "\x00" not in "".join([*form, *form.values()])


def test_the_address_is_the_configured_one() -> None:
    url = twilio.address(account(public=forms.PUBLIC + "/"), "/dialed", "at=1")
    assert url == f"{ADDRESS}/dialed?at=1"
    assert urlsplit(url).netloc == "regie.example.org"
