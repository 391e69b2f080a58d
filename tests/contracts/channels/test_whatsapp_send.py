"""Replies by WhatsApp against a send API as strict as Meta's, and what its refusals mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account
from shared.channels import Outgoing
from shared.channels.whatsapp import MetaOutbound
from shared.errors import SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.meta import FakeMeta

ID = UUID("0198c1de-0000-7000-8000-000000000001")
CUSTOMER = Identity(scheme="e164", value="+31612340001")
ACCOUNTS = load(
    """
    accounts:
      desk-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "106540352242922"
        app_secret: ${SECRET}
        verify_token: ${TOKEN}
        access_token: ["${ACCESS}", old-token]
        api_base: http://meta.test/
        templates: {resume_invite: {name: resume_invite_2, language: nl}, bare: {name: bare}}
      pinned-whatsapp:
        channel: whatsapp
        provider: meta
        phone_number_id: "106540352242922"
        app_secret: ${SECRET}
        verify_token: ${TOKEN}
        access_token: ${ACCESS}
        api_base: http://meta.test
        graph_version: v24.0
    """,
    SECRET="app-secret-of-the-desk", TOKEN="our-verify-token", ACCESS="EAAB-access",
)  # fmt: skip
DESK = named(ACCOUNTS, "desk-whatsapp")


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


async def send(fake: FakeMeta, message: Outgoing, account: Account = DESK) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        return (await MetaOutbound().send(message, account, http)).provider_id


async def refused(fake: FakeMeta, message: Outgoing, account: Account = DESK) -> SendError:
    with pytest.raises(SendError) as raised:
        await send(fake, message, account)
    return raised.value


async def test_a_text_reply() -> None:
    fake = FakeMeta()
    sent = await send(fake, outgoing(references=["wamid.THEIRS", "wamid.EARLIER"]))
    assert sent == "wamid.FAKE000001"
    assert fake.requests[0].path == "/v23.0/106540352242922/messages"
    assert fake.accepted == [
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "31612340001",
            "biz_opaque_callback_data": str(ID),
            "context": {"message_id": "wamid.THEIRS"},
            "type": "text",
            "text": {"body": "It is on its way"},
        }
    ]


async def test_a_user_without_a_number() -> None:
    fake = FakeMeta()
    await send(fake, outgoing(recipient=Identity(scheme="bsuid", value="NL.1349120865530274")))
    assert fake.accepted[0]["recipient"] == "NL.1349120865530274"
    assert "to" not in fake.accepted[0]


async def test_a_mail_is_never_quoted() -> None:
    fake = FakeMeta()
    await send(fake, outgoing(references=["<1@example.org>"]))
    assert "context" not in fake.accepted[0]


async def test_a_template_with_its_parameter() -> None:
    fake = FakeMeta(templates=frozenset({("resume_invite_2", "nl")}))
    message = outgoing(template="resume_invite", attributes={"parameters": ["R-7K4Q-2M9X"]})
    await send(fake, message)
    assert fake.accepted[0]["type"] == "template"
    assert fake.accepted[0]["template"] == {
        "name": "resume_invite_2",
        "language": {"code": "nl"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "R-7K4Q-2M9X"}]}],
    }
    await send(fake, outgoing("", template="resume_invite"))
    assert "components" not in fake.accepted[1]["template"]


async def test_the_text_is_a_templates_only_parameter() -> None:
    fake = FakeMeta()
    await send(
        fake, outgoing("Go on by e-mail.\n\nYour code:\tR-7K4Q-2M9X", template="resume_invite")
    )
    (component,) = fake.accepted[0]["template"]["components"]
    assert component["parameters"] == [
        {"type": "text", "text": "Go on by e-mail. Your code: R-7K4Q-2M9X"}
    ]


async def test_the_graph_version_is_a_setting() -> None:
    fake = FakeMeta()
    await send(fake, outgoing(), named(ACCOUNTS, "pinned-whatsapp"))
    assert fake.requests[0].path == "/v24.0/106540352242922/messages"


async def test_text_is_sent_as_written_but_for_what_json_cannot_hold() -> None:
    fake = FakeMeta()
    await send(fake, outgoing("café 📦\n*bold* \0\ud83d"))
    assert fake.accepted[0]["text"]["body"] == "café 📦\n*bold* "


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (outgoing("x" * 4097), "rejected", "4097 characters and WhatsApp takes 4096"),
        (outgoing("  "), "rejected", "no text"),
        (outgoing(template="survey"), "rejected", "no template 'survey'"),
        (outgoing(template="bare"), "rejected", "its name and language"),
        (
            outgoing(recipient=Identity(scheme="email", value="jo@example.org")),
            "invalid_recipient",
            "'email'",
        ),
        (
            outgoing(attachments=[Attachment(name="a.pdf", content_type="application/pdf")]),
            "rejected",
            "no files",
        ),
    ],
)
async def test_what_cannot_be_sent_never_leaves(message: Outgoing, code: str, reason: str) -> None:
    fake = FakeMeta()
    error = await refused(fake, message)
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert reason in error.reason
    assert fake.requests == []


async def test_the_longest_text_is_taken() -> None:
    assert await send(FakeMeta(), outgoing("x" * 4096))


@pytest.mark.parametrize(
    ("code", "status", "name", "again", "pause"),
    [
        (131047, 400, "window_closed", False, None),
        (131056, 400, "throttled", True, 6.0),
        (130429, 429, "throttled", True, None),
        (80007, 400, "throttled", True, None),
        (4, 400, "throttled", True, None),
        (190, 401, "token", False, None),
        (0, 401, "token", False, None),
        (10, 403, "token", False, None),
        (200, 403, "token", False, None),
        (299, 403, "token", False, None),
        (131026, 400, "invalid_recipient", False, None),
        (131030, 400, "invalid_recipient", False, None),
        (131062, 400, "invalid_recipient", False, None),
        (131049, 400, "rejected", False, None),
        (131050, 400, "rejected", False, None),
        (130472, 400, "rejected", False, None),
        (368, 403, "rejected", False, None),
        (131031, 403, "rejected", False, None),
        (131042, 400, "rejected", False, None),
        (132001, 404, "rejected", False, None),
        (100, 400, "rejected", False, None),
        (999999, 400, "rejected", False, None),
        (131000, 500, "temporary", True, None),
        (131016, 500, "temporary", True, None),
        (1, 400, "temporary", True, None),
        (2, 503, "temporary", True, None),
    ],
)
async def test_each_error_of_meta_has_its_class(
    code: int, status: int, name: str, again: bool, pause: float | None
) -> None:
    fake = FakeMeta()
    fake.answer_error(code, status=status, details="Because of this.")
    error = await refused(fake, outgoing())
    assert (error.code, error.again, error.retry_after) == (name, again, pause)
    assert not error.doubtful
    assert error.reason == f"Because of this. ({code})"


async def test_the_wait_meta_asks_for() -> None:
    fake = FakeMeta()
    fake.answer_error(130429, status=429, retry_after="30")
    assert (await refused(fake, outgoing())).retry_after == 30
    fake.answer_error(130429, status=429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")
    assert (await refused(fake, outgoing())).retry_after is None


@pytest.mark.parametrize(
    ("status", "body", "code", "again", "doubtful"),
    [
        (502, b"<html>Bad gateway</html>", "temporary", False, True),
        (500, b"", "temporary", False, True),
        (504, b'{"error": {"message": "no code"}}', "temporary", False, True),
        (500, b'{"error": {"code": 999999}}', "temporary", False, True),
        (429, b"", "throttled", True, False),
        (401, b"", "token", False, False),
        (403, b"[]", "token", False, False),
        (404, b"", "rejected", False, False),
        (302, b"", "rejected", False, False),
        (200, b"", "unconfirmed", False, True),
        (200, b'{"messages": []}', "unconfirmed", False, True),
        (200, b'{"messages": [{}]}', "unconfirmed", False, True),
        (200, b"[" * 5000, "unconfirmed", False, True),
    ],
)
async def test_answers_that_are_not_metas(
    status: int, body: bytes, code: str, again: bool, doubtful: bool
) -> None:
    fake = FakeMeta()
    fake.answer_with(status, body)
    error = await refused(fake, outgoing())
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)


@pytest.mark.parametrize(
    ("fault", "code", "again", "doubtful"),
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
async def test_a_broken_line(fault: Exception, code: str, again: bool, doubtful: bool) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise fault

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        with pytest.raises(SendError) as raised:
            await MetaOutbound().send(outgoing(), DESK, http)
    error = raised.value
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)


async def test_nothing_listens_there() -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    accounts = load(
        f"""
        accounts:
          gone-whatsapp:
            channel: whatsapp
            provider: meta
            phone_number_id: "1"
            app_secret: s3cret-of-the-app
            verify_token: our-verify-token
            access_token: EAAB-access
            api_base: http://127.0.0.1:{port}
        """
    )
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(SendError) as raised:
            await MetaOutbound().send(outgoing(), named(accounts, "gone-whatsapp"), http)
    assert raised.value.again


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"messaging_product": None}, 100),
        ({"to": None}, 100),
        ({"to": "not a number"}, 131009),
        ({"type": "smoke_signal"}, 100),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"text": {}}, 100),
        ({"type": "template", "template": {"name": "a"}}, 100),
        ({"type": "template", "template": {"name": "a", "language": {"code": "nl"}}}, 132001),
        ({"context": {"message_id": "<mail@example.org>"}}, 131009),
    ],
)
async def test_the_fake_refuses_what_meta_refuses(change: dict[str, Any], code: int) -> None:
    good = {"messaging_product": "whatsapp", "to": "31612340001", "type": "text",
            "text": {"body": "hi"}}  # fmt: skip
    body = {name: value for name, value in (good | change).items() if value is not None}
    fake = FakeMeta(templates=frozenset())
    transport = httpx.ASGITransport(fake.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://meta.test") as http:
        headers = {"authorization": "Bearer EAAB-access"}
        path = "/v23.0/106540352242922/messages"
        answer = await http.post(path, json=body, headers=headers)
        assert answer.json()["error"]["code"] == code
        stranger = await http.post(path, json=good, headers={"authorization": "Bearer x"})
        assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, 190)
    assert fake.accepted == []
