"""Replies by Messenger and Instagram against a send API as strict as Meta's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.accounts import Account
from shared.channels import File, Outgoing
from shared.channels.instagram import META as INSTAGRAM_META
from shared.channels.messenger import META as MESSENGER_META
from shared.channels.providers.meta_direct_send import DirectOutbound
from shared.errors import SendError
from shared.events import Identity, Scheme
from tests.contracts.channels.direct import INSTAGRAM, MESSENGER, NIGHT
from tests.fakes.meta_direct import FakeDirect

ID = UUID("0198c1de-0000-7000-8000-000000000001")
NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
PSID = "6712345678901234"
PDF = File("invoice.pdf", "application/pdf", b"%PDF-1.7")
PHOTO = File("photo.png", "image/png", b"\x89PNG")


def fake_of(account: Account, **given: Any) -> FakeDirect:
    if account is INSTAGRAM:
        given["platform"] = "instagram"
    page = account.settings.get("page_id", "114352288281000")
    return FakeDirect(page_id=str(page), **given)


def outgoing(
    text: str = "It is on its way",
    *,
    scheme: Scheme = "psid",
    files: Sequence[File] = (),
    automatic: bool = False,
    template: str = "",
    closes_in: timedelta | None = None,
) -> Outgoing:
    return Outgoing(
        id=ID, case_id=ID, recipient=Identity(scheme=scheme, value=PSID), text=text, files=files,
        automatic=automatic, template=template,
        reply_window_closes_at=None if closes_in is None else NOW + closes_in,
    )  # fmt: skip


def adapter(account: Account) -> DirectOutbound:
    meta = INSTAGRAM_META if account is INSTAGRAM else MESSENGER_META
    assert isinstance(meta.outbound, DirectOutbound)
    return DirectOutbound(meta.outbound.limits, now=lambda: NOW)


async def send(fake: FakeDirect, message: Outgoing, account: Account = MESSENGER) -> str:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        return (await adapter(account).send(message, account, http)).provider_id


async def refused(fake: FakeDirect, message: Outgoing, account: Account = MESSENGER) -> SendError:
    with pytest.raises(SendError) as raised:
        await send(fake, message, account)
    return raised.value


async def test_a_reply_by_messenger() -> None:
    fake = fake_of(MESSENGER)
    assert await send(fake, outgoing()) == "m_FAKE000001"
    assert fake.requests[0].path == "/v23.0/114352288281000/messages"
    assert fake.accepted == [
        {
            "recipient": {"id": PSID},
            "messaging_type": "RESPONSE",
            "message": {"text": "It is on its way", "metadata": str(ID)},
        }
    ]


async def test_a_reply_by_instagram() -> None:
    fake = fake_of(INSTAGRAM)
    await send(fake, outgoing(scheme="igsid"), INSTAGRAM)
    assert fake.requests[0].path == "/v23.0/me/messages"
    assert fake.accepted[0]["message"] == {"text": "It is on its way"}


@dataclass(frozen=True)
class Hour:
    """An hour after the customer's last message, on an account with or without HUMAN_AGENT."""

    hours: float
    granted: bool
    automatic: bool
    tag: str | None  # None: refused before it leaves


@pytest.mark.parametrize(
    "hour",
    [
        Hour(1, granted=False, automatic=False, tag=""),
        Hour(1, granted=True, automatic=False, tag=""),
        Hour(1, granted=True, automatic=True, tag=""),
        Hour(23.95, granted=True, automatic=False, tag="HUMAN_AGENT"),
        Hour(23.95, granted=True, automatic=True, tag=""),
        Hour(23.95, granted=False, automatic=False, tag=""),
        Hour(30, granted=True, automatic=False, tag="HUMAN_AGENT"),
        Hour(30, granted=True, automatic=True, tag=None),
        Hour(30, granted=False, automatic=False, tag=None),
        Hour(167, granted=True, automatic=False, tag="HUMAN_AGENT"),
        Hour(169, granted=True, automatic=False, tag=None),
    ],
    ids=str,
)
async def test_which_window_a_reply_is_sent_in(hour: Hour) -> None:
    account = NIGHT if hour.granted else MESSENGER
    window = timedelta(days=7) if hour.granted else timedelta(hours=24)
    message = outgoing(automatic=hour.automatic, closes_in=window - timedelta(hours=hour.hours))
    fake = fake_of(account, hours=hour.hours, granted=hour.granted)
    if hour.tag is None:
        error = await refused(fake, message, account)
        assert (error.code, error.again, error.doubtful) == ("window_closed", False, False)
        assert fake.requests == []
        return
    await send(fake, message, account)
    assert fake.accepted[0].get("tag", "") == hour.tag


