"""Text messages: what each provider sends, and what comes of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from vonage_http_client.auth import Auth

from shared.accounts import Accounts
from shared.channels import Inbound, Parsed, WebhookRequest
from shared.channels.sms.items import answers_nothing
from shared.channels.sms.segments import parts
from shared.channels.table import CHANNELS, can_send, provider_of
from shared.errors import NotFound, Refused, Unreadable
from tests.contracts.channels import twilio_forms as forms
from tests.contracts.channels.behaviour import (
    CHECKS,
    RECEIVED_AT,
    Check,
    Door,
    load,
    name_of,
    named,
)
from tests.contracts.channels.messages import Case, body_of, check, table

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRET = "f1dcpJhcQyqwdg7VA0MOZ5qx3a2b9e8c"
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
FORM = "application/x-www-form-urlencoded"

TWILIO = load(
    """
    accounts:
      desk-sms:
        channel: sms
        provider: twilio
        number: "+3197010000001"
        auth_token: [0f1e2d3c4b5a69788796a5b4c3d2e1f0]
        public_url: https://regie.example.org
        messaging_service: MG00000000000000000000000000000001
      code-sms:
        channel: sms
        provider: twilio
        number: "30301"
        auth_token: 0f1e2d3c4b5a69788796a5b4c3d2e1f0
        public_url: https://regie.example.org
      elsewhere-sms:
        channel: sms
        provider: twilio
        number: "+3197010000055"
        auth_token: ffffffffffffffffffffffffffffffff
        public_url: https://regie.example.org
    """
)
VONAGE = load(
    """
    accounts:
      desk-sms: {channel: sms, provider: vonage, number: "+3197010000002", signature_secret: '${S}'}
      code-sms: {channel: sms, provider: vonage, number: "60888", signature_secret: '${S}'}
      elsewhere-sms:
        {channel: sms, provider: vonage, number: "+3197010000055", signature_secret: another-one}
    """,
    S=SECRET,
)
TELNYX = load(
    """
    accounts:
      desk-sms:
        channel: sms
        provider: telnyx
        number: "+3197010000003"
        public_key: ${K}
        messaging_service: 16fd2706-8baf-433b-82eb-8c7fada847da
      elsewhere-sms: {channel: sms, provider: telnyx, number: "+3197010000055", public_key: AAAA}
    """,
    K=PUBLIC_KEY,
)


def by_twilio(body: bytes, path: str = "", query: str = "") -> WebhookRequest:
    """Twilio signs a form field by field, and anything else by its hash in the address."""
    try:
        signed = forms.signed(path, body, query, account="desk-sms")
        return replace(signed, received_at=RECEIVED_AT)
    except ValueError:
        query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
        request = forms.signed(path, b"", query, account="desk-sms")
        headers = {**request.headers, "content-type": "application/json"}
        return replace(request, body=body, headers=headers, received_at=RECEIVED_AT)


def by_vonage(body: bytes, path: str = "", query: str = "") -> WebhookRequest:
    claims = {
        "iat": int(RECEIVED_AT.timestamp()),
        "jti": "1",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
    }
    headers = {
        "authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}",
        "content-type": "application/json",
    }
    return WebhookRequest("POST", path, (), query, headers, body, RECEIVED_AT)


def by_telnyx(body: bytes, path: str = "", query: str = "") -> WebhookRequest:
    stamp = str(int(RECEIVED_AT.timestamp()))
    signature = base64.b64encode(KEY.sign(stamp.encode() + b"|" + body)).decode()
    headers = {"telnyx-timestamp": stamp, "telnyx-signature-ed25519": signature}
    return WebhookRequest("POST", path, (), query, headers, body, RECEIVED_AT)


@dataclass(frozen=True)
class Provided:
    name: str
    accounts: Accounts
    sign: Callable[[bytes, str, str], WebhookRequest]

    @property
    def inbound(self) -> Inbound:
        inbound = CHANNELS["sms"].providers[self.name].inbound
        assert inbound is not None
        return inbound

    def tell(self, request: WebhookRequest) -> Parsed:
        """What one request becomes, through the same two calls as at the door."""
        desk = named(self.accounts, "desk-sms")
        self.inbound.verify(request, desk)
        return self.inbound.parse(request, desk, self.accounts)

    def hear(self, case: Case) -> Parsed:
        return self.tell(self.sign(body_of(case), case.get("path", ""), case.get("query", "")))


PROVIDERS = [
    Provided("twilio", TWILIO, by_twilio),
    Provided("vonage", VONAGE, by_vonage),
    Provided("telnyx", TELNYX, by_telnyx),
]
BY_NAME = {provided.name: provided for provided in PROVIDERS}
TABLES = [(name, case) for name in BY_NAME for case in table(f"sms/{name}.json")]


def older(case: Case) -> WebhookRequest:
    """As Vonage's SMS API posts: no token, but `sig` among the parameters."""
    given = dict(case["form"])
    given["timestamp"] = str(int(RECEIVED_AT.timestamp()))
    auth = Auth(api_key="abcd1234", signature_secret=SECRET, signature_method="sha256")
    body = urlencode({**given, "sig": auth.sign_params(dict(given))}).encode()
    headers = {"content-type": FORM}
    return WebhookRequest("POST", case.get("path", ""), (), "", headers, body, RECEIVED_AT)


