"""Our own mail server over loopback: durable first, then 250; strangers refused; LMTP too."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiosmtplib
import httpx
import pytest

from services.ingest.mail_session import Limits
from services.ingest.mailbox import MailDoor
from shared.accounts import Accounts, load_accounts
from shared.channels import Parsed
from shared.channels.email import MailHealth
from shared.errors import BrokerUnavailable, Misconfigured

LIMITS = Limits()
NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
MAIL = (
    b"From: Jan <jan@example.net>\r\nTo: post@example.org\r\nSubject: Pakket\r\n"
    b"Message-ID: <door-1@example.net>\r\n\r\nWaar is het?\r\n"
)


class Taken:
    """Stands behind the door as the intake does: `says` may raise, `held` keeps it waiting."""

    def __init__(self) -> None:
        self.parsed: list[tuple[str, Parsed]] = []
        self.says: Callable[[str], None] = lambda account: None
        self.held = asyncio.Event()
        self.held.set()
        self.asked = asyncio.Event()

    async def accept(self, parsed: Parsed, account: str) -> None:
        self.asked.set()
        await self.held.wait()
        self.says(account)
        self.parsed.append((account, parsed))


@pytest.fixture
async def taken() -> Taken:
    return Taken()


def accounts(protocol: str = "smtp", listen: str = "127.0.0.1:0") -> Accounts:
    return load_accounts(
        f"""
        accounts:
          post-room: {{channel: email, provider: smtp, address: Post@example.org,
                       listen: "{listen}", max_size: 2MB, protocol: {protocol}}}
          claims: {{channel: email, provider: smtp, address: claims@example.org,
                    listen: "{listen}", max_size: 1KB, protocol: {protocol}}}
          elsewhere: {{channel: email, provider: mailgun, address: support@example.org,
                       signing_key: a-signing-key}}
        """,
        "channels.yaml",
        {},
    )


@asynccontextmanager
async def door(taken: Taken, protocol: str = "smtp", limits: Limits = LIMITS) -> AsyncIterator[int]:
    opened = MailDoor(accounts(protocol), taken.accept, lambda: NOW, limits)
    await opened.start()
    try:
        ((_, port),) = opened.addresses
        yield port
    finally:
        await opened.stop()


@asynccontextmanager
async def client(port: int) -> AsyncIterator[aiosmtplib.SMTP]:
    async with aiosmtplib.SMTP(
        hostname="127.0.0.1", port=port, start_tls=False, timeout=10, local_hostname="mx.test"
    ) as connected:
        await connected.ehlo()
        yield connected


async def post(
    port: int, to: str = "post@example.org", mail: bytes = MAIL, sender: str = "jan@example.net"
) -> int:
    async with client(port) as connected:
        try:
            await connected.mail(sender)
            await connected.rcpt(to)
            return (await connected.data(mail)).code
        except aiosmtplib.SMTPResponseException as refusal:
            return refusal.code


async def test_a_mail_is_taken_in_whole(taken: Taken) -> None:
    async with door(taken) as port:
        assert await post(port, to="POST+tag@Example.org") == 250
    ((account, parsed),) = taken.parsed
    (message,) = parsed.messages
    assert (account, message.account, message.subject) == ("post-room", "post-room", "Pakket")
    assert message.received_at == message.occurred_at == NOW
    assert message.recipient == "post+tag@example.org"
    assert message.text == "Waar is het?"
    assert message.raw_blob is not None
    assert {blob.ref: blob.content for blob in parsed.blobs}[message.raw_blob.ref] == MAIL


async def test_250_only_once_it_is_durable(taken: Taken) -> None:
    taken.held.clear()
    async with door(taken) as port:
        answer = asyncio.create_task(post(port))
        await asyncio.wait_for(taken.asked.wait(), 10)
        assert not answer.done()
        assert taken.parsed == []
        taken.held.set()
        assert await asyncio.wait_for(answer, 10) == 250
    assert len(taken.parsed) == 1


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), TimeoutError(), RuntimeError("bug")])
async def test_what_is_not_durable_is_to_come_again(taken: Taken, error: Exception) -> None:
    def refuse(account: str) -> None:
        raise error

    taken.says = refuse
    async with door(taken) as port:
        assert await post(port) == 451
        taken.says = lambda account: None
        assert await post(port) == 250
    assert len(taken.parsed) == 1


@pytest.mark.parametrize(
    "recipient", ["nobody@example.org", "post@example.net", "support@example.org", "postmaster"]
)
async def test_strangers_are_refused(taken: Taken, recipient: str) -> None:
    async with door(taken) as port:
        assert await post(port, to=recipient) == 550
    assert taken.parsed == []


async def test_what_is_too_large(taken: Taken) -> None:
    text = (b"x" * 70 + b"\r\n") * 40
    async with door(taken) as port, client(port) as connected:
        assert connected.esmtp_extensions["size"] == "2000000"
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as refusal:
            await connected.mail("jan@example.net", options=["SIZE=2000001"])
        assert refusal.value.code == 552
        assert await post(port, mail=MAIL + text * 1000) == 552
        assert await post(port, to="claims@example.org", mail=MAIL + text) == 552
        assert await post(port, mail=MAIL + text) == 250
    assert [account for account, _ in taken.parsed] == ["post-room"]


async def test_what_is_announced(taken: Taken) -> None:
    async with door(taken) as port, client(port) as connected:
        assert {"size", "8bitmime", "smtputf8"} <= set(connected.esmtp_extensions)
        assert "auth" not in connected.esmtp_extensions


async def test_eight_bits_and_long_lines_come_through(taken: Taken) -> None:
    line = "é".encode() * 10_000
    mail = b"Subject: Br\xc3\xa9da\r\nMessage-ID: <a@b>\r\n\r\n.\r\n" + line + b"\r\n"
    async with door(taken) as port:
        assert await post(port, mail=mail) == 250
    message = taken.parsed[0][1].messages[0]
    assert (message.subject, message.text) == ("Bréda", ".\n" + "é" * 10_000)


async def test_the_null_sender(taken: Taken) -> None:
    async with door(taken) as port:
        assert await post(port, sender="") == 250
    assert taken.parsed[0][1].messages[0].automatic


async def test_a_large_mail_is_read_beside_the_loop(taken: Taken) -> None:
    async with door(taken) as port:
        assert await post(port, mail=MAIL + b"regel\r\n" * 100_000) == 250
    message = taken.parsed[0][1].messages[0]
    assert message.text_blob is not None
    assert len(message.text) == 10_000


async def test_what_no_parser_reads_is_parked(taken: Taken) -> None:
    async with door(taken) as port:
        assert await post(port, mail=b"\r\n\r\n") == 250
    ((account, parsed),) = taken.parsed
    assert (account, parsed.messages, len(parsed.parked)) == ("post-room", (), 1)
    assert parsed.parked[0].key == hashlib.sha256(parsed.parked[0].raw).hexdigest()


async def test_one_mail_for_two_accounts(taken: Taken) -> None:
    async with door(taken) as port, client(port) as connected:
        await connected.mail("jan@example.net")
        for recipient in ("post@example.org", "post+b@example.org", "claims@example.org"):
            await connected.rcpt(recipient)
        assert (await connected.data(MAIL)).code == 250
    first, second = (parsed.messages[0] for _, parsed in taken.parsed)
    assert [first.account, second.account] == ["post-room", "claims"]
    assert first.id != second.id


async def test_half_a_failure_is_a_failure(taken: Taken) -> None:
    def refuse(account: str) -> None:
        if account == "claims":
            raise BrokerUnavailable("away")

    taken.says = refuse
    async with door(taken) as port, client(port) as connected:
        await connected.mail("jan@example.net")
        await connected.rcpt("post@example.org")
        await connected.rcpt("claims@example.org")
        with pytest.raises(aiosmtplib.SMTPDataError) as refusal:
            await connected.data(MAIL)
        assert refusal.value.code == 451
        taken.says = lambda account: None
        await connected.mail("jan@example.net")
        await connected.rcpt("post@example.org")
        await connected.rcpt("claims@example.org")
        await connected.data(MAIL)
    ids = [parsed.messages[0].id for account, parsed in taken.parsed if account == "post-room"]
    assert len(ids) == 2
    assert len(set(ids)) == 1


async def lmtp(port: int, recipients: list[str], mail: bytes, answers: int) -> list[str]:
    """The answers after the text, spoken by hand: no client here speaks LMTP."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def line() -> str:
        return (await asyncio.wait_for(reader.readline(), 10)).decode().strip()

    async def say(command: str) -> str:
        writer.write(command.encode() + b"\r\n")
        answer = await line()
        while answer[3:4] == "-":
            answer = await line()
        return answer

    try:
        assert (await line()).startswith("220")
        assert (await say("EHLO mx.test")).startswith("500")
        assert (await say("LHLO mx.test")).startswith("250")
        assert (await say("MAIL FROM:<jan@example.net>")).startswith("250")
        for recipient in recipients:
            assert (await say(f"RCPT TO:<{recipient}>")).startswith("250")
        assert (await say("RCPT TO:<nobody@example.org>")).startswith("550")
        assert (await say("DATA")).startswith("354")
        writer.write(mail + b".\r\n")
        found = [(await line()) for _ in range(answers)]
        assert (await say("NOOP")).startswith("250")
        return [each[:3] for each in found]
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_says_what_it_takes(taken: Taken) -> None:
    async with door(taken) as port, client(port) as connected:
        offered = connected.esmtp_extensions
        assert {"8bitmime", "smtputf8"} <= set(offered)
        assert offered["size"] == "2000000"
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as refusal:
            await connected.mail("jan@example.net", options=["SIZE=3000000"])
        assert refusal.value.code == 552


