"""Replies by Mailgun against an API as strict as the real one, and what the doctor finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import default
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account, AccountsError
from shared.channels import File, Outgoing, Receipt
from shared.channels.email import MailgunHealth, MailgunOutbound
from shared.channels.email.compose import composed
from shared.channels.email.mailgun_api import base
from shared.channels.table import can_send
from shared.errors import SendError
from shared.events import Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.mailgun import FakeMailgun

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
ID = UUID("0190a0b0-0000-7000-8000-000000000001")
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: mailgun, address: support@example.org,
                     signing_key: k, api_key: [key-0123456789, old], domain: MG.example.org,
                     api_base: "http://mailgun.test/"}
      other-mail: {channel: email, provider: mailgun, address: other@example.org, signing_key: k,
                   api_key: key-0123456789, domain: unknown.example.org,
                   api_base: "http://mailgun.test"}
      wrong-mail: {channel: email, provider: mailgun, address: wrong@example.org, signing_key: k,
                   api_key: wrong, domain: mg.example.org, api_base: "http://mailgun.test"}
      eu-mail: {channel: email, provider: mailgun, address: eu@example.org, signing_key: k,
                api_key: x, domain: mg.example.org, region: eu}
      keyed-mail: {channel: email, provider: mailgun, address: keyed@example.org, signing_key: k,
                   api_key: x}
      smtp-mail: {channel: email, provider: mailgun, address: smtp@example.org, signing_key: k,
                  outbound: {host: smtp.mailgun.org}}
    """
)
SUPPORT = named(ACCOUNTS, "support-mail")
MESSAGE = Outgoing(
    id=ID,
    case_id=UUID(int=7),
    recipient=Identity(scheme="email", value="jan@example.net"),
    text="Uw pakket is onderweg.",
    subject="Waar is mijn pakket?",
    references=("<mail-1@example.net>",),
)


@dataclass
class Smtp:
    """A mail server in the place of ours."""

    sent: list[str] = field(default_factory=list)

    async def send(self, message: Outgoing, account: Account, http: httpx.AsyncClient) -> Receipt:
        self.sent.append(account.name)
        return Receipt("<smtp>")


@pytest.fixture
def mailgun() -> FakeMailgun:
    return FakeMailgun()


@pytest.fixture
async def http(mailgun: FakeMailgun) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(mailgun.app)) as client:
        yield client


async def send(
    http: httpx.AsyncClient, message: Outgoing = MESSAGE, account: Account = SUPPORT
) -> str:
    return (await MailgunOutbound(Smtp(), lambda: NOW).send(message, account, http)).provider_id


async def refused(http: httpx.AsyncClient, *args: Any) -> SendError:
    with pytest.raises(SendError) as error:
        await send(http, *args)
    assert len(error.value.reason) > 10
    return error.value


