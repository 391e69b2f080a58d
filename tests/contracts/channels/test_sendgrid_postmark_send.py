"""Replies by SendGrid and by Postmark, against send APIs as strict as the real ones."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account
from shared.channels import File, Finding, Outbound, Outgoing
from shared.channels.email import PostmarkOutbound, SendGridOutbound
from shared.channels.table import can_send, provider_of
from shared.errors import SendError
from shared.events import Attachment, Identity
from tests.contracts.channels import test_postmark, test_sendgrid
from tests.contracts.channels.behaviour import load, named
from tests.fakes.postmark import FakePostmark
from tests.fakes.sendgrid import FakeSendGrid
from tests.fakes.smtp import FakeSmtp

ID = UUID("0198c1de-0000-7000-8000-000000000001")
OURS = f"<regie.{ID}@example.org>"
ZOE = Identity(scheme="email", value="zoe@example.net")
PDF = File("bon é.pdf", "application/pdf", b"%PDF-1.7")
UNREAD = Attachment(name="a.txt", content_type="text/plain")
Fake = FakeSendGrid | FakePostmark


def account(provider: str, **fields: str) -> Account:
    """One with its own keys; `fields` in place of what it has, or beside it."""
    known = {"sendgrid": {"public_key": "x", "api_key": "[SG.key, SG.old]"},
             "postmark": {"password": "x", "server_token": "server-token"}}[provider]  # fmt: skip
    all_of = {"address": "support@example.org", "display_name": "'Zoë \"en\" co'",
              "api_base": "http://provider.test/", **known, **fields}  # fmt: skip
    given = ", ".join(f"{name}: {value}" for name, value in all_of.items() if value)
    text = f"accounts: {{support-mail: {{channel: email, provider: {provider}, {given}}}}}"
    return named(load(text), "support-mail")


@dataclass(frozen=True)
class Sending:
    """One provider. `largest` is the most of a file that it takes; `token` its key's field."""

    name: str
    outbound: Outbound
    fake: Callable[..., Fake]
    token: str
    largest: int


SENDGRID = Sending("sendgrid", SendGridOutbound(), FakeSendGrid, "api_key", 22_400_000)
POSTMARK = Sending("postmark", PostmarkOutbound(), FakePostmark, "server_token", 7_400_000)
each = pytest.mark.parametrize("by", [SENDGRID, POSTMARK], ids=lambda by: by.name)


def outgoing(text: str = "Het komt eraan: 5 €\n", **given: Any) -> Outgoing:
    return Outgoing(**{"id": ID, "case_id": ID, "recipient": ZOE, "text": text,
                       "subject": "Pakket kwijt", **given})  # fmt: skip


async def send(by: Sending, fake: Fake, message: Outgoing, **fields: str) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        receipt = await by.outbound.send(message, account(by.name, **fields), http)
    return receipt.provider_id


async def refused(by: Sending, fake: Fake, message: Outgoing, **fields: str) -> SendError:
    with pytest.raises(SendError) as raised:
        await send(by, fake, message, **fields)
    return raised.value


# --- what leaves -----------------------------------------------------------------------------


async def test_a_reply_by_sendgrid() -> None:
    fake = FakeSendGrid()
    references = ("<third@x>", "<second@x>", "no id")
    assert await send(SENDGRID, fake, outgoing(references=references)) == OURS
    assert fake.accepted == [
        {
            "personalizations": [{"to": [{"email": "zoe@example.net"}]}],
            "from": {"email": "support@example.org", "name": 'Zoë "en" co'},
            "subject": "Re: Pakket kwijt",
            "content": [{"type": "text/plain", "value": "Het komt eraan: 5 €\n"}],
            "headers": {
                "Message-ID": OURS, "X-Regie-Origin": OURS, "In-Reply-To": "<third@x>",
                "References": "<second@x> <third@x>",
            },
            "custom_args": {"regie_message_id": str(ID), "regie_account": "support-mail"},
        }
    ]  # fmt: skip


async def test_a_reply_by_postmark() -> None:
    fake = FakePostmark()
    assert await send(POSTMARK, fake, outgoing(references=("<second@x>",))) == OURS
    assert fake.accepted == [
        {
            "From": "\"Zoë 'en' co\" <support@example.org>",
            "To": "zoe@example.net",
            "Subject": "Re: Pakket kwijt",
            "TextBody": "Het komt eraan: 5 €\n",
            "Headers": [
                {"Name": "Message-ID", "Value": OURS},
                {"Name": "X-Regie-Origin", "Value": OURS},
                {"Name": "In-Reply-To", "Value": "<second@x>"},
                {"Name": "References", "Value": "<second@x>"},
                {"Name": "X-PM-KeepID", "Value": "true"},
            ],
            "Metadata": {"regie_message_id": str(ID), "regie_account": "support-mail"},
            "MessageStream": "outbound",
        }
    ]


