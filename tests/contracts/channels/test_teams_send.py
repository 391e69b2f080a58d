"""Replies into Teams against a login and a connector as strict as the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.channels import File, Outgoing
from shared.channels.teams import TeamsHealth, TeamsMedia, TeamsOutbound
from shared.errors import FetchError, SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.teams import FakeTeams

ACCOUNTS = load(
    """
    accounts:
      desk-teams: {channel: teams, provider: microsoft, app_id: app-1, tenant_id: tenant-1,
                   app_password: [secret, old], api_base: "https://teams.test/"}
      wrong-teams: {channel: teams, provider: microsoft, app_id: app-2, tenant_id: tenant-1,
                    app_password: wrong, api_base: "https://teams.test"}
      mute-teams: {channel: teams, provider: microsoft, app_id: app-3, api_base: "https://teams.test"}
    """
)
KNOWN = "https://teams.test|a:known"
PICTURE = File("a.png", "image/png", b"\x89PNG", url="https://regie.example.org/v1/files/t")
PAPER = File("a.pdf", "application/pdf", b"%PDF", url="https://regie.example.org/v1/files/p")


async def send(
    fake: FakeTeams, text: str = "It is on its way", references: Sequence[str] = ("a#1", KNOWN),
    account: str = "desk-teams", files: Sequence[File] = (), scheme: Any = "teams",
    outbound: TeamsOutbound | None = None,
) -> str:  # fmt: skip
    message = Outgoing(
        id=UUID(int=1), case_id=UUID(int=2), recipient=Identity(scheme=scheme, value="29:ada"),
        text=text, references=references, files=files,
    )  # fmt: skip
    async with client(fake) as http:
        sender = outbound or TeamsOutbound()
        return (await sender.send(message, named(ACCOUNTS, account), http)).provider_id


def client(fake: FakeTeams) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(fake.app))


async def refused(fake: FakeTeams, **given: Any) -> SendError:
    with pytest.raises(SendError) as refusal:
        await send(fake, **given)
    assert len(refusal.value.reason) > 10
    return refusal.value


async def test_a_reply_goes_into_the_conversation_it_answers() -> None:
    fake = FakeTeams()
    assert await send(fake) == "a:known#1001"
    assert fake.accepted == [{"type": "message", "textFormat": "plain", "text": "It is on its way"}]


async def test_without_one_a_conversation_is_opened() -> None:
    fake = FakeTeams()
    assert await send(fake, references=("<mail@example.org>",)) == "a:with-29:ada#1001"


async def test_a_token_serves_until_it_ends_or_is_refused() -> None:
    fake, outbound = FakeTeams(), TeamsOutbound()
    await send(fake, outbound=outbound)
    await send(fake, outbound=outbound)
    assert len(fake.tokens) == 1
    fake.tokens.append("another")  # Microsoft took the first back
    error = await refused(fake, outbound=outbound)
    assert error.code == "token"
    await send(fake, outbound=outbound)


async def test_pictures_are_shown_and_other_files_linked() -> None:
    fake = FakeTeams()
    await send(fake, files=[PICTURE, PAPER])
    (sent,) = fake.accepted
    assert sent["text"] == f"It is on its way\na.pdf: {PAPER.url}"
    assert sent["attachments"] == [
        {"contentType": "image/png", "contentUrl": PICTURE.url, "name": "a.png"}
    ]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"text": " "}, "rejected"),
        ({"text": "x" * 28_001}, "rejected"),
        ({"scheme": "e164"}, "invalid_recipient"),
        ({"files": [File("a.png", "image/png", b"")]}, "rejected"),
        ({"references": ["https://evil.example.org|a:known"]}, "rejected"),
        ({"account": "mute-teams"}, "token"),
    ],
)
async def test_what_cannot_be_sent_does_not_leave(given: dict[str, Any], code: str) -> None:
    fake = FakeTeams()
    error = await refused(fake, **given)
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert not fake.requests
    assert not fake.tokens


@pytest.mark.parametrize(
    ("status", "content", "headers", "code", "again", "doubtful", "pause"),
    [
        (429, {}, {"retry-after": "7"}, "throttled", True, False, 7.0),
        (412, {"error": {"code": "PreconditionFailed"}}, {}, "temporary", True, False, None),
        (502, b"bad gateway", {}, "temporary", False, True, None),
        (403, {"error": {"code": "ForbiddenOperationException"}}, {}, "not_permitted", False, False,
         None),
        (404, {"error": {"code": "ConversationNotFound"}}, {}, "not_permitted", False, False, None),
        (400, {"error": {"code": "BadArgument", "message": "no"}}, {}, "rejected", False, False,
         None),
        (201, {}, {}, "unconfirmed", False, True, None),
    ],
)  # fmt: skip
async def test_an_answer_says_what_may_be_done(
    status: int, content: Any, headers: dict[str, str], code: str, again: bool, doubtful: bool,
    pause: float | None,
) -> None:  # fmt: skip
    fake = FakeTeams()
    fake.answer(status, content, headers)
    error = await refused(fake)
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert error.retry_after == pause


async def test_a_conversation_that_did_not_open_is_no_doubt() -> None:
    fake = FakeTeams()
    fake.answer(502, b"")
    error = await refused(fake, references=())
    assert (error.again, error.doubtful) == (True, False)


async def test_somebody_who_took_the_bot_out_is_not_tried_again() -> None:
    error = await refused(FakeTeams(conversations=set()))
    assert (error.code, error.again) == ("not_permitted", False)


async def test_a_wrong_secret_is_said() -> None:
    error = await refused(FakeTeams(), account="wrong-teams")
    assert error.code == "token"
    assert "AADSTS7000215" in error.reason


async def test_pictures_are_fetched_with_our_token_from_microsoft_only() -> None:
    fake, account = FakeTeams(), named(ACCOUNTS, "desk-teams")
    ours = Attachment(name="a", content_type="image/png",
                      url="https://teams.test/v3/attachments/1/views/original")  # fmt: skip
    other = Attachment(name="a", content_type="image/png",
                       url="https://evil.test/v3/attachments/1/views/original")  # fmt: skip
    async with client(fake) as http:
        assert (await TeamsMedia().fetch(ours, account, http, 100)).endswith(b"picture")
        with pytest.raises(FetchError):
            await TeamsMedia().fetch(other, account, http, 100)


async def test_health_asks_for_a_token() -> None:
    async with client(FakeTeams()) as http:
        (fine,) = await TeamsHealth().examine(named(ACCOUNTS, "desk-teams"), http)
        (wrong,) = await TeamsHealth().examine(named(ACCOUNTS, "wrong-teams"), http)
    assert fine.ok
    assert not wrong.ok