async def test_a_reply_leaves_as_we_wrote_it(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    assert await send(http) == f"<regie.{ID}@example.org>"
    (accepted,) = mailgun.accepted
    assert (accepted["to"], accepted["v:regie_message"]) == ("jan@example.net", str(ID))
    assert mailgun.requests[0].path == "/v3/mg.example.org/messages.mime"
    mail = BytesParser(policy=default).parsebytes(accepted["message"])
    assert mail["Message-ID"] == f"<regie.{ID}@example.org>"
    assert mail["In-Reply-To"] == "<mail-1@example.net>"
    assert mail.get_content().strip() == MESSAGE.text


async def test_files_go_along(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    file = File("bon.pdf", "application/pdf", b"%PDF" * 1000)
    await send(http, replace(MESSAGE, files=(file,)))
    mail = BytesParser(policy=default).parsebytes(mailgun.accepted[0]["message"])
    assert [part.get_content() for part in mail.iter_attachments()] == [file.content]
    large = File("x.bin", "application/octet-stream", bytes(20_000_000))
    assert (await refused(http, replace(MESSAGE, files=(large,)))).code == "rejected"


async def test_without_a_key_or_a_domain_it_goes_by_smtp(http: httpx.AsyncClient) -> None:
    smtp = Smtp()
    for name in ("smtp-mail", "keyed-mail"):
        await MailgunOutbound(smtp).send(MESSAGE, named(ACCOUNTS, name), http)
    assert smtp.sent == ["smtp-mail", "keyed-mail"]
    assert [can_send(named(ACCOUNTS, name)) for name in ("smtp-mail", "keyed-mail", "eu-mail")] == [
        True, False, True,
    ]  # fmt: skip


def test_each_region_has_its_own_address() -> None:
    assert base(named(ACCOUNTS, "eu-mail")) == "https://api.eu.mailgun.net"
    assert base(named(ACCOUNTS, "keyed-mail")) == "https://api.mailgun.net"
    fields = "channel: email, provider: mailgun, address: a@b.nl, signing_key: k"
    for wrong in ("region: asia", "domain: 'a/b'"):
        with pytest.raises(AccountsError):
            load(f"accounts: {{a: {{{fields}, {wrong}}}}}")


async def test_what_mailgun_refuses(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    assert (await refused(http, MESSAGE, named(ACCOUNTS, "wrong-mail"))).code == "token"
    assert (await refused(http, MESSAGE, named(ACCOUNTS, "other-mail"))).code == "token"
    nobody = replace(MESSAGE, recipient=Identity(scheme="e164", value="+31612345678"))
    assert (await refused(http, nobody)).code == "invalid_recipient"
    assert mailgun.accepted == []


@pytest.mark.parametrize(
    ("status", "words", "code", "again", "doubtful"),
    [
        (400, "to parameter is not a valid address", "invalid_recipient", False, False),
        (400, "from parameter is missing", "rejected", False, False),
        (401, "Forbidden", "token", False, False),
        (402, "Request Failed", "quota", True, False),
        (403, "Domain mg.example.org is not allowed to send", "token", False, False),
        (404, "Domain not found", "token", False, False),
        (413, "Request Entity Too Large", "rejected", False, False),
        (429, "Too many requests", "throttled", True, False),
        (500, "Internal Error", "temporary", False, True),
        (302, "Elsewhere", "temporary", False, True),
    ],
)
async def test_mailguns_errors(
    mailgun: FakeMailgun, http: httpx.AsyncClient, status: int, words: str, code: str,
    again: bool, doubtful: bool,
) -> None:  # fmt: skip
    mailgun.answer(status, {"message": words}, {"retry-after": "7"})
    error = await refused(http)
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert error.retry_after == ({429: 7, 402: 3600}.get(status))
    assert words in error.reason


async def test_a_yes_without_an_id_is_a_yes(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    mailgun.answer(200, b"<html>")
    assert await send(http) == f"<regie.{ID}@example.org>"


# --- the doctor ----------------------------------------------------------------------------------


async def found(http: httpx.AsyncClient, account: Account = SUPPORT) -> dict[str, tuple[bool, str]]:
    findings = await MailgunHealth().examine(account, http)
    assert all(each.ok or each.advice for each in findings)
    return {each.what: (each.ok, each.advice) for each in findings}


async def test_a_healthy_account(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    mailgun.routes = ["https://regie.example.org/webhooks/support-mail/mime"]
    looked_at = await found(http)
    assert all(ok for ok, _ in looked_at.values())
    assert list(looked_at) == ["api_key", "route", "domain mg.example.org"]


async def test_what_is_wrong(mailgun: FakeMailgun, http: httpx.AsyncClient) -> None:
    assert "make a route" in (await found(http))["route"][1]
    mailgun.routes = ["https://regie.example.org/webhooks/support-mail-2/mime"]
    assert "make a route" in (await found(http))["route"][1]
    mailgun.routes = ["https://regie.example.org/webhooks/support-mail"]
    assert "whole" in (await found(http))["route"][1]
    mailgun.domains["mg.example.org"] = "unverified"
    assert "unverified" in (await found(http))["domain mg.example.org"][1]
    unknown = await found(http, named(ACCOUNTS, "other-mail"))
    assert "region" in unknown["domain unknown.example.org"][1]
    assert list(await found(http, named(ACCOUNTS, "wrong-mail"))) == ["api_key"]
    assert not (await found(http, named(ACCOUNTS, "smtp-mail")))["Mailgun's side"][0]
    mailgun.answer(502, b"<html>")
    assert "HTTP 502" in (await found(http))["api_key"][1]


async def test_a_large_file_holds_nobody_else_up() -> None:
    files = [File("long.pdf", "application/pdf", bytes(8_000_000))]
    writing = asyncio.ensure_future(composed(replace(MESSAGE, files=files), SUPPORT, NOW))
    turns = 0
    while not writing.done():
        await asyncio.wait([writing], timeout=0.001)
        turns += 1
    assert len(await writing) > 8_000_000
    assert turns > 3, "others had their turn meanwhile"