async def test_what_comes_back_names_our_message() -> None:
    grid, mark = FakeSendGrid(), FakePostmark()
    assert await send(SENDGRID, grid, outgoing()) == await send(POSTMARK, mark, outgoing())
    event = {"event": "delivered", "sg_event_id": "1", **grid.accepted[0]["custom_args"]}
    webhook = {"RecordType": "Delivery", "MessageID": "1", "Metadata": mark.accepted[0]["Metadata"]}
    for parsed in (test_sendgrid.parse(test_sendgrid.events(event)),
                   test_postmark.parse(test_postmark.posted(webhook))):  # fmt: skip
        (told,) = parsed.statuses
        assert (told.account, told.correlation) == ("support-mail", str(ID))
        assert told.provider_id == OURS  # the one the router knows our message by


@each
async def test_files_go_along(by: Sending) -> None:
    fake = by.fake()
    attachment = Attachment(name=PDF.name, content_type=PDF.content_type)
    message = outgoing("", files=(PDF, File("", "", b"x")), attachments=(attachment,) * 2)
    await send(by, fake, message)
    content = base64.b64encode(b"%PDF-1.7").decode()
    if by is SENDGRID:
        first, second = fake.accepted[0]["attachments"]
        assert first == {"content": content, "type": "application/pdf", "filename": "bon é.pdf",
                         "disposition": "attachment"}  # fmt: skip
        assert (second["filename"], second["type"]) == ("file", "application/octet-stream")
    else:
        first, second = fake.accepted[0]["Attachments"]
        assert first == {"Name": "bon é.pdf", "Content": content, "ContentType": "application/pdf"}
        assert (second["Name"], second["ContentType"]) == ("file", "application/octet-stream")


@each
async def test_an_automatic_one_says_so_and_answers_come_to_the_case(by: Sending) -> None:
    fake = by.fake()
    await send(by, fake, outgoing(automatic=True), plus_addressing="true", reply_secret="s")
    sent = fake.accepted[0]
    headers = sent["headers"] if by is SENDGRID else dict(map(_pair, sent["Headers"]))
    assert headers["Auto-Submitted"] == "auto-replied"
    answer_to = sent["reply_to"]["email"] if by is SENDGRID else sent["ReplyTo"]
    assert answer_to.startswith("support+r")


def _pair(header: Mapping[str, str]) -> tuple[str, str]:
    return header["Name"], header["Value"]


async def test_a_message_stream_of_postmark() -> None:
    fake = FakePostmark()
    await send(POSTMARK, fake, outgoing(), message_stream="support")
    assert fake.accepted[0]["MessageStream"] == "support"
    error = await refused(POSTMARK, fake, outgoing(), message_stream="other")
    assert (error.code, error.again) == ("misconfigured", False)


@each
async def test_odd_names_and_texts_are_taken(by: Sending) -> None:
    fake = by.fake()
    name = "'" + "é" * 400 + "'" if by is SENDGRID else "'" + "x" * 400 + "\\'"
    await send(by, fake, outgoing("a\0b\ud83d", subject="Één\r\nBcc: x"), display_name=name)
    idn = outgoing(recipient=Identity(scheme="email", value="jan@bücher.example"))
    await send(by, fake, idn, display_name="")
    texts = [one["content"][0]["value"] if by is SENDGRID else one["TextBody"]
             for one in fake.accepted]  # fmt: skip
    assert texts == ["ab", "Het komt eraan: 5 €\n"]
    assert "xn--bcher-kva.example" in str(fake.accepted[1])


# --- what does not ---------------------------------------------------------------------------


@each
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"text": " \n"}, "rejected", "no text"),
        ({"recipient": Identity(scheme="e164", value="+3161")}, "invalid_recipient", "address"),
        ({"recipient": Identity(scheme="email", value="jan@")}, "invalid_recipient", "address"),
        (
            {"attachments": (Attachment(name="a", content_type="text/plain"),)},
            "rejected",
            "cannot be read",
        ),
    ],
)
async def test_what_is_refused_before_it_leaves(
    by: Sending, change: Mapping[str, Any], code: str, words: str
) -> None:
    fake = by.fake()
    error = await refused(by, fake, outgoing(**change))
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert words in error.reason
    assert fake.requests == []


