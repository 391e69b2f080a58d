"""Replies by Amazon SES against an API as strict as the real one, and what the doctor finds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import default
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account
from shared.channels import File, Outgoing
from shared.channels.email import SesHealth, SesOutbound
from shared.channels.table import can_send
from shared.errors import SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.aws import KEY_ID, SECRET, TOPIC, FakeAws

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
ID = UUID("0190a0b0-0000-7000-8000-000000000001")
ACCOUNTS = load(
    """
    accounts:
      support-mail: {channel: email, provider: ses, address: support@example.org,
                     display_name: "Zoë, support", topic_arn: "${TOPIC}", access_key_id: "${KEY}",
                     secret_access_key: ["${SECRET}", old], configuration_set: replies,
                     api_base: "http://aws.test/"}
      other-mail: {channel: email, provider: ses, address: x@unverified.example,
                   topic_arn: "${TOPIC}", region: eu-west-1, access_key_id: "${KEY}",
                   secret_access_key: "${SECRET}", configuration_set: none,
                   api_base: "http://aws.test"}
      wrong-mail: {channel: email, provider: ses, address: wrong@example.org, topic_arn: "${TOPIC}",
                   access_key_id: "${KEY}", secret_access_key: wrong, api_base: "http://aws.test"}
      deaf-mail: {channel: email, provider: ses, address: deaf@example.org, topic_arn: "${TOPIC}"}
    """,
    TOPIC=TOPIC, KEY=KEY_ID, SECRET=SECRET,
)  # fmt: skip
SUPPORT = named(ACCOUNTS, "support-mail")
MESSAGE = Outgoing(
    id=ID,
    case_id=UUID(int=7),
    recipient=Identity(scheme="email", value="jan@example.net"),
    text="Uw pakket is onderweg. – Zoë",
    subject="Waar is mijn pakket?",
    references=("<mail-1@example.net>",),
)


@pytest.fixture
def aws() -> FakeAws:
    return FakeAws()


@pytest.fixture
async def http(aws: FakeAws) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(aws.app)) as client:
        yield client


async def send(
    http: httpx.AsyncClient, message: Outgoing = MESSAGE, account: Account = SUPPORT
) -> str:
    return (await SesOutbound(lambda: NOW).send(message, account, http)).provider_id


async def refused(http: httpx.AsyncClient, *args: Any) -> SendError:
    with pytest.raises(SendError) as error:
        await send(http, *args)
    assert len(error.value.reason) > 10
    return error.value


async def test_a_reply_leaves_as_we_wrote_it(aws: FakeAws, http: httpx.AsyncClient) -> None:
    provider_id = await send(http)
    (accepted,) = aws.accepted
    assert accepted["Destination"] == {"ToAddresses": ["jan@example.net"]}
    assert accepted["EmailTags"] == [{"Name": "regie_message", "Value": str(ID)}]
    assert accepted["ConfigurationSetName"] == "replies"
    mail = BytesParser(policy=default).parsebytes(accepted["mail"])
    assert mail["In-Reply-To"] == "<mail-1@example.net>"
    assert mail["From"].addresses[0].display_name == "Zoë, support"
    assert mail.get_content().strip() == MESSAGE.text
    # The id that answers and events will name.
    assert provider_id.startswith("<0102")
    assert provider_id.endswith("-000000@eu-west-1.amazonses.com>")


async def test_files_go_along(aws: FakeAws, http: httpx.AsyncClient) -> None:
    file = File("bon é.pdf", "application/pdf", b"%PDF" * 1000)
    await send(http, replace(MESSAGE, files=(file,)))
    mail = BytesParser(policy=default).parsebytes(aws.accepted[0]["mail"])
    (part,) = mail.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("bon é.pdf", file.content)
    large = File("x.bin", "application/octet-stream", bytes(30_000_000))
    assert (await refused(http, replace(MESSAGE, files=(large,)))).code == "rejected"
    lost = replace(MESSAGE, attachments=(Attachment(name="x", content_type="text/plain"),))
    assert (await refused(http, lost)).again in (True, False)
    assert len(aws.accepted) == 1


async def test_what_would_not_arrive_is_not_sent(aws: FakeAws, http: httpx.AsyncClient) -> None:
    for value in ("jan", "", "jané@example.net"):
        to = replace(MESSAGE, recipient=Identity(scheme="email", value=value))
        assert (await refused(http, to)).code == "invalid_recipient"
    number = replace(MESSAGE, recipient=Identity(scheme="e164", value="+31612345678"))
    assert (await refused(http, number)).code == "invalid_recipient"
    assert (await refused(http, replace(MESSAGE, text=" "))).code == "rejected"
    deaf = named(ACCOUNTS, "deaf-mail")
    assert (await refused(http, MESSAGE, deaf)).code == "token"
    assert not can_send(deaf)
    assert can_send(SUPPORT)
    assert aws.requests == []


async def test_a_domain_with_accents(aws: FakeAws, http: httpx.AsyncClient) -> None:
    to = Identity(scheme="email", value="jan@bücher.example")
    await send(http, replace(MESSAGE, recipient=to))
    assert aws.accepted[0]["Destination"] == {"ToAddresses": ["jan@xn--bcher-kva.example"]}


async def test_what_amazon_refuses(http: httpx.AsyncClient) -> None:
    wrong = await refused(http, MESSAGE, named(ACCOUNTS, "wrong-mail"))
    assert (wrong.code, wrong.again, wrong.doubtful) == ("token", False, False)
    unknown = await refused(http, MESSAGE, named(ACCOUNTS, "other-mail"))
    assert unknown.code == "rejected"
    assert "configuration_set" in unknown.reason


@pytest.mark.parametrize(
    ("name", "status", "words", "code", "again", "doubtful", "wait"),
    [
        ("TooManyRequestsException", 429, "Maximum rate exceeded.", "throttled", True, False, None),
        ("LimitExceededException", 400, "Daily quota exceeded.", "throttled", True, False, 3600),
        ("ThrottlingException", 400, "Rate exceeded", "throttled", True, False, None),
        ("MessageRejected", 400, "Email address is not verified.", "rejected", False, False, None),
        ("MailFromDomainNotVerifiedException", 400, "no", "rejected", False, False, None),
        ("AccountSuspendedException", 400, "no", "rejected", False, False, None),
        ("SendingPausedException", 400, "no", "paused", True, False, 900),
        ("NotFoundException", 404, "<x> does not exist.", "rejected", False, False, None),
        ("BadRequestException", 400, "Missing final '@domain'", "invalid_recipient",
         False, False, None),
        ("BadRequestException", 400, "something else", "rejected", False, False, None),
        ("InvalidClientTokenId", 403, "no", "token", False, False, None),
        ("AccessDeniedException", 403, "not authorized", "token", False, False, None),
        ("", 403, "no", "token", False, False, None),
        ("", 429, "no", "throttled", True, False, None),
        ("ServiceUnavailable", 503, "no", "temporary", True, False, None),
        ("InternalServerErrorException", 500, "no", "temporary", False, True, None),
        ("", 502, "no", "temporary", False, True, None),
        ("Strange", 418, "no", "rejected", False, False, None),
    ],
)  # fmt: skip
async def test_amazons_errors(
    aws: FakeAws, http: httpx.AsyncClient, name: str, status: int, words: str, code: str,
    again: bool, doubtful: bool, wait: float | None,
) -> None:  # fmt: skip
    aws.refuse(name, words, status)
    error = await refused(http)
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert error.retry_after == wait
    assert words in error.reason


async def test_an_error_in_the_body_alone(aws: FakeAws, http: httpx.AsyncClient) -> None:
    aws.answer(400, {"__type": "com.amazonaws.ses#MessageRejected", "Message": "Bad content"})
    error = await refused(http)
    assert (error.code, "Bad content" in error.reason) == ("rejected", True)
    aws.answer(500, b"<html>")
    assert (await refused(http)).doubtful
    aws.answer(200, b"<html>")
    assert (await refused(http)).doubtful
    aws.answer(429, {}, {"retry-after": "7"})
    assert (await refused(http)).retry_after == 7


@pytest.mark.parametrize(
    ("failure", "again", "doubtful"),
    [(httpx.ConnectError, True, False), (httpx.ReadTimeout, False, True),
     (httpx.RemoteProtocolError, False, True)],
)  # fmt: skip
async def test_where_the_line_breaks(
    failure: Callable[[str], Exception], again: bool, doubtful: bool
) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise failure("broken")

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        error = await refused(http)
    assert (error.again, error.doubtful) == (again, doubtful)


# --- the doctor ----------------------------------------------------------------------------------


async def found(http: httpx.AsyncClient, account: Account = SUPPORT) -> dict[str, tuple[bool, str]]:
    findings = await SesHealth(lambda: NOW).examine(account, http)
    assert all(each.ok or each.advice for each in findings)
    return {each.what.split(",")[0]: (each.ok, each.advice) for each in findings}


async def test_a_healthy_account(aws: FakeAws, http: httpx.AsyncClient) -> None:
    aws.endpoints = (("https://regie.example.org/webhooks/support-mail", f"{TOPIC}:1"),)
    looked_at = await found(http)
    assert all(ok for ok, _ in looked_at.values())
    assert list(looked_at) == ["access key", "sending", "reputation", "production access",
                               "identity support@example.org", "subscription"]  # fmt: skip


async def test_what_is_wrong(aws: FakeAws, http: httpx.AsyncClient) -> None:
    aws.sending = False
    assert not (await found(http))["sending"][0]
    assert "subscribe" in (await found(http))["subscription"][1]
    aws.endpoints = (("https://regie.example.org/webhooks/support-mail", "PendingConfirmation"),)
    assert "confirmation" in (await found(http))["subscription"][1]
    other = await found(http, named(ACCOUNTS, "other-mail"))
    assert "verify" in other["identity x@unverified.example"][1]
    assert not (await found(http, named(ACCOUNTS, "wrong-mail")))["access key"][0]
    assert not (await found(http, named(ACCOUNTS, "deaf-mail")))["sending"][0]
    aws.answer(500, b"<html>")
    assert "HTTP 500" in (await found(http))["access key"][1]


async def test_an_amazon_that_is_away() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("broken")

    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        assert "no answer" in (await found(http))["access key"][1]
