"""Replies by SMTP, to a real (and sometimes ill-behaved) server on loopback."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account, load_accounts
from shared.channels import File, Outgoing
from shared.channels.email import SmtpOutbound, message_from_mime
from shared.channels.email.tokens import reply_address, token_in
from shared.errors import SendError
from shared.events import Attachment, Identity
from tests.fakes.smtp import FakeSmtp

MESSAGE = UUID("0190a0b0-0000-7000-8000-000000000001")
CASE = UUID("0190a0b0-0000-7000-8000-00000000000c")
JAN = Identity(scheme="email", value="jan@example.net")


@pytest.fixture
async def server() -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp() as fake:
        yield fake


def account(server: FakeSmtp, more: str = "", outbound: str = "") -> Account:
    text = f"""
    accounts:
      support-mail:
        channel: email
        provider: mailgun
        address: support@example.org
        signing_key: a-signing-key
        outbound: {{host: 127.0.0.1, port: {server.port}, starttls: false{outbound}}}
        {more}
    """
    found = load_accounts(text, "channels.yaml", {}).get("support-mail")
    assert found is not None
    return found


def reply(**changes: Any) -> Outgoing:
    given: dict[str, Any] = {
        "id": MESSAGE,
        "case_id": CASE,
        "recipient": JAN,
        "text": "Beste Jan,\n\nHet pakket is onderweg.\n.\nGroet, Zoë\n",
        "subject": "RE: AW: Antw: Mijn pakket",
        "references": ("<third@example.net>", "<second@example.org>", "<first@example.net>"),
    }
    return Outgoing(**{**given, **changes})


async def send(message: Outgoing, of: Account, outbound: SmtpOutbound | None = None) -> str:
    async with httpx.AsyncClient() as http:
        return (await (outbound or SmtpOutbound()).send(message, of, http)).provider_id


async def refused(
    message: Outgoing, of: Account, outbound: SmtpOutbound | None = None
) -> SendError:
    with pytest.raises(SendError) as error:
        await send(message, of, outbound)
    return error.value


def only(server: FakeSmtp) -> EmailMessage:
    assert len(server.accepted) == 1
    return email.message_from_bytes(server.accepted[0].content, policy=email.policy.default)


async def test_a_reply_stands_in_its_thread(server: FakeSmtp) -> None:
    provider_id = await send(reply(), account(server))
    mail = only(server)
    assert provider_id == f"<regie.{MESSAGE}@example.org>" == mail["Message-ID"]
    assert mail["In-Reply-To"] == "<third@example.net>"
    assert mail["References"] == "<first@example.net> <second@example.org> <third@example.net>"
    assert (mail["From"], mail["To"]) == ("support@example.org", "jan@example.net")
    assert mail["Subject"] == "Re: Mijn pakket"
    assert mail["Auto-Submitted"] is None
    assert mail["Reply-To"] is None
    assert mail.get_content().replace("\r\n", "\n") == reply().text
    taken = server.accepted[0]
    assert (taken.sender, taken.recipients) == ("support@example.org", ("jan@example.net",))


async def test_an_automatic_message_says_so(server: FakeSmtp) -> None:
    await send(reply(automatic=True, references=(), subject="Uw code"), account(server))
    mail = only(server)
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["Subject"] == "Uw code"
    assert mail["In-Reply-To"] is None


async def test_headers_survive_whatever_stands_in_them(server: FakeSmtp) -> None:
    long = [f"<{'x' * 120}.{number}@example.net>" for number in range(30)]
    subject = "Één\r\nBcc: everyone@example.net " + "heel lang onderwerp " * 20
    of = account(server, 'display_name: "Klantenservice, Zoë"')
    await send(reply(subject=subject, references=(*long, "<bad\r\nBcc: x@y>")), of)
    mail = only(server)
    assert mail["References"].split() == list(reversed(long[:20]))
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Re: Één Bcc: everyone@example.net heel lang")
    assert mail["From"].addresses[0].display_name == "Klantenservice, Zoë"


async def test_the_reply_address_carries_a_signed_token(server: FakeSmtp) -> None:
    of = account(server, 'plus_addressing: true\n        reply_secret: ["new-one", "old-one"]')
    await send(reply(), of)
    answer_to = str(only(server)["Reply-To"])
    assert token_in([answer_to.upper()], "support@example.org", ["new-one"]) == str(CASE)
    assert token_in([answer_to], "support@example.org", ["wrong"]) == ""
    assert token_in([answer_to], "other@example.org", ["new-one"]) == ""
    assert len(answer_to.partition("@")[0]) <= 64
    old = reply_address("support@example.org", CASE, "old-one")
    raw = f"From: jan@example.net\nTo: {old}\nMessage-ID: <a@b>\n\nJa".encode()
    parsed = message_from_mime(raw, of, None, [], datetime.now(UTC))
    assert parsed.messages[0].thread.token == str(CASE)


async def test_an_address_with_accents(server: FakeSmtp) -> None:
    zoe = Identity(scheme="email", value="zoë@köln.example")
    await send(reply(recipient=zoe), account(server))
    assert server.accepted[0].recipients == ("zoë@xn--kln-sna.example",)


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
async def test_a_login_is_made_where_one_is_asked_for() -> None:
    async with FakeSmtp(users={"regie": "s3cret"}) as server:
        await send(reply(), account(server, outbound=", username: regie, password: s3cret"))
        wrong = account(server, outbound=", username: regie, password: other")
        error = await refused(reply(), wrong)
        assert (error.code, error.again, len(server.accepted)) == ("token", True, 1)


@pytest.mark.parametrize(
    ("verb", "status", "code", "again", "doubtful"),
    [
        ("MAIL", "421 4.3.2 too busy", "throttled", True, False),
        ("MAIL", "550 5.7.1 not you", "rejected", False, False),
        ("RCPT", "450 4.2.0 greylisted", "throttled", True, False),
        ("RCPT", "550 5.1.1 no such user", "invalid_recipient", False, False),
        ("RCPT", "553 bad mailbox name", "invalid_recipient", False, False),
        ("RCPT", "554 5.7.1 blocked", "rejected", False, False),
        ("RCPT", "drop", "connection", True, False),
        ("RCPT", "hang", "timeout", True, False),
        ("DATA", "451 4.3.0 later", "throttled", True, False),
        ("DATA", "554 5.6.0 spam", "rejected", False, False),
        ("DATA", "drop", "timeout", False, True),
        ("DATA", "hang", "timeout", False, True),
    ],
)
async def test_what_a_refusal_means(
    server: FakeSmtp, verb: str, status: str, code: str, again: bool, doubtful: bool
) -> None:
    server.answer(verb, status)
    outbound = SmtpOutbound(limit=0.5 if status == "hang" else 15)
    error = await refused(reply(), account(server), outbound)
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert server.accepted == []


async def test_a_server_that_is_away(server: FakeSmtp) -> None:
    of = account(server)
    async with FakeSmtp() as gone:
        away = account(gone)
    error = await refused(reply(), away)
    assert (error.code, error.again) == ("connection", True)
    assert await send(reply(), of)


async def test_tls_that_is_demanded_and_not_there(server: FakeSmtp) -> None:
    demanded = account(server).settings["outbound"] | {"starttls": True}
    of = Account("support-mail", "email", "mailgun",
                 {"address": "support@example.org", "outbound": demanded})  # fmt: skip
    error = await refused(reply(), of)
    assert (error.code, error.again, server.accepted) == ("connection", True, [])
    assert "STARTTLS" in error.reason


@pytest.mark.parametrize(
    "recipient",
    [
        Identity(scheme="e164", value="+31612345678"),
        Identity(scheme="email", value="nobody"),
        Identity(scheme="email", value="a@b.nl>\r\nRCPT TO:<c@d.nl"),
    ],
)
async def test_what_is_no_mail_address(server: FakeSmtp, recipient: Identity) -> None:
    error = await refused(reply(recipient=recipient), account(server))
    assert (error.code, error.again, server.accepted) == ("invalid_recipient", False, [])


async def test_an_account_that_cannot_send(server: FakeSmtp) -> None:
    bare = Account("post-room", "email", "smtp", {"address": "post@example.org"})
    assert "outbound" in (await refused(reply(), bare)).reason
    unsigned = Account("post-room", "email", "smtp",
                       {**account(server).settings, "plus_addressing": True})  # fmt: skip
    assert "reply_secret" in (await refused(reply(), unsigned)).reason


async def test_files_go_along_or_nothing_does(server: FakeSmtp) -> None:
    content = bytes(range(256))
    named = [Attachment(name="étiquette.pdf", content_type="application/pdf")]
    assert (await refused(reply(attachments=named), account(server))).code == "rejected"
    assert server.accepted == []
    files = [
        File("étiquette.pdf", "application/pdf", content),
        File("a mail.eml", "message/rfc822", b"Subject: x\r\n\r\ny"),
    ]
    await send(reply(attachments=named, files=files), account(server))
    sent = list(only(server).iter_attachments())
    assert [(each.get_filename(), each.get_content()) for each in sent] == [
        ("étiquette.pdf", content),
        ("a mail.eml", b"Subject: x\r\n\r\ny"),  # as bytes: base64 may not hold a message
    ]


async def test_what_the_server_would_not_take_is_not_sent(server: FakeSmtp) -> None:
    files = [File("film.mp4", "video/mp4", b"x" * 30_000_000)]
    error = await refused(reply(files=files), account(server))
    assert (error.code, error.again, server.accepted) == ("rejected", False, [])
    assert "send fewer files" in error.reason


async def test_headers_name_an_address_with_accents_as_it_is(server: FakeSmtp) -> None:
    zoe = Identity(scheme="email", value="zoë@köln.example")
    await send(reply(recipient=zoe), account(server, 'display_name: "Één, Twee"'))
    taken = server.accepted[0]
    assert "SMTPUTF8" in taken.options
    assert "To: zoë@xn--kln-sna.example\r\n".encode() in taken.content
    assert only(server)["From"].addresses[0].display_name == "Één, Twee"