@each
async def test_the_size_of_files(by: Sending) -> None:
    fake = by.fake()
    await send(by, fake, outgoing(files=(File("a.bin", "", b"\xff" * by.largest),)))
    files = (File("a.bin", "", b"\xff" * (by.largest + 100_000)),)
    error = await refused(by, fake, outgoing(files=files))
    assert (error.code, error.again) == ("rejected", False)
    assert "send fewer files, or a link" in error.reason
    assert len(fake.requests) == 1
    files_of = provider_of(account(by.name)).files
    assert files_of is not None
    assert files_of.total < by.largest


@each
async def test_without_its_key_or_with_a_wrong_one(by: Sending) -> None:
    fake = by.fake()
    error = await refused(by, fake, outgoing(), **{by.token: ""})
    assert (error.code, fake.requests) == ("token", [])
    error = await refused(by, fake, outgoing(), **{by.token: "wrong"})
    assert (error.code, error.again, error.doubtful) == ("token", False, False)


@each
async def test_a_sender_that_is_not_verified(by: Sending) -> None:
    error = await refused(by, by.fake(senders=frozenset()), outgoing())
    assert (error.code, error.again) == ("misconfigured", False)


@each
async def test_a_recipient_that_the_provider_refuses(by: Sending) -> None:
    no_ascii = outgoing(recipient=Identity(scheme="email", value="zoë@example.net"))
    error = await refused(by, by.fake(), no_ascii)
    assert (error.code, error.again) == ("invalid_recipient", False)


async def test_an_inactive_recipient_of_postmark() -> None:
    error = await refused(
        POSTMARK, FakePostmark(inactive=frozenset({"zoe@example.net"})), outgoing()
    )
    assert (error.code, error.again) == ("invalid_recipient", False)
    assert "reactivate" in error.reason


async def test_a_forbidden_file_of_postmark() -> None:
    error = await refused(POSTMARK, FakePostmark(), outgoing(files=(File("a.exe", "", b"x"),)))
    assert (error.code, error.again) == ("rejected", False)
    assert "a.exe" in error.reason


@each
@pytest.mark.parametrize(
    ("status", "code", "again", "doubtful"),
    [
        (400, "rejected", False, False),
        (401, "token", False, False),
        (403, "token", False, False),
        (413, "rejected", False, False),
        (429, "throttled", True, False),
        (500, "temporary", False, True),
        (502, "temporary", False, True),
        (503, "temporary", True, False),
        (504, "temporary", False, True),
    ],
)
@pytest.mark.parametrize("content", [b"<html>", {"errors": [{"message": "no"}]}, [], {"x": 1}])
async def test_what_a_status_means(
    by: Sending, status: int, code: str, again: bool, doubtful: bool, content: Any
) -> None:
    fake = by.fake()
    fake.answer(status, content)
    error = await refused(by, fake, outgoing())
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7", "x-ratelimit-reset": "1790856060"}, 7.0),
        ({"x-ratelimit-reset": "1790856060", "date": "Thu, 01 Oct 2026 12:00:00 GMT"}, 60.0),
        ({"x-ratelimit-reset": "1790855000", "date": "Thu, 01 Oct 2026 12:00:00 GMT"}, 0.0),
        ({"x-ratelimit-reset": "1790856060", "date": "today"}, None),
        ({"x-ratelimit-reset": "soon", "date": "Thu, 01 Oct 2026 12:00:00 GMT"}, None),
    ],
)
async def test_how_long_sendgrid_asks_us_to_wait(
    headers: Mapping[str, str], seconds: float | None
) -> None:
    fake = FakeSendGrid()
    fake.answer(429, {"errors": [{"message": "too many requests"}]}, headers)
    assert (await refused(SENDGRID, fake, outgoing())).retry_after == seconds


@pytest.mark.parametrize(
    ("code", "status", "name", "again"),
    [
        (10, 401, "token", False),
        (100, 500, "temporary", True),
        (300, 422, "rejected", False),
        (400, 422, "misconfigured", False),
        (405, 422, "rejected", False),
        (406, 422, "invalid_recipient", False),
        (412, 422, "misconfigured", False),
        (429, 429, "throttled", True),
        (429, 422, "throttled", True),
        (1235, 422, "misconfigured", False),
        (9999, 422, "rejected", False),
        (406, 200, "invalid_recipient", False),
    ],
)
async def test_what_postmarks_codes_mean(code: int, status: int, name: str, again: bool) -> None:
    fake = FakePostmark()
    fake.refuse(code, status)
    error = await refused(POSTMARK, fake, outgoing())
    assert (error.code, error.again, error.doubtful) == (name, again, False)
    assert f"({code})" in error.reason