@pytest.mark.parametrize(
    ("provider", "case"), TABLES, ids=[f"{name}: {case['name']}" for name, case in TABLES]
)
def test_what_comes_of_it(provider: str, case: Case) -> None:
    provided = BY_NAME[provider]
    if provider == "vonage" and "form" in case:
        check(case, provided.tell(older(case)))
    elif "unreadable" in case:
        with pytest.raises(Unreadable, match=case["unreadable"]):
            provided.hear(case)
    else:
        check(case, provided.hear(case))


@pytest.mark.parametrize("provided", PROVIDERS, ids=lambda provided: provided.name)
@pytest.mark.parametrize("behaviour", CHECKS, ids=name_of)
def test_behaviour(provided: Provided, behaviour: Check) -> None:
    behaviour(
        Door(
            provided.inbound,
            named(provided.accounts, "desk-sms"),
            provided.accounts,
            sign=lambda body: provided.sign(body, "", ""),
            body=body_of(table(f"sms/{provided.name}.json")[0]),
        )
    )


@pytest.mark.parametrize("provided", PROVIDERS, ids=lambda provided: provided.name)
def test_a_get_is_told_what_to_do(provided: Provided) -> None:
    with pytest.raises(Refused, match=r"(?i)post"):
        provided.inbound.handshake(provided.sign(b"", "", ""), named(provided.accounts, "desk-sms"))


@pytest.mark.parametrize("provider", ["twilio", "vonage"])
def test_an_unknown_door_is_not_found(provider: str) -> None:
    provided = BY_NAME[provider]
    with pytest.raises(NotFound, match="/status"):
        provided.tell(provided.sign(b"a=1" if provider == "twilio" else b"{}", "/statuses", ""))


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("twilio", b"Body=hi"),
        ("twilio", b""),
        ("vonage", b""),
        ("vonage", b"[]"),
        ("vonage", b'{"text": "hi"}'),
        ("telnyx", b"{}"),
        ("telnyx", b'{"data": {"id": "1"}}'),
    ],
)
def test_what_names_no_message_is_unreadable(provider: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        BY_NAME[provider].tell(BY_NAME[provider].sign(body, "", ""))


def test_twilio_is_answered_in_its_own_language() -> None:
    answer = BY_NAME["twilio"].hear(table("sms/twilio.json")[0]).answer
    assert answer.content_type == "text/xml"
    assert answer.body.endswith(b"<Response/>")


def test_two_statuses_of_one_message_are_two_events() -> None:
    cases = {case["name"]: case for case in table("sms/twilio.json")}
    sent, delivered = (BY_NAME["twilio"].hear(cases[name]) for name in ("sent", "delivered"))
    assert sent.statuses[0].id != delivered.statuses[0].id
    again = BY_NAME["twilio"].hear(cases["sent"])
    assert again.statuses[0].id == sent.statuses[0].id


def test_the_parts_of_a_long_text_are_messages_of_their_own() -> None:
    (case,) = (c for c in table("sms/vonage.json") if c["name"] == "SMS API, second part of three")
    ids = set()
    for part in "123":
        form = case["form"] | {"concat-part": part, "messageId": f"0A000000000000{part}"}
        (message,) = BY_NAME["vonage"].tell(older({"form": form})).messages
        assert message.text.startswith(f"[part {part} of 3]")
        ids.add(message.id)
    assert len(ids) == 3


NAMES = [
    "msisdn",
    "to",
    "messageId",
    "text",
    "type",
    "status",
    "concat",
    "concat-total",
    "concat-part",
    "err-code",
    "message-timestamp",
    "from",
    "channel",
    "message_uuid",
]


@given(st.dictionaries(st.sampled_from(NAMES), st.text(st.characters(codec="utf-8"), max_size=20)))
def test_any_form_of_the_sms_api_is_read_or_parked(form: dict[str, str]) -> None:
    try:
        parsed = BY_NAME["vonage"].tell(older({"form": {"to": "3197010000002", **form}}))
    except Unreadable:
        return
    assert len(parsed.messages) + len(parsed.statuses) + len(parsed.parked) == 1
    for found in (parsed.messages, parsed.statuses):
        assert b"\\u0000" not in msgspec.json.encode(found)


def test_every_account_finds_its_adapter_in_both_directions() -> None:
    for provided in PROVIDERS:
        for account in provided.accounts:
            assert provider_of(account).inbound is not None
            assert can_send(account)


@pytest.mark.parametrize(
    ("sender", "machine"),
    [
        ("PostNL", True),
        ("Info24", True),
        ("Müller", True),
        ("21234", True),
        ("123456", True),
        ("1234567", False),
        ("+31612340001", False),
        ("+31 6 1234 0001", False),
        ("*100#", False),
    ],
)
def test_what_no_answer_can_reach(sender: str, machine: bool) -> None:
    assert answers_nothing(sender) is machine


# --- how many parts --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),  # each takes two places
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 10, 2),
        ("é" * 160, 1),
        ("ç" * 70, 1),  # the small one is not in the alphabet, the capital is
        ("ç" * 71, 2),
        ("Ç" * 160, 1),
        ("📦" * 35, 1),  # two units each
        ("📦" * 36, 2),
        ("📦" * 67, 3),  # no emoji is cut in half
        ("a" * 1530, 10),
        ("a" * 1531, 11),
    ],
)
def test_how_many_parts_a_text_takes(text: str, count: int) -> None:
    assert parts(text) == count


@given(st.text(st.characters(codec="utf-8"), max_size=400), st.characters(codec="utf-8"))
def test_more_text_never_takes_fewer_parts(text: str, more: str) -> None:
    assert parts(text) <= parts(text + more)
    assert parts(text) <= len(text)
