"""Direct messages of X against an API as strict as the real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.channels import File, Outgoing
from shared.channels.x import XHealth, XMedia, XOutbound
from shared.channels.x.oauth import signature
from shared.errors import FetchError, SendError
from shared.events import Attachment, Identity
from tests.contracts.channels.behaviour import load, named
from tests.fakes.x import FakeX

ACCOUNTS = load(
    """
    accounts:
      desk-x:
        channel: x
        provider: x
        user_id: "4337869213"
        consumer_secret: [new, old]
        consumer_key: key
        access_token: token
        access_token_secret: token-secret
        api_base: https://x.test/
      wrong-x:
        {channel: x, provider: x, user_id: "1", consumer_secret: new, consumer_key: key,
         access_token: token, access_token_secret: wrong, api_base: "https://x.test"}
      bearer-x:
        {channel: x, provider: x, user_id: "2", consumer_secret: new, access_token: bearer-token,
         api_base: "https://x.test"}
      mute-x: {channel: x, provider: x, user_id: "3", consumer_secret: new}
    """
)
GIF = File("a.gif", "image/gif", b"GIF89a")


async def send(
    fake: FakeX, text: str = "It is on its way", account: str = "desk-x", who: str = "3001969357",
    scheme: Any = "x", files: Sequence[File] = (),
) -> str:  # fmt: skip
    message = Outgoing(
        id=UUID(int=1), case_id=UUID(int=2), text=text, files=files,
        recipient=Identity(scheme=scheme, value=who),
    )  # fmt: skip
    async with client(fake) as http:
        return (await XOutbound().send(message, named(ACCOUNTS, account), http)).provider_id


def client(fake: FakeX) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(fake.app))


async def refused(fake: FakeX, **given: Any) -> SendError:
    with pytest.raises(SendError) as refusal:
        await send(fake, **given)
    assert len(refusal.value.reason) > 10
    return refusal.value


def test_the_signature_is_that_of_the_documentation() -> None:
    """The worked example of X's "Creating a signature"."""
    given = [
        ("status", "Hello Ladies + Gentlemen, a signed OAuth request!"),
        ("oauth_consumer_key", "xvz1evFS4wEEPTGEFPHBog"),
        ("oauth_nonce", "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "1318622958"),
        ("oauth_token", "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),
        ("oauth_version", "1.0"),
    ]
    made = signature(
        "post",
        "https://api.twitter.com/1.1/statuses/update.json?include_entities=true",
        given,
        "kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw",
        "LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE",
    )
    assert made == "hCtSmYh+iHYCEqBWrE7C7hYmtUk="


async def test_a_text_is_sent_and_its_id_kept() -> None:
    fake = FakeX()
    assert await send(fake) == "1001"
    assert fake.accepted == [{"text": "It is on its way"}]
    assert fake.requests[0].path == "/2/dm_conversations/with/3001969357/messages"


async def test_a_picture_is_uploaded_first() -> None:
    fake = FakeX()
    await send(fake, files=[GIF])
    assert list(fake.pictures.values()) == [b"GIF89a"]
    assert fake.accepted == [{"text": "It is on its way", "attachments": [{"media_id": "5000"}]}]


async def test_a_bearer_token_goes_as_it_is() -> None:
    fake = FakeX()
    await refused(fake, account="bearer-x")  # the fake's user authorised by OAuth 1.0a
    assert fake.requests[0].headers["authorization"] == "Bearer bearer-token"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"text": "x" * 10_001}, "rejected"),
        ({"text": "  "}, "rejected"),
        ({"scheme": "e164", "who": "+31612345678"}, "invalid_recipient"),
        ({"who": "ada/../x"}, "invalid_recipient"),
        ({"files": [GIF, GIF]}, "rejected"),
        ({"files": [File("a.pdf", "application/pdf", b"%PDF")]}, "rejected"),
        ({"files": [File("a.png", "image/png", b"x" * 5_000_001)]}, "rejected"),
        ({"account": "mute-x"}, "token"),
    ],
)
async def test_what_x_would_refuse_does_not_leave(given: dict[str, Any], code: str) -> None:
    fake = FakeX()
    error = await refused(fake, **given)
    assert (error.code, error.again, error.doubtful) == (code, False, False)
    assert not fake.requests


@pytest.mark.parametrize(
    ("status", "content", "headers", "code", "again", "doubtful", "pause"),
    [
        (401, {"title": "Unauthorized"}, {}, "token", False, False, None),
        (403, {"detail": "You cannot send messages to this user."}, {}, "not_permitted", False,
         False, None),
        (404, {"detail": "no user"}, {}, "invalid_recipient", False, False, None),
        (400, {"errors": [{"message": "bad"}]}, {}, "rejected", False, False, None),
        (429, {}, {"retry-after": "30"}, "throttled", True, False, 30.0),
        (429, {}, {"x-rate-limit-reset": "1790856900", "date": "Thu, 01 Oct 2026 12:00:00 GMT"},
         "throttled", True, False, 900.0),
        (429, {}, {"x-rate-limit-reset": "soon"}, "throttled", True, False, None),
        (503, b"over capacity", {}, "temporary", False, True, None),
        (201, {"data": {}}, {}, "unconfirmed", False, True, None),
    ],
)  # fmt: skip
async def test_an_answer_says_what_may_be_done(
    status: int, content: Any, headers: dict[str, str], code: str, again: bool, doubtful: bool,
    pause: float | None,
) -> None:  # fmt: skip
    fake = FakeX()
    fake.answer(status, content, headers)
    error = await refused(fake)
    assert (error.code, error.again, error.doubtful) == (code, again, doubtful)
    assert error.retry_after == pause


async def test_a_picture_that_did_not_arrive_is_no_doubt() -> None:
    fake = FakeX()
    fake.answer(503, b"")
    error = await refused(fake, files=[GIF])
    assert (error.again, error.doubtful) == (True, False)


async def test_a_wrong_secret_is_said() -> None:
    assert (await refused(FakeX(), account="wrong-x")).code == "token"


async def test_private_files_are_signed_for_and_public_ones_are_not() -> None:
    fake = FakeX()
    account = named(ACCOUNTS, "desk-x")
    async with client(fake) as http:
        for url in ("https://ton.twitter.com/i/ton/1.jpg",):
            file = Attachment(name="1.jpg", content_type="image/jpeg", url=url)
            assert (await XMedia().fetch(file, account, http, 1000)).endswith(b"picture")
        elsewhere = Attachment(name="1", content_type="image/jpeg",
                               url="https://evil.test/i/ton/1.jpg")  # fmt: skip
        with pytest.raises(FetchError):
            await XMedia().fetch(elsewhere, account, http, 1000)


async def test_health_tells_whose_token_it_is() -> None:
    async with client(FakeX()) as http:
        (fine,) = await XHealth().examine(named(ACCOUNTS, "desk-x"), http)
        (wrong,) = await XHealth().examine(named(ACCOUNTS, "wrong-x"), http)
    async with client(FakeX(user_id="8")) as http:
        (another,) = await XHealth().examine(named(ACCOUNTS, "desk-x"), http)
    assert fine.ok
    assert not wrong.ok
    assert not another.ok
    assert "user 8" in another.advice