async def test_addresses_and_texts_with_accents(taken: Taken) -> None:
    raw = MAIL.replace(b"Jan", "Zoë".encode()).replace(b"Waar", "Één".encode())
    async with door(taken) as port, client(port) as connected:
        await connected.mail("zoë@example.net", options=["SMTPUTF8", "BODY=8BITMIME"],
                             encoding="utf-8")  # fmt: skip
        await connected.rcpt("post+zoë@example.org", encoding="utf-8")
        await connected.data(raw)
    ((_, parsed),) = taken.parsed
    (message,) = parsed.messages
    assert (message.sender.name, message.text) == ("Zoë", "Één is het?")
    assert message.recipient == "post+zoë@example.org"


async def test_one_connection_too_many_is_to_come_again(taken: Taken) -> None:
    async with door(taken, limits=Limits(sessions=2)) as port:
        async with client(port), client(port):
            with pytest.raises(aiosmtplib.SMTPConnectResponseError) as refusal:
                async with client(port):
                    pass
            assert refusal.value.code == 421
        assert await post(port) == 250


async def test_texts_wait_for_their_turn(taken: Taken) -> None:
    async with door(taken, limits=Limits(texts=1)) as port:
        reader, writer = await begun(port)
        second = asyncio.create_task(post(port))
        await asyncio.wait([second], timeout=0.2)
        assert not second.done()
        writer.write(MAIL + b".\r\n")
        assert (await reader.readline()).startswith(b"250")
        assert await asyncio.wait_for(second, 10) == 250
        writer.close()
    assert len(taken.parsed) == 2


