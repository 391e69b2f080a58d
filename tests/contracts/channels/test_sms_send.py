"""Text messages and Twilio's WhatsApp against send APIs as strict as the real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.accounts import Account
from shared.channels import Outbound, Outgoing
from shared.channels.providers.twilio_send import TwilioOutbound
from shared.channels.sms import TelnyxOutbound, VonageOutbound
from shared.errors import SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.telnyx import FakeTelnyx
from tests.fakes.twilio import FakeTwilio
from tests.fakes.vonage import FakeVonage

ID = UUID("0198c1de-0000-7000-8000-000000000001")
CUSTOMER = Identity(scheme="e164", value="+31612340001")
NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
APPLICATION = rsa.generate_private_key(65537, 2048)
PEM = APPLICATION.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()
PUBLIC = APPLICATION.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
).decode()  # fmt: skip
HX = "HX0123456789abcdef0123456789abcdef"
ACCOUNTS = load(
    """
    accounts:
      twilio-sms:
        channel: sms
        provider: twilio
        number: "+3197010000001"
        account_sid: AC00000000000000000000000000000001
        auth_token: [0f1e2d3c4b5a69788796a5b4c3d2e1f0, old-token]
        public_url: https://regie.example.org/
        api_base: http://provider.test/
      service-sms:
        channel: sms
        provider: twilio
        number: Pakketten
        account_sid: AC00000000000000000000000000000001
        auth_token: [0f1e2d3c4b5a69788796a5b4c3d2e1f0, old-token]
        public_url: https://regie.example.org/
        api_base: http://provider.test/
        messaging_service: MG00000000000000000000000000000001
      bare-sms:
        channel: sms
        provider: twilio
        number: "+3197010000004"
        auth_token: 0f1e2d3c4b5a69788796a5b4c3d2e1f0
        public_url: https://regie.example.org
      twilio-whatsapp:
        channel: whatsapp
        provider: twilio
        number: "+31880001234"
        account_sid: AC00000000000000000000000000000001
        auth_token: [0f1e2d3c4b5a69788796a5b4c3d2e1f0, old-token]
        public_url: https://regie.example.org/
        api_base: http://provider.test/
        templates: {resume_invite: {name: HX0123456789abcdef0123456789abcdef}, metas: {name: hello}}
      vonage-sms:
        channel: sms
        provider: vonage
        number: "+3197010000002"
        signature_secret: signature-secret
        api_key: abcd1234
        api_secret: Secret-of-vonage
        public_url: https://regie.example.org
        api_base: http://provider.test
      application-sms:
        channel: sms
        provider: vonage
        number: Parcels
        signature_secret: signature-secret
        application_id: aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab
        private_key: ${PEM}
        api_base: http://provider.test
      spoilt-sms:
        channel: sms
        provider: vonage
        number: "60888"
        signature_secret: signature-secret
        application_id: aaaaaaaa-bbbb-4ccc-8ddd-0123456789ab
        private_key: no key at all
      keyless-sms:
        {channel: sms, provider: vonage, number: "60889", signature_secret: signature-secret}
      telnyx-sms:
        channel: sms
        provider: telnyx
        number: "+3197010000003"
        public_key: AAAA
        api_key: KEY0123
        public_url: https://regie.example.org
        api_base: http://provider.test
      name-sms:
        channel: sms
        provider: telnyx
        number: Boxes
        public_key: AAAA
        api_key: KEY0123
        messaging_service: 16fd2706-8baf-433b-82eb-8c7fada847da
        api_base: http://provider.test
      mute-sms: {channel: sms, provider: telnyx, number: "21234", public_key: AAAA}
    """,
    PEM=PEM,
)
Fake = FakeTwilio | FakeVonage | FakeTelnyx


@dataclass(frozen=True)
class Sending:
    """One provider: its account here, its adapter, and the fake of its API."""

    account: str
    outbound: Outbound
    fake: Callable[[], Fake]
    longest: int


TWILIO = Sending("twilio-sms", TwilioOutbound(), FakeTwilio, 1600)
WHATSAPP = Sending("twilio-whatsapp", TwilioOutbound(), FakeTwilio, 1600)
VONAGE = Sending("vonage-sms", VonageOutbound(lambda: NOW), FakeVonage, 1000)
TELNYX = Sending("telnyx-sms", TelnyxOutbound(), FakeTelnyx, 1530)
ALL = [TWILIO, WHATSAPP, VONAGE, TELNYX]
each = pytest.mark.parametrize("by", ALL, ids=lambda by: by.account)


def outgoing(
    text: str = "It is on its way",
    *,
    recipient: Identity = CUSTOMER,
    references: Sequence[str] = (),
    template: str = "",
    attachments: Sequence[Attachment] = (),
    attributes: Mapping[str, Any] | None = None,
) -> Outgoing:
    return Outgoing(
        id=ID,
        case_id=ID,
        recipient=recipient,
        text=text,
        references=references,
        template=template,
        attachments=attachments,
        attributes=attributes or {},
    )


def account(name: str) -> Account:
    return named(ACCOUNTS, name)


async def send(by: Sending, fake: Fake, message: Outgoing, name: str = "") -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        receipt = await by.outbound.send(message, account(name or by.account), http)
    return receipt.provider_id


async def refused(by: Sending, fake: Fake, message: Outgoing, name: str = "") -> SendError:
    with pytest.raises(SendError) as raised:
        await send(by, fake, message, name)
    return raised.value


def file(url: str = "https://files.example.org/bill.pdf", kind: str = "") -> Attachment:
    return Attachment(name="bill.pdf", content_type=kind or "application/pdf", url=url)


# --- what leaves -----------------------------------------------------------------------------


async def test_a_text_by_twilio() -> None:
    fake = FakeTwilio()
    assert await send(TWILIO, fake, outgoing()) == "SM00000000000000000000000000000001"
    assert fake.accepted == [
        {
            "To": "+31612340001",
            "From": "+3197010000001",
            "Body": "It is on its way",
            "StatusCallback": f"https://regie.example.org/webhooks/twilio-sms/status?id={ID}",
        }
    ]


async def test_a_text_by_a_messaging_service_of_twilio() -> None:
    fake = FakeTwilio()
    await send(TWILIO, fake, outgoing(), "service-sms")
    assert fake.accepted[0]["MessagingServiceSid"] == "MG00000000000000000000000000000001"
    assert fake.accepted[0]["From"] == "Pakketten"


async def test_a_reply_by_twilios_whatsapp() -> None:
    fake = FakeTwilio(open=frozenset({"whatsapp:+31612340001"}))
    await send(WHATSAPP, fake, outgoing(references=["SM1"]))
    assert fake.accepted[0]["To"] == "whatsapp:+31612340001"
    assert fake.accepted[0]["From"] == "whatsapp:+31880001234"


async def test_a_whatsapp_user_without_a_number() -> None:
    fake = FakeTwilio()
    await send(WHATSAPP, fake, outgoing(recipient=Identity(scheme="bsuid", value="NL.134912")))
    assert fake.accepted[0]["To"] == "whatsapp:NL.134912"


async def test_a_template_by_its_content_sid() -> None:
    fake = FakeTwilio(open=frozenset(), templates=frozenset({HX}))
    parameters = {"parameters": ["R-7K4Q-2M9X", "two\nlines\there"]}
    await send(WHATSAPP, fake, outgoing(template="resume_invite", attributes=parameters))
    taken = fake.accepted[0]
    assert (taken["ContentSid"], "Body" in taken) == (HX, False)
    assert json.loads(taken["ContentVariables"]) == {"1": "R-7K4Q-2M9X", "2": "two lines here"}


async def test_the_text_is_a_templates_only_variable() -> None:
    fake = FakeTwilio()
    await send(WHATSAPP, fake, outgoing("Go on\n\nby mail", template="resume_invite"))
    assert json.loads(fake.accepted[0]["ContentVariables"]) == {"1": "Go on by mail"}
    await send(WHATSAPP, fake, outgoing("", template="resume_invite"))
    assert "ContentVariables" not in fake.accepted[1]


async def test_a_text_by_vonage() -> None:
    fake = FakeVonage()
    assert await send(VONAGE, fake, outgoing()) == str(UUID(int=1))
    assert fake.accepted == [
        {
            "channel": "sms",
            "message_type": "text",
            "to": "31612340001",
            "from": "3197010000002",
            "text": "It is on its way",
            "sms": {"encoding_type": "auto"},
            "client_ref": str(ID),
            "webhook_url": "https://regie.example.org/webhooks/vonage-sms/status",
            "webhook_version": "v1",
        }
    ]


async def test_a_text_by_an_application_of_vonage() -> None:
    fake = FakeVonage(public_key=PUBLIC, at=int(NOW.timestamp()))
    await send(VONAGE, fake, outgoing(), "application-sms")
    assert fake.accepted[0]["from"] == "Parcels"
    assert "webhook_url" not in fake.accepted[0]
    stale = FakeVonage(public_key=PUBLIC, at=int(NOW.timestamp()) + 300)
    assert (await refused(VONAGE, stale, outgoing(), "application-sms")).code == "token"


async def test_a_text_by_telnyx() -> None:
    fake = FakeTelnyx()
    assert await send(TELNYX, fake, outgoing()) == str(UUID(int=1))
    assert fake.accepted == [
        {
            "from": "+3197010000003",
            "to": "+31612340001",
            "text": "It is on its way",
            "webhook_url": "https://regie.example.org/webhooks/telnyx-sms",
        }
    ]
    assert fake.requests[0].headers["idempotency-key"] == str(ID)


async def test_a_name_sends_by_its_messaging_profile_at_telnyx() -> None:
    fake = FakeTelnyx()
    await send(TELNYX, fake, outgoing(), "name-sms")
    assert fake.accepted[0]["messaging_profile_id"] == "16fd2706-8baf-433b-82eb-8c7fada847da"


async def test_the_same_message_twice_is_one_message_at_telnyx() -> None:
    fake = FakeTelnyx()
    first = await send(TELNYX, fake, outgoing())
    assert await send(TELNYX, fake, outgoing()) == first
    assert len(fake.accepted) == 1


@each
async def test_text_is_sent_as_written_but_for_what_cannot_be(by: Sending) -> None:
    fake = by.fake()
    await send(by, fake, outgoing("café 📦\n100% & more\0\ud83d"))
    taken = fake.accepted[0]
    assert taken.get("Body", taken.get("text")) == "café 📦\n100% & more"


@each
async def test_the_longest_text_is_taken_and_no_longer(by: Sending) -> None:
    fake = by.fake()
    assert await send(by, fake, outgoing("x" * by.longest))
    error = await refused(by, fake, outgoing("x" * (by.longest + 1)))
    assert (error.code, error.again, error.doubtful) == ("rejected", False, False)
    assert "shorten it" in error.reason
    assert len(fake.requests) == 1, "what cannot be sent never leaves"


async def test_files_go_by_their_address() -> None:
    twilio, vonage, telnyx = FakeTwilio(), FakeVonage(), FakeTelnyx()
    two = [file(), file("https://files.example.org/2.png", "image/png")]
    await send(TWILIO, twilio, outgoing("see", attachments=two))
    assert twilio.accepted[0]["MediaUrl"] == [each.url for each in two]
    await send(TELNYX, telnyx, outgoing("", attachments=two))
    assert telnyx.accepted[0]["media_urls"] == [each.url for each in two]
    assert "text" not in telnyx.accepted[0]
    await send(VONAGE, vonage, outgoing("see", attachments=two[1:]))
    assert vonage.accepted[0]["channel"] == "mms"
    assert vonage.accepted[0]["image"] == {"url": two[1].url, "caption": "see"}


@pytest.mark.parametrize(
    ("by", "message", "name", "code", "reason"),
    [
        (TWILIO, outgoing("  "), "", "rejected", "no text"),
        (WHATSAPP, outgoing("\0"), "", "rejected", "no text"),
        (VONAGE, outgoing("  "), "", "rejected", "no text"),
        (TELNYX, outgoing("  "), "", "rejected", "no text"),
        (TWILIO, outgoing(attachments=[file("")]), "", "rejected", "with a link"),
        (VONAGE, outgoing(attachments=[file("")]), "", "rejected", "with a link"),
        (TELNYX, outgoing(attachments=[file("")]), "", "rejected", "with a link"),
        (TWILIO, outgoing(attachments=[file()] * 11), "", "rejected", "send fewer"),
        (WHATSAPP, outgoing(attachments=[file()] * 2), "", "rejected", "send fewer"),
        (VONAGE, outgoing(attachments=[file()] * 2), "", "rejected", "one file"),
        (VONAGE, outgoing("x" * 301, attachments=[file()]), "", "rejected", "shorten it"),
        (TELNYX, outgoing(attachments=[file()] * 11), "", "rejected", "send fewer"),
        (TELNYX, outgoing("ç" * 671), "", "rejected", "11 text messages"),
        (WHATSAPP, outgoing(template="survey"), "", "rejected", "no template 'survey'"),
        (WHATSAPP, outgoing(template="metas"), "", "rejected", "HX"),
        (TWILIO, outgoing(), "bare-sms", "token", "no account_sid"),
        (VONAGE, outgoing(), "keyless-sms", "token", "neither api_key"),
        (VONAGE, outgoing(), "spoilt-sms", "token", "no RSA key"),
        (TELNYX, outgoing(), "mute-sms", "token", "no api_key"),
    ],
)
async def test_what_cannot_be_sent_never_leaves(
    by: Sending, message: Outgoing, name: str, code: str, reason: str
) -> None:
    fake = by.fake()
    error = await refused(by, fake, message, name)
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert reason in error.reason
    assert fake.requests == []


@each
async def test_only_a_number_is_reached(by: Sending) -> None:
    mail = Identity(scheme="email", value="jo@example.org")
    error = await refused(by, by.fake(), outgoing(recipient=mail))
    assert (error.code, error.again) == ("invalid_recipient", False)
    assert "'email'" in error.reason


# --- what a refusal means --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "error", "status", "name", "again"),
    [
        (TWILIO, 21211, 400, "invalid_recipient", False),
        (TWILIO, 21614, 400, "invalid_recipient", False),
        (TWILIO, 21610, 400, "opted_out", False),
        (TWILIO, 21617, 400, "rejected", False),
        (TWILIO, 21606, 400, "rejected", False),
        (TWILIO, 20003, 401, "token", False),
        (TWILIO, 20005, 403, "token", False),
        (TWILIO, 20429, 429, "throttled", True),
        (TWILIO, 21611, 429, "throttled", True),
        (TWILIO, 99999, 400, "rejected", False),
        (WHATSAPP, 63016, 400, "window_closed", False),
        (WHATSAPP, 63018, 429, "throttled", True),
        (WHATSAPP, 63003, 400, "invalid_recipient", False),
        (WHATSAPP, 63024, 400, "invalid_recipient", False),
        (VONAGE, 1000, 429, "throttled", True),
        (VONAGE, 1050, 422, "opted_out", False),
        (VONAGE, 1170, 422, "invalid_recipient", False),
        (VONAGE, 1120, 422, "rejected", False),
        (VONAGE, 1070, 402, "rejected", False),
        (VONAGE, 1340, 422, "window_closed", False),
        (VONAGE, "unauthorized", 401, "token", False),
        (VONAGE, "forbidden", 403, "token", False),
        (VONAGE, "throttled", 429, "throttled", True),
        (TELNYX, 40300, 409, "opted_out", False),
        (TELNYX, 40310, 400, "invalid_recipient", False),
        (TELNYX, 40305, 400, "rejected", False),
        (TELNYX, 10009, 401, "token", False),
        (TELNYX, 10011, 429, "throttled", True),
        (TELNYX, 40318, 400, "throttled", True),
        (TELNYX, 99999, 400, "rejected", False),
        (TELNYX, 10007, 500, "temporary", True),
        (TELNYX, 99999, 409, "temporary", True),  # the first of two is still under way
    ],
)
async def test_each_error_has_its_class(
    by: Sending, error: Any, status: int, name: str, again: bool
) -> None:
    fake = by.fake()
    fake.refuse(str(error), status, "30")
    raised = await refused(by, fake, outgoing())
    assert (raised.code, raised.again, raised.doubtful) == (name, again, False)
    assert raised.retry_after == (30 if again else None)
    assert str(error) in raised.reason


@each
async def test_a_date_is_no_wait(by: Sending) -> None:
    fake = by.fake()
    fake.answer(429, {}, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    raised = await refused(by, fake, outgoing())
    assert (raised.code, raised.again, raised.retry_after) == ("throttled", True, None)


@pytest.mark.parametrize("by", [TWILIO, WHATSAPP, VONAGE], ids=lambda by: by.account)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_fault_of_theirs_is_a_doubt(by: Sending, status: int) -> None:
    fake = by.fake()
    fake.answer(status, b"<html>Bad gateway</html>")
    raised = await refused(by, fake, outgoing())
    assert (raised.code, raised.again, raised.doubtful) == ("temporary", False, True)


async def test_a_fault_of_telnyx_is_no_doubt() -> None:
    fake = FakeTelnyx()
    fake.answer(502, b"<html>Bad gateway</html>")
    raised = await refused(TELNYX, fake, outgoing())
    assert (raised.code, raised.again, raised.doubtful) == ("temporary", True, False)


@each
@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 5000, {}, {"sid": None}, {"data": []}])
async def test_a_yes_without_an_id(by: Sending, content: Any) -> None:
    fake = by.fake()
    fake.answer(201, content)
    raised = await refused(by, fake, outgoing())
    assert raised.code == "unconfirmed"
    assert (raised.again, raised.doubtful) == (by is TELNYX, by is not TELNYX)


async def test_what_twilio_takes_and_fails_at_once() -> None:
    fake = FakeTwilio()
    fake.answer(201, {"sid": "SM1", "status": "failed", "error_code": 21610})
    raised = await refused(TWILIO, fake, outgoing())
    assert (raised.code, raised.again, raised.doubtful) == ("opted_out", False, False)


@each
@pytest.mark.parametrize("content", [b"", b"null", b"[1]", b"[" * 5000, b'{"errors": [7]}'])
async def test_a_refusal_without_words(by: Sending, content: bytes) -> None:
    for status, code in ((400, "rejected"), (401, "token"), (403, "token"), (302, "rejected")):
        fake = by.fake()
        fake.answer(status, content)
        raised = await refused(by, fake, outgoing())
        assert (raised.code, raised.again, raised.doubtful) == (code, False, False)


@each
@pytest.mark.parametrize(
    ("fault", "code", "again", "sent"),
    [
        (httpx.ConnectError("refused"), "connection", True, False),
        (httpx.ConnectTimeout("slow"), "connection", True, False),
        (httpx.PoolTimeout("busy"), "connection", True, False),
        (httpx.UnsupportedProtocol("ftp"), "rejected", False, False),
        (httpx.ReadTimeout("slow"), "timeout", False, True),
        (httpx.WriteTimeout("slow"), "timeout", False, True),
        (httpx.ReadError("reset"), "timeout", False, True),
        (httpx.RemoteProtocolError("closed"), "timeout", False, True),
        (TimeoutError(), "timeout", False, True),
    ],
)
async def test_a_broken_line(
    by: Sending, fault: Exception, code: str, again: bool, sent: bool
) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise fault

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        with pytest.raises(SendError) as raised:
            await by.outbound.send(outgoing(), account(by.account), http)
    # Telnyx drops a repeat, so that a silence there is no doubt.
    doubtful = sent and by is not TELNYX
    expected = (code, again or (sent and not doubtful), doubtful)
    assert (raised.value.code, raised.value.again, raised.value.doubtful) == expected


# --- the fakes refuse what the real ones refuse ----------------------------------------------


async def test_wrong_credentials_are_refused() -> None:
    for by, fake in (
        (TWILIO, FakeTwilio(auth_token="another")),
        (VONAGE, FakeVonage(api_secret="another")),
        (TELNYX, FakeTelnyx(api_key="another")),
    ):
        assert (await refused(by, fake, outgoing())).code == "token"
        assert fake.accepted == []


async def test_who_answered_stop_gets_nothing() -> None:
    stopped = frozenset({"+31612340001"})
    for by, fake in ((TWILIO, FakeTwilio(stopped=stopped)), (TELNYX, FakeTelnyx(stopped=stopped))):
        assert (await refused(by, fake, outgoing())).code == "opted_out"


async def test_outside_the_window_only_a_template_is_taken() -> None:
    fake = FakeTwilio(open=frozenset())
    assert (await refused(WHATSAPP, fake, outgoing())).code == "window_closed"
    assert await send(WHATSAPP, fake, outgoing(template="resume_invite"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"to": "+31612340001"}, "to"),
        ({"from": "much too long a name"}, "from"),
        ({"channel": "pigeon"}, "channel"),
        ({"message_type": "image"}, "message_type"),
        ({"text": "x" * 1001}, "text"),
        ({"hello": 1}, "hello"),
        ({"sms": {"encoding_type": "morse"}}, "sms.encoding_type"),
    ],
)
async def test_vonages_fake_is_strict(change: dict[str, Any], name: str) -> None:
    good = {"channel": "sms", "message_type": "text", "to": "31612340001", "from": "Parcels",
            "text": "hi"}  # fmt: skip
    fake = FakeVonage()
    transport = httpx.ASGITransport(fake.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://provider.test") as http:
        auth = ("abcd1234", "Secret-of-vonage")
        answer = await http.post("/v1/messages", json=good | change, auth=auth)
    assert answer.status_code == 422
    assert [wrong["name"] for wrong in answer.json()["invalid_parameters"]] == [name]
