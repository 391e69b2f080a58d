"""Keys that providers publish: fetched once, kept, and asked for within bounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.ingest.published_keys import MOST, PublishedKeys
from shared.channels import KeySource
from shared.errors import ProviderUnavailable

URL = "https://keys.example/jwks"


def read(document: bytes) -> Mapping[str, Any]:
    found = json.loads(document)
    if not isinstance(found, dict):
        raise ValueError("no keys")
    return found


class Publisher:
    """A provider's server: what it publishes, and how often it was asked."""

    def __init__(self, **keys: str) -> None:
        self.keys = dict(keys)
        self.asked: list[str] = []
        self.answer: Callable[[], httpx.Response] | None = None
        self.now = datetime(2026, 10, 1, 12, tzinfo=UTC)
        self.held = PublishedKeys(self.client, lambda: self.now)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.respond))

    async def respond(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        await asyncio.sleep(0)
        if self.answer is not None:
            return self.answer()
        if request.url.path == "/openid":
            return httpx.Response(200, json={"jwks_uri": URL})
        return httpx.Response(200, json=self.keys)

    async def of(self, id: str, account: str = "desk", **changes: Any) -> Mapping[str, Any]:
        source = KeySource(**{"url": URL, "id": id, "read": read, **changes})
        return await self.held.of(source, account)


def away() -> httpx.Response:
    raise httpx.ConnectError("away")


async def test_a_key_is_fetched_once_however_many_wait() -> None:
    publisher = Publisher(a="1")
    found = await asyncio.gather(*(publisher.of("a") for _ in range(20)))
    assert all(keys == {"a": "1"} for keys in found)
    assert publisher.asked == [URL]
    publisher.now += timedelta(hours=23)
    await publisher.of("a")
    assert publisher.asked == [URL]


async def test_a_list_is_renewed_after_its_time() -> None:
    publisher = Publisher(a="1")
    await publisher.of("a")
    publisher.now += timedelta(hours=25)
    publisher.keys = {"b": "2"}
    assert "a" not in await publisher.of("a")  # taken back


async def test_an_unknown_key_is_asked_for_once_a_minute() -> None:
    publisher = Publisher(a="1")
    await publisher.of("a")
    publisher.keys["b"] = "2"
    assert "b" not in await publisher.of("b")
    assert len(publisher.asked) == 1
    publisher.now += timedelta(seconds=61)
    assert (await publisher.of("b"))["b"] == "2"
    assert len(publisher.asked) == 2


async def test_a_publisher_that_is_away_is_no_refusal() -> None:
    publisher = Publisher(a="1")
    publisher.answer = away
    with pytest.raises(ProviderUnavailable):
        await publisher.of("a")
    publisher.answer = None
    assert await publisher.of("a") == {"a": "1"}
    publisher.answer = away
    publisher.now += timedelta(hours=30)
    assert await publisher.of("a") == {"a": "1"}  # known, and better than nothing
    with pytest.raises(ProviderUnavailable):
        await publisher.of("b")
    publisher.now += timedelta(hours=20)
    with pytest.raises(ProviderUnavailable):
        await publisher.of("a")


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(500), httpx.Response(429), httpx.Response(404), httpx.Response(302),
     httpx.Response(200, content=b"<html>"), httpx.Response(200, content=b"[]"),
     httpx.Response(200, content=b" " * 2_000_000 + b"{}")],
)  # fmt: skip
async def test_an_answer_that_is_no_list_is_an_outage(answer: httpx.Response) -> None:
    publisher = Publisher()
    publisher.answer = lambda: answer
    with pytest.raises(ProviderUnavailable):
        await publisher.of("a")


@pytest.mark.parametrize(
    ("status", "known"), [(403, True), (404, True), (500, False), (429, False)]
)
async def test_at_an_address_the_request_chose_nothing_means_no_such_key(
    status: int, known: bool
) -> None:
    publisher = Publisher()
    publisher.answer = lambda: httpx.Response(status)
    if known:
        assert await publisher.of("a", chosen=True) == {}
    else:
        with pytest.raises(ProviderUnavailable):
            await publisher.of("a", chosen=True)


async def test_strangers_cannot_make_us_ask_without_end() -> None:
    publisher = Publisher(a="1")
    await publisher.of("a", "desk")
    publisher.answer = lambda: httpx.Response(404)
    for number in range(MOST - 1):
        assert await publisher.of("x", "desk", url=f"{URL}/{number}", chosen=True) == {}
    with pytest.raises(ProviderUnavailable):
        await publisher.of("x", "desk", url=f"{URL}/more", chosen=True)
    assert len(publisher.asked) == MOST
    assert await publisher.of("a", "desk") == {"a": "1"}  # what is known is served
    await publisher.of("x", "another", url=f"{URL}/more", chosen=True)  # nobody else suffers
    publisher.now += timedelta(seconds=61)
    await publisher.of("x", "desk", url=f"{URL}/more", chosen=True)


async def test_a_document_that_only_says_where() -> None:
    publisher = Publisher(a="1")
    checked: list[bytes] = []

    def leads(document: bytes) -> str:
        checked.append(document)
        return str(json.loads(document)["jwks_uri"])

    signpost = "https://keys.example/openid"
    assert await publisher.of("a", url=signpost, leads=leads) == {"a": "1"}
    assert publisher.asked == [signpost, URL]
    assert len(checked) == 1

    def refuses(document: bytes) -> str:
        raise ValueError("another host")

    with pytest.raises(ProviderUnavailable):
        await Publisher().of("a", url=signpost, leads=refuses)