async def test_text_and_files_go_one_after_the_other() -> None:
    fake = fake_of(MESSENGER)
    sent = await send(fake, outgoing("Here:", files=[PDF, PHOTO]))
    assert sent == "m_FAKE000003"
    first, second, third = (body["message"] for body in fake.accepted)
    assert first == {"text": "Here:", "metadata": f"{ID}/1"}
    assert second["metadata"] == f"{ID}/2"
    assert third["metadata"] == str(ID)
    ids = [part["attachment"]["payload"]["attachment_id"] for part in (second, third)]
    assert [fake.uploads[id] for id in ids] == [
        ("file", "application/pdf", PDF.content), ("image", "image/png", PHOTO.content),
    ]  # fmt: skip


async def test_instagram_takes_a_file_alone() -> None:
    fake = fake_of(INSTAGRAM)
    await send(fake, outgoing("", scheme="igsid", files=[PHOTO]), INSTAGRAM)
    assert "metadata" not in fake.accepted[0]["message"]
    assert len(fake.accepted) == 1


async def test_nothing_is_with_the_customer_before_every_file_is_placed() -> None:
    fake = fake_of(MESSENGER)
    fake.refuse(2, status=503)
    error = await refused(fake, outgoing("Here:", files=[PDF]))
    assert (error.code, error.again, error.doubtful) == ("temporary", True, False)
    assert fake.accepted == []


async def test_a_reply_that_broke_off_is_never_sent_again_by_itself() -> None:
    fake = fake_of(MESSENGER)
    seen = 0

    async def app(scope: Any, receive: Any, transmit: Any) -> None:
        nonlocal seen
        seen += scope["path"].endswith("/messages")
        if seen == 2:
            fake.refuse(613)
            seen += 1
        await fake.app(scope, receive, transmit)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        with pytest.raises(SendError) as raised:
            await adapter(MESSENGER).send(outgoing("Here:", files=[PDF]), MESSENGER, http)
    error = raised.value
    assert (error.code, error.again, error.doubtful) == ("partly_sent", False, True)
    assert "1 of 2 parts were sent" in error.reason
    assert len(fake.accepted) == 1


BIG = File("film.mp4", "video/mp4", b"\0" * (25 * 1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("account", "message", "code", "reason"),
    [
        (MESSENGER, outgoing("x" * 2001), "rejected", "2001 characters and Messenger takes 2000"),
        (INSTAGRAM, outgoing("é" * 501, scheme="igsid"), "rejected", "1002 bytes and Instagram"),
        (MESSENGER, outgoing(" "), "rejected", "no text"),
        (MESSENGER, outgoing(template="resume_invite"), "rejected", "no templates"),
        (MESSENGER, outgoing(scheme="igsid"), "invalid_recipient", "'igsid'"),
        (INSTAGRAM, outgoing(), "invalid_recipient", "'psid'"),
        (MESSENGER, outgoing(files=[BIG]), "rejected", "takes 25 MB of video"),
        (
            INSTAGRAM,
            outgoing(scheme="igsid", files=[File("a.zip", "application/zip", b"PK")]),
            "rejected",
            "takes no application/zip",
        ),
    ],
)
async def test_what_cannot_be_sent_never_leaves(
    account: Account, message: Outgoing, code: str, reason: str
) -> None:
    fake = fake_of(account)
    error = await refused(fake, message, account)
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert reason in error.reason
    assert fake.requests == []


async def test_the_longest_texts_are_taken() -> None:
    assert await send(fake_of(MESSENGER), outgoing("x" * 2000))
    assert await send(fake_of(INSTAGRAM), outgoing("é" * 500, scheme="igsid"), INSTAGRAM)


@pytest.mark.parametrize(
    ("code", "subcode", "status", "name", "again"),
    [
        (10, 2018278, 403, "window_closed", False),
        (10, 2534022, 403, "window_closed", False),
        (10, 0, 403, "token", False),
        (100, 2018276, 400, "rejected", False),
        (100, 2018001, 400, "invalid_recipient", False),
        (100, 2534014, 400, "invalid_recipient", False),
        (2534014, 0, 400, "invalid_recipient", False),
        (551, 0, 400, "invalid_recipient", False),
        (551, 1545041, 400, "invalid_recipient", False),
        (200, 1545041, 403, "invalid_recipient", False),
        (200, 0, 403, "token", False),
        (4, 0, 400, "throttled", True),
        (17, 0, 400, "throttled", True),
        (32, 0, 400, "throttled", True),
        (613, 0, 400, "throttled", True),
        (80002, 0, 400, "throttled", True),
        (190, 463, 401, "token", False),
        (368, 0, 400, "rejected", False),
        (100, 0, 400, "rejected", False),
        (1200, 0, 400, "temporary", True),
        (2, 0, 500, "temporary", True),
        (999999, 0, 400, "rejected", False),
    ],
)
async def test_each_error_of_meta_has_its_class(
    code: int, subcode: int, status: int, name: str, again: bool
) -> None:
    fake = fake_of(MESSENGER)
    fake.refuse(code, subcode, status)
    error = await refused(fake, outgoing())
    assert (error.code, error.again, error.doubtful) == (name, again, False)
    assert error.reason.startswith("Because of this.")


async def test_a_tag_that_was_not_granted_says_what_to_do() -> None:
    fake = fake_of(NIGHT, hours=30, granted=False)
    error = await refused(fake, outgoing(closes_in=timedelta(days=5)), NIGHT)
    assert "App Review" in error.reason


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "30"}, 30.0),
        (
            {
                "x-business-use-case-usage": '{"1": [{"type": "messenger", '
                '"estimated_time_to_regain_access": 3}]}'
            },
            180.0,
        ),
        ({"x-business-use-case-usage": "{"}, None),
        ({"x-business-use-case-usage": '{"1": [{}]}'}, None),
        ({}, None),
    ],
)
async def test_the_wait_meta_asks_for(headers: dict[str, str], wait: float | None) -> None:
    fake = fake_of(MESSENGER)
    fake.refuse(80002, headers=headers)
    assert (await refused(fake, outgoing())).retry_after == wait


