"""What `regie doctor` finds at Twilio, Telnyx and Vonage, against APIs as strict as theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette

from shared.channels.hooks import prepared
from shared.channels.providers.vonage_health import VonageHealth
from shared.channels.table import provider_of
from tests.contracts.channels.behaviour import load, named
from tests.fakes.telnyx import FakeTelnyx
from tests.fakes.twilio import FakeTwilio
from tests.fakes.vonage import FakeVonage

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
HOST = "https://regie.example.org"
SID, TOKEN = FakeTwilio.account_sid, FakeTwilio.auth_token
APPLICATION = FakeVonage.application_id
SERVICE = "MG00000000000000000000000000000001"

ACCOUNTS = load(
    f"""
    accounts:
      twilio-phone:
        channel: phone
        provider: twilio
        number: "+31880000001"
        account_sid: {SID}
        auth_token: {TOKEN}
        public_url: {HOST}
        api_base: http://provider.test
      twilio-sms: {{channel: sms, provider: twilio, number: "+3197010000001", account_sid: {SID},
        auth_token: {TOKEN}, public_url: {HOST}, api_base: http://provider.test}}
      twilio-code: {{channel: sms, provider: twilio, number: "12345", account_sid: {SID},
        auth_token: {TOKEN}, public_url: {HOST}, api_base: http://provider.test}}
      twilio-service: {{channel: sms, provider: twilio, number: "+3197010000009",
        messaging_service: {SERVICE}, account_sid: {SID}, auth_token: {TOKEN},
        public_url: {HOST}, api_base: http://provider.test}}
      twilio-whatsapp: {{channel: whatsapp, provider: twilio, number: "+31880001234",
        account_sid: {SID}, auth_token: {TOKEN}, public_url: {HOST},
        api_base: http://provider.test}}
      twilio-bare: {{channel: phone, provider: twilio, number: "+31880000005",
        auth_token: other, public_url: {HOST}}}
      telnyx-phone: {{channel: phone, provider: telnyx, number: "+31880000002", public_key: k,
        api_key: KEY0123, public_url: {HOST}, api_base: http://provider.test}}
      telnyx-sms: {{channel: sms, provider: telnyx, number: "+3197010000002", public_key: k,
        api_key: KEY0123, api_base: http://provider.test}}
      telnyx-bare: {{channel: sms, provider: telnyx, number: "+3197010000007", public_key: k}}
      vonage-phone: {{channel: phone, provider: vonage, number: "+31880000003",
        signature_secret: s, api_key: abcd1234, api_secret: Secret-of-vonage,
        application_id: {APPLICATION}, private_key: "${{PRIVATE}}", public_url: {HOST},
        api_base: http://provider.test}}
      vonage-sms: {{channel: sms, provider: vonage, number: "+3197010000003", signature_secret: s,
        api_key: abcd1234, api_secret: Secret-of-vonage, public_url: {HOST},
        api_base: http://provider.test}}
      vonage-bare: {{channel: sms, provider: vonage, number: "+3197010000008",
        signature_secret: s, application_id: {APPLICATION}, private_key: "${{PRIVATE}}"}}
    """,
    PRIVATE=PRIVATE,
)


@dataclass(frozen=True)
class Told:
    """Findings by what they are about."""

    ok: dict[str, bool]
    advice: dict[str, str]
    subscribed: list[bool]

    @property
    def wrong(self) -> set[str]:
        return {what for what, ok in self.ok.items() if not ok}


async def examined(app: Starlette | None, name: str, public_url: str = HOST) -> Told:
    """None: nobody answers."""
    account = prepared(named(ACCOUNTS, name), ACCOUNTS, public_url)
    health = provider_of(account).health
    assert health is not None

    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    transport = httpx.ASGITransport(app) if app is not None else httpx.MockTransport(nobody)
    async with httpx.AsyncClient(transport=transport) as http:
        found = await health.examine(account, http)
    assert all(each.advice for each in found if not each.ok), "what to do is always told"
    assert not any(each.advice for each in found if each.ok)
    return Told(
        {each.what: each.ok for each in found},
        {each.what: each.advice for each in found},
        [each.ok for each in found if each.about == "subscription"],
    )


def twilio_line(**fields: Any) -> dict[str, Any]:
    url = f"{HOST}/webhooks/twilio-phone"
    return {
        "phone_number": "+31880000001",
        "voice_url": url,
        "voice_method": "POST",
        "status_callback": f"{url}/status#rc=3&rp=all",
        "status_callback_method": "POST",
        "voice_application_sid": "",
        "trunk_sid": None,
        **fields,
    }


def twilio_number(url: str = f"{HOST}/webhooks/twilio-sms", **fields: Any) -> dict[str, Any]:
    return {"phone_number": "+3197010000001", "sms_url": url, "sms_method": "POST", **fields}


def sender(url: str = f"{HOST}/webhooks/twilio-whatsapp", **fields: Any) -> dict[str, Any]:
    hook = {"callback_url": url, "callback_method": "POST"}
    return {"sid": "XE1", "sender_id": "whatsapp:+31880001234", "status": "ONLINE",
            "webhook": hook, **fields}  # fmt: skip


TELNYX_LINE = {"phone_number": "+31880000002", "status": "active", "connection_id": "7",
               "messaging_profile_id": None}  # fmt: skip
TELNYX_NUMBER = {"phone_number": "+3197010000002", "status": "active", "connection_id": "",
                 "messaging_profile_id": "p1"}  # fmt: skip
TEXML = {
    "voice_url": f"{HOST}/webhooks/telnyx-phone", "voice_method": "post",
    "status_callback": f"{HOST}/webhooks/telnyx-phone/status", "status_callback_method": "post",
}  # fmt: skip
PROFILE = {"webhook_url": f"{HOST}/webhooks/telnyx-sms", "webhook_api_version": "2",
           "enabled": True}  # fmt: skip
VONAGE_LINE = {"msisdn": "31880000003", "app_id": APPLICATION}


def vonage_voice(**fields: Any) -> dict[str, Any]:
    base = f"{HOST}/webhooks/vonage-phone"
    hooks = {
        "answer_url": {"address": base, "http_method": "POST"},
        "event_url": {"address": f"{base}/status", "http_method": "POST"},
    }
    return {"capabilities": {"voice": {"webhooks": hooks, "signed_callbacks": True, **fields}}}


def a_vonage(**fields: Any) -> FakeVonage:
    defaults: dict[str, Any] = {
        "public_key": PUBLIC,
        "at": int(NOW.timestamp()),
        "numbers": [VONAGE_LINE],
        "applications": {APPLICATION: vonage_voice()},
    }
    return FakeVonage(**(defaults | fields))


# --- all is well -----------------------------------------------------------------------------

WELL = {
    "twilio-phone": FakeTwilio(numbers=[twilio_line()]),
    "twilio-sms": FakeTwilio(numbers=[twilio_number()]),
    "twilio-code": FakeTwilio(
        short_codes=[{"short_code": "12345", "sms_url": f"{HOST}/webhooks/twilio-code",
                      "sms_method": "POST"}]
    ),
    "twilio-service": FakeTwilio(
        services={SERVICE: {"inbound_request_url": f"{HOST}/webhooks/twilio-service",
                            "use_inbound_webhook_on_number": False}}
    ),
    "twilio-whatsapp": FakeTwilio(senders=[sender()]),
    "telnyx-phone": FakeTelnyx(numbers=[TELNYX_LINE], texml={"7": TEXML}),
    "telnyx-sms": FakeTelnyx(numbers=[TELNYX_NUMBER], profiles={"p1": PROFILE}),
    "vonage-sms": FakeVonage(
        numbers=[{"msisdn": "3197010000003", "moHttpUrl": f"{HOST}/webhooks/vonage-sms"}]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WELL)
async def test_a_number_that_is_connected(name: str) -> None:
    fake: Any = WELL[name]
    told = await examined(fake.app, name)
    assert told.wrong == set()
    assert told.subscribed
    assert all(told.subscribed)


async def test_a_line_at_vonage() -> None:
    account = prepared(named(ACCOUNTS, "vonage-phone"), ACCOUNTS, "")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(a_vonage().app)) as http:
        found = await VonageHealth(lambda: NOW).examine(account, http)
    assert {each.what for each in found} == {
        "application_id and private_key", "api_key and api_secret", "balance", "the number",
        "webhook address", "status address", "signed webhooks",
    }  # fmt: skip
    assert all(each.ok for each in found)


# --- what is wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fake", "what", "advice"),
    [
        ("twilio-phone", FakeTwilio(auth_token="another"), "account_sid and auth_token",
         "compare it"),
        ("twilio-phone", FakeTwilio(status="suspended"), "Twilio account", "suspended"),
        # it only contains ours
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(phone_number="+318800000012")]),
         "the number", "is no number of this Twilio account"),
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(voice_url="https://demo.test/x")]),
         "webhook address",
         "it posts to another address: set A call comes in to "
         "https://regie.example.org/webhooks/twilio-phone, HTTP POST"),
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(voice_method="GET")]),
         "webhook address", "it calls by GET"),
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(status_callback="")]),
         "status address", "no address is set: set Call status changes"),
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(trunk_sid="TK1")]),
         "webhook address", "SIP trunk"),
        ("twilio-phone", FakeTwilio(numbers=[twilio_line(voice_application_sid="AP1")]),
         "the number's application", "no such thing"),
        ("twilio-sms", FakeTwilio(numbers=[twilio_number("")]), "webhook address",
         "no address is set: set A message comes in"),
        ("twilio-sms", FakeTwilio(numbers=[twilio_number(f"{HOST}/webhooks/twilio-sms/")]),
         "", ""),
        ("twilio-service", FakeTwilio(services={SERVICE: {"inbound_request_url": None}}),
         "webhook address", "the service's Integration"),
        ("twilio-service", FakeTwilio(), "messaging_service", "no such thing"),
        ("twilio-whatsapp", FakeTwilio(), "the sender", "no WhatsApp sender"),
        ("twilio-whatsapp", FakeTwilio(senders=[sender(status="OFFLINE")]), "the sender",
         "OFFLINE"),
        ("twilio-whatsapp", FakeTwilio(senders=[sender("https://demo.test")]),
         "webhook address", "/webhooks/twilio-whatsapp, HTTP POST"),
        ("telnyx-phone", FakeTelnyx(api_key="another"), "api_key", "compare it"),
        ("telnyx-phone", FakeTelnyx(), "the number", "is no number of this Telnyx account"),
        ("telnyx-phone", FakeTelnyx(numbers=[TELNYX_LINE | {"status": "port_pending"}]),
         "the number", "port_pending"),
        ("telnyx-phone", FakeTelnyx(numbers=[TELNYX_LINE | {"connection_id": ""}]),
         "webhook address", "no connection"),
        ("telnyx-phone", FakeTelnyx(numbers=[TELNYX_LINE]), "webhook address",
         "assign it to a TeXML application"),
        ("telnyx-phone",
         FakeTelnyx(numbers=[TELNYX_LINE], texml={"7": TEXML | {"voice_method": "get"}}),
         "webhook address", "it calls by GET"),
        ("telnyx-sms", FakeTelnyx(numbers=[TELNYX_NUMBER | {"messaging_profile_id": None}]),
         "webhook address", "in no messaging profile"),
        ("telnyx-sms",
         FakeTelnyx(numbers=[TELNYX_NUMBER],
                    profiles={"p1": PROFILE | {"webhook_api_version": "1"}}),
         "webhook version", "to 2"),
        ("telnyx-sms",
         FakeTelnyx(numbers=[TELNYX_NUMBER], profiles={"p1": PROFILE | {"enabled": False}}),
         "messaging profile", "enable"),
        ("vonage-sms", FakeVonage(api_secret="another"), "api_key and api_secret", "compare it"),
        ("vonage-sms", FakeVonage(balance=-1.5), "balance", "top it up"),
        ("vonage-sms", FakeVonage(), "the number", "is no number of this Vonage account"),
        ("vonage-sms",
         FakeVonage(numbers=[{"msisdn": "3197010000003", "moHttpUrl": "https://demo.test"}]),
         "webhook address", "the number's SMS webhook to"),
        ("vonage-phone", a_vonage(applications={APPLICATION: vonage_voice(signed_callbacks=False)}),
         "signed webhooks", "switch"),
        ("vonage-phone", a_vonage(numbers=[VONAGE_LINE | {"app_id": "other"}]),
         "webhook address", "linked to application other"),
        ("vonage-phone", a_vonage(numbers=[{"msisdn": "31880000003"}]),
         "webhook address", "link the number to the application"),
        ("vonage-phone", a_vonage(applications={APPLICATION: {"capabilities": {}}}),
         "webhook address", "the application's Answer URL"),
        # the token of another key
        ("vonage-phone", a_vonage(public_key="none"), "application_id and private_key",
         "compare it"),
    ],
)  # fmt: skip
async def test_a_number_that_is_not(name: str, fake: Any, what: str, advice: str) -> None:
    told = await examined(fake.app, name)
    if not what:
        assert told.wrong == set()
        return
    assert what in told.wrong
    assert advice in told.advice[what]


async def test_an_application_answers_for_its_number() -> None:
    line = twilio_line(voice_url="", status_callback="", voice_application_sid="AP1")
    told = await examined(
        FakeTwilio(numbers=[line], applications={"AP1": twilio_line()}).app, "twilio-phone"
    )
    assert told.wrong == set()
    assert told.subscribed == [True, True]


async def test_a_service_may_leave_it_to_its_numbers() -> None:
    number = twilio_number(f"{HOST}/webhooks/twilio-service", phone_number="+3197010000009")
    service = {"use_inbound_webhook_on_number": True, "inbound_request_url": "https://demo.test"}
    fake = FakeTwilio(numbers=[number], services={SERVICE: service})
    assert (await examined(fake.app, "twilio-service")).subscribed == [True]


async def test_the_address_of_an_account_with_the_same_secret_will_do() -> None:
    fake = FakeTwilio(numbers=[twilio_number(f"{HOST}/webhooks/twilio-service")])
    assert (await examined(fake.app, "twilio-sms")).subscribed == [True]
    # this one has another token
    fake = FakeTwilio(numbers=[twilio_number(f"{HOST}/webhooks/twilio-bare")])
    assert (await examined(fake.app, "twilio-sms")).subscribed == [False]


async def test_without_a_public_address_only_the_path_is_compared() -> None:
    fake = FakeTelnyx(
        numbers=[TELNYX_NUMBER],
        profiles={"p1": PROFILE | {"webhook_url": "https://other.test/webhooks/telnyx-sms"}},
    )
    assert (await examined(fake.app, "telnyx-sms", public_url="")).subscribed == [True]
    told = await examined(fake.app, "telnyx-sms")
    assert told.subscribed == [False]
    assert "https://regie.example.org/webhooks/telnyx-sms" in told.advice["webhook address"]


async def test_your_own_call_control_gets_the_calls_first() -> None:
    fake = FakeTelnyx(numbers=[TELNYX_LINE], call_control={"7": {"webhook_event_url": "https://x"}})
    told = await examined(fake.app, "telnyx-phone")
    assert told.wrong == set()
    assert told.subscribed == []


@pytest.mark.parametrize("name", ["twilio-phone", "telnyx-sms", "vonage-sms"])
async def test_nobody_answers(name: str) -> None:
    told = await examined(None, name)
    assert told.wrong == {"reachable"}
    assert "ConnectError" in told.advice["reachable"]


@pytest.mark.parametrize(("name", "what"), [
    ("twilio-bare", "account_sid"), ("telnyx-bare", "api_key"), ("vonage-bare", "api_key"),
])  # fmt: skip
async def test_without_credentials_nothing_is_asked(name: str, what: str) -> None:
    told = await examined(None, name)
    assert len(told.wrong) == 1
    assert what in " ".join(told.advice.values())