@pytest.mark.parametrize("limits", [Limits(text=0.3), Limits(silence=0.3)])
async def test_whoever_is_too_slow_is_cut_off(taken: Taken, limits: Limits) -> None:
    async with door(taken, limits=limits) as port:
        reader, writer = await begun(port)
        writer.write(b"From: jan@example.net\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        assert await post(port) == 250
    assert len(taken.parsed) == 1


async def begun(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A session that has said DATA."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    for command in ("HELO mx.test", "MAIL FROM:<jan@example.net>", "RCPT TO:<post@example.org>"):
        writer.write(command.encode() + b"\r\n")
        assert (await reader.readline()).startswith(b"250")
    writer.write(b"DATA\r\n")
    assert (await reader.readline()).startswith(b"354")
    return reader, writer


async def test_lmtp_answers_for_each_recipient(taken: Taken) -> None:
    def refuse(account: str) -> None:
        if account == "claims":
            raise BrokerUnavailable("away")

    taken.says = refuse
    recipients = ["claims@example.org", "post@example.org", "post+b@example.org"]
    large = MAIL + (b"x" * 70 + b"\r\n") * 40_000
    async with door(taken, "lmtp") as port:
        assert await lmtp(port, recipients, MAIL, 3) == ["451", "250", "250"]
        assert await lmtp(port, recipients, large, 3) == ["552", "552", "552"]
    assert [account for account, _ in taken.parsed] == ["post-room"]


async def test_closing_waits_for_what_is_being_taken_in(taken: Taken) -> None:
    taken.held.clear()
    opened = MailDoor(accounts(), taken.accept, lambda: NOW)
    await opened.start()
    answer = asyncio.create_task(post(opened.addresses[0][1]))
    await asyncio.wait_for(taken.asked.wait(), 10)
    closing = asyncio.create_task(opened.stop())
    await asyncio.wait([closing], timeout=0.05)
    assert not closing.done()
    taken.held.set()
    assert await asyncio.wait_for(answer, 10) == 250
    await asyncio.wait_for(closing, 10)


async def test_it_listens_until_cancelled(taken: Taken) -> None:
    async with door(taken) as port:
        pass  # a port that is free again
    opened = MailDoor(accounts(listen=f"127.0.0.1:{port}"), taken.accept, lambda: NOW)
    running = asyncio.create_task(opened.run())
    async with asyncio.timeout(10):
        while not await _answers(port):
            assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    assert not await _answers(port)


async def test_the_doctor_asks_whether_it_listens(taken: Taken) -> None:
    async with door(taken) as port, httpx.AsyncClient() as http:
        account = accounts(listen=f"127.0.0.1:{port}").get("post-room")
        assert account is not None
        open_, replies = await MailHealth().examine(account, http)
    async with httpx.AsyncClient() as http:
        shut, _ = await MailHealth().examine(account, http)
    assert (open_.ok, replies.ok, shut.ok) == (True, False, False)
    assert "regie serve ingest" in shut.advice


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_an_address_that_is_taken(taken: Taken) -> None:
    async with door(taken) as port:
        second = MailDoor(accounts(listen=f"127.0.0.1:{port}"), taken.accept, lambda: NOW)
        with pytest.raises(Misconfigured, match="post-room cannot listen"):
            await second.start()


def test_protocols_that_do_not_go_together() -> None:
    mixed = """
        accounts:
          a: {channel: email, provider: smtp, address: a@example.org, listen: "127.0.0.1:2526"}
          b: {channel: email, provider: smtp, address: b@example.org, listen: "127.0.0.1:2526",
              protocol: lmtp}
    """
    with pytest.raises(Misconfigured, match="different ports"):
        MailDoor(load_accounts(mixed, "channels.yaml", {}), Taken().accept, lambda: NOW)
    with pytest.raises(Misconfigured, match="smtp or lmtp"):
        MailDoor(accounts(protocol="pop"), Taken().accept, lambda: NOW)