@pytest.mark.parametrize(
    ("status", "body", "code", "doubtful"),
    [
        (502, b"<html>", "temporary", True),
        (500, b'{"error": {"code": 424242}}', "temporary", True),
        (200, b"", "unconfirmed", True),
        (200, b'{"recipient_id": "1"}', "unconfirmed", True),
        (401, b"", "token", False),
    ],
)
async def test_answers_that_are_not_metas(
    status: int, body: bytes, code: str, doubtful: bool
) -> None:
    fake = fake_of(MESSENGER)
    fake.answer(status, body)
    error = await refused(fake, outgoing())
    assert (error.code, error.again, error.doubtful) == (code, False, doubtful)


async def test_an_account_without_a_token_cannot_send() -> None:
    bare = Account("bare", "messenger", "meta", {"page_id": "1"})
    async with httpx.AsyncClient() as http:
        with pytest.raises(SendError, match="has no access_token"):
            await adapter(MESSENGER).send(outgoing(), bare, http)


# --- health ----------------------------------------------------------------------------------


async def findings(fake: FakeDirect, account: Account) -> dict[str, tuple[bool, str]]:
    health = (INSTAGRAM_META if account is INSTAGRAM else MESSENGER_META).health
    assert health is not None
    async with httpx.AsyncClient(transport=httpx.ASGITransport(fake.app)) as http:
        return {each.what: (each.ok, each.advice) for each in await health.examine(account, http)}


async def test_a_healthy_page() -> None:
    found = await findings(fake_of(MESSENGER), MESSENGER)
    assert {what: ok for what, (ok, _) in found.items()} == {
        "known to Meta": True, "the token's account": True, "subscribed to webhooks": True,
    }  # fmt: skip


async def test_a_profile_is_known_by_the_page_it_is_linked_to() -> None:
    linked = {"instagram_business_account": {"id": "17841405309211844"}}
    found = await findings(fake_of(INSTAGRAM, me=linked), INSTAGRAM)
    assert found["the token's account"] == (True, "")


async def test_a_page_that_lost_its_app_and_has_anothers_token() -> None:
    fake = fake_of(MESSENGER, subscribed=False, me={"id": "999"})
    found = await findings(fake, MESSENGER)
    assert found["the token's account"] == (
        False, "access_token is for 999, and page_id is 114352288281000",
    )  # fmt: skip
    assert "no app is subscribed" in found["subscribed to webhooks"][1]


async def test_a_token_meta_does_not_know() -> None:
    found = await findings(fake_of(MESSENGER, token="another"), MESSENGER)
    ok, advice = found["known to Meta"]
    assert not ok
    assert "Invalid OAuth access token" in advice


async def test_nobody_answers() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert MESSENGER_META.health is not None
    async with httpx.AsyncClient(transport=httpx.MockTransport(broken)) as http:
        (finding,) = await MESSENGER_META.health.examine(MESSENGER, http)
    assert not finding.ok
    assert "cannot be asked (ConnectError)" in finding.advice