@each
async def test_no_answer_is_a_doubt(by: Sending) -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("silence", request=request)

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away", request=request)

    for transport, code, again in ((silent, "timeout", False), (away, "connection", True)):
        async with httpx.AsyncClient(transport=httpx.MockTransport(transport)) as http:
            with pytest.raises(SendError) as raised:
                await by.outbound.send(outgoing(), account(by.name), http)
        error = raised.value
        assert (error.code, error.again, error.doubtful) == (code, again, not again)


# --- by API or by SMTP -----------------------------------------------------------------------


@each
async def test_without_a_key_it_goes_by_smtp(by: Sending) -> None:
    async with FakeSmtp() as server:
        out = f"{{host: 127.0.0.1, port: {server.port}, starttls: false}}"
        ours = account(by.name, outbound=out, **{by.token: ""})
        outbound = provider_of(ours).outbound
        assert outbound is not None
        async with httpx.AsyncClient() as http:
            receipt = await outbound.send(outgoing(), ours, http)
        assert receipt.provider_id == OURS
        assert len(server.accepted) == 1


@each
async def test_with_a_key_it_goes_by_the_api(by: Sending) -> None:
    fake, ours = by.fake(), account(by.name, outbound="{host: 127.0.0.1, port: 1}")
    outbound = provider_of(ours).outbound
    assert outbound is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        await outbound.send(outgoing(), ours, http)
    assert len(fake.accepted) == 1


@each
def test_which_accounts_can_send(by: Sending) -> None:
    assert can_send(account(by.name))
    assert can_send(account(by.name, outbound="{host: h}", **{by.token: ""}))
    assert not can_send(account(by.name, **{by.token: ""}))


# --- what `regie doctor` asks ----------------------------------------------------------------


async def examined(by: Sending, fake: Fake, **fields: str) -> Sequence[Finding]:
    ours = account(by.name, **fields)
    health = provider_of(ours).health
    assert health is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        found = await health.examine(ours, http)
    assert all(finding.ok is not bool(finding.advice) for finding in found)
    assert fake.accepted == []
    return found


def wrong(found: Sequence[Finding]) -> list[str]:
    return [finding.advice for finding in found if not finding.ok]


KEY = test_sendgrid.public(test_sendgrid.PARSE)


async def test_a_healthy_account() -> None:
    hook = "https://regie:pw@regie.example.org/webhooks/support-mail"
    grid = FakeSendGrid(parse_urls=("https://x.example/", hook + "?x=1"))
    assert wrong(await examined(SENDGRID, grid, public_key=KEY)) == []
    assert wrong(await examined(POSTMARK, FakePostmark(hook=hook))) == []


async def test_an_account_whose_mail_goes_elsewhere() -> None:
    elsewhere = "https://regie.example.org/webhooks/other-mail"
    grid = FakeSendGrid(parse_urls=(elsewhere,))
    (advice,) = wrong(await examined(SENDGRID, grid, public_key=KEY))
    assert "/webhooks/support-mail" in advice
    for hook in (elsewhere, ""):
        (advice,) = wrong(await examined(POSTMARK, FakePostmark(hook=hook)))
        assert "/webhooks/support-mail" in advice
    assert "nothing" in advice


async def test_a_key_that_may_not() -> None:
    none = FakeSendGrid(scopes=())
    advice = wrong(await examined(SENDGRID, none, public_key=KEY))
    assert ["mail.send" in advice[0], "parse.settings.read" in advice[1]] == [True, True]
    for by in (SENDGRID, POSTMARK):
        refusals = wrong(await examined(by, by.fake(), **{by.token: "wrong"}))
        assert any(by.token in each for each in refusals)


@each
async def test_a_provider_that_does_not_answer(by: Sending) -> None:
    fake = by.fake()
    fake.answer(502, b"<html>")
    assert any("provider.test" in each for each in wrong(await examined(by, fake)))


@each
async def test_an_account_that_cannot_send(by: Sending) -> None:
    found = wrong(await examined(by, by.fake(), **{by.token: ""}))
    assert any("replies cannot leave" in advice for advice in found)
    out = await examined(by, by.fake(), outbound="{host: h}", **{by.token: ""})
    assert not any("cannot leave" in finding.advice for finding in out)


async def test_a_public_key_that_is_none() -> None:
    found = wrong(await examined(SENDGRID, FakeSendGrid(scopes=()), public_key="[x, y]"))
    assert any("copy it whole" in advice for advice in found)
