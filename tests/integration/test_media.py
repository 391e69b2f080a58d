"""Files that stayed with their provider: fetched after the ack, checked, never silently lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from msgspec.structs import replace as changed

from services.router.api import routers
from services.router.policy import Policy
from services.router.rights import files as doomed
from services.router.rights.retention import Retention
from shared.api_keys import Grant, create
from shared.blobs import FolderBlobs
from shared.channels import media
from shared.database import transaction
from shared.errors import BlobsUnavailable, FetchError
from shared.events import (
    Attachment,
    AttachmentFetched,
    AttachmentLost,
    Body,
    Call,
    MessageReceived,
    Thread,
)
from shared.web.app import make_app
from tests.builders import after, message, sender
from tests.fakes.endpoint import held, status, trickle
from tests.fetching import SID, Line, fetching_line
from tests.past import erase
from tests.people import owner
from tests.scanning import files_of, holding, rows_of
from tests.waiting import BOUND, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
PAGE = b"<html><script>alert(1)</script>"


@pytest.fixture
async def line(database_url: str, tmp_path: Path) -> AsyncIterator[Line]:
    async with fetching_line(database_url, tmp_path) as line:
        yield line


def with_files(*files: Attachment, **given: Any) -> MessageReceived:
    return message("See here", attachments=files, **given)


def photo(line: Line, path: str = "/photo", **given: Any) -> Attachment:
    values = {"name": "image.png", "content_type": "image/png", "url": line.endpoint.url + path}
    return Attachment(**(values | given))


async def test_a_file_is_fetched_stored_and_shown(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    sent = with_files(photo(line, media_id="ME1"))
    await line.hear(sent)
    async with line.fetching():
        (news,) = await line.settled("fetched")
    assert isinstance(news, AttachmentFetched)
    (file,) = await line.files(sent.id)
    assert (file["name"], file["content_type"], file["size"]) == ("image.png", "image/png", 208)
    assert file["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert "url" not in file, "the provider's address is of no more use"
    assert await line.runtime.blobs.get(file["blob"]["ref"]) == PNG


async def test_the_bytes_are_durable_before_the_event(line: Line) -> None:
    """While the store is away nothing is told, and the file is fetched again afterwards."""

    class Away(FolderBlobs):
        away = True
        asked = asyncio.Event()

        async def put(self, contents: Any) -> None:
            if self.away:
                self.asked.set()
                raise BlobsUnavailable("full")
            await super().put(contents)

    store = Away(line.runtime.blobs.root)
    line.runtime = replace(line.runtime, blobs=store)
    line.endpoint.always("/photo", status(200, PNG))
    await line.hear(with_files(photo(line)))
    async with line.fetching():
        await asyncio.wait_for(store.asked.wait(), BOUND)
        assert await line.news() == []
        store.away = False
        line.room.clock.at = after(minutes=4)  # the lease is over
        await line.settled("fetched")
    assert len(line.endpoint.at("/photo")) == 2


async def test_credentials_go_along_and_stay_with_their_host(line: Line) -> None:
    line.endpoint.script(
        "/photo", status(401), status(307, location=f"http://localhost:{line.endpoint.port}/cdn")
    )
    line.endpoint.always("/cdn", status(200, PNG))
    private = f"localhost:{line.endpoint.port}"
    allowed = line.runtime.settings.model_copy(update={"allow_private_targets": private})
    line.runtime = replace(line.runtime, settings=allowed)
    await line.hear(with_files(photo(line)))
    async with line.fetching():
        await line.settled("fetched")
    first, second = line.endpoint.at("/photo")
    assert first.headers["authorization"] == basic("new-token")
    assert second.headers["authorization"] == basic("old-token"), "while it is being replaced"
    (elsewhere,) = line.endpoint.at("/cdn")
    assert "authorization" not in elsewhere.headers


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"{SID}:{token}".encode()).decode()


async def test_twilio_credentials_go_nowhere_else(line: Line) -> None:
    stranger = f"http://localhost:{line.endpoint.port}/photo"
    sent = with_files(photo(line, url=stranger))
    await line.hear(sent)
    async with line.fetching():
        (news,) = await line.settled("lost")
    assert (news.code, line.endpoint.requests) == ("refused", [])
    (file,) = await line.files(sent.id)
    assert file["lost"].startswith("refused: ")


async def test_an_address_that_is_over_is_had_anew(line: Line) -> None:
    """Telnyx: ten minutes; then by the recording's id, with the account's key."""
    line.endpoint.always("/old", status(403))
    line.endpoint.always("/new", status(200, b"RIFF\x00\x00\x00\x00WAVE"))
    body = b'{"data": {"download_urls": {"mp3": "%s/new"}}}' % line.endpoint.url.encode()
    line.endpoint.always("/v2/recordings/rec-0001-0002", status(200, body))
    sent = with_files(
        photo(line, "/old", media_id="rec-0001-0002", content_type="audio/mpeg"),
        account="desk-sms", channel="sms",
    )  # fmt: skip
    await line.hear(sent)
    async with line.fetching():
        await line.settled("fetched")
    (asked,) = line.endpoint.at("/v2/recordings/rec-0001-0002")
    assert asked.headers["authorization"] == "Bearer telnyx-key"
    assert "authorization" not in line.endpoint.at("/new")[0].headers
    assert (await line.files(sent.id))[0]["content_type"] == "audio/wav", "its bytes say so"


async def test_a_plain_address_is_fetched_without_credentials(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    await line.hear(with_files(photo(line), account="service-portal", channel="portal"))
    async with line.fetching():
        await line.settled("fetched")
    assert "authorization" not in line.endpoint.requests[0].headers


# --- what is not what it seems ------------------------------------------------------------------


async def test_a_page_that_is_called_a_picture_is_a_page(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PAGE, content_type="image/png"))
    sent = with_files(photo(line))
    await line.hear(sent)
    async with line.fetching():
        await line.settled("fetched")
    assert (await line.files(sent.id))[0]["content_type"] == "text/html"


async def test_bytes_the_provider_did_not_sign_for_are_not_taken(line: Line) -> None:
    line.endpoint.script("/photo", status(200, b"other bytes"))
    line.endpoint.always("/photo", status(200, PNG))
    await line.hear(with_files(photo(line, sha256=hashlib.sha256(PNG).hexdigest())))
    async with line.fetching():
        row = await line.tried(1)
        assert row.code == "changed"
        assert files_of(line.runtime.blobs.root) == {}, "nothing of them is kept"
        line.room.clock.at = after(minutes=1)
        await line.settled("fetched")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_large_is_broken_off(line: Line, announced: bool) -> None:
    """At 2 kB here; without a Content-Length as soon as more has come."""
    behaviour = status(200, b"x" * 2001) if announced else endless()
    line.endpoint.always("/photo", behaviour)
    sent = with_files(photo(line), account="support-mail", channel="email")
    await line.hear(sent)
    async with line.fetching():
        (news,) = await line.settled("lost")
    assert (news.code, len(line.endpoint.requests)) == ("too_large", 1)
    assert "2000 bytes" in (await line.files(sent.id))[0]["lost"]


def endless() -> Any:
    async def behave(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 Said\r\nconnection: close\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 500)
            await writer.drain()

    return behave


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/photo", "http://localhost:{port}/photo", "http://10.0.0.7/x",
        "http://169.254.169.254/latest/meta-data", "http://[::1]:{port}/photo", "http://0/",
        "http://192.168.1.1/x", "file:///etc/passwd", "gopher://example.org/",
    ],
)  # fmt: skip
async def test_a_private_address_is_never_called(
    url: str, database_url: str, tmp_path: Path
) -> None:
    """The account's own api_base may be private: a stranger's address there may not."""
    async with fetching_line(database_url, tmp_path, allowed=()) as line:
        line.endpoint.always("/photo", status(200, PNG))
        file = photo(line, url=url.format(port=line.endpoint.port))
        sent = with_files(file, account="service-portal", channel="portal")
        await line.hear(sent)
        async with line.fetching():
            (news,) = await line.settled("lost")
        assert (news.code, line.endpoint.requests) == ("refused", [])


async def test_no_redirect_leads_to_a_private_address(database_url: str, tmp_path: Path) -> None:
    async with fetching_line(database_url, tmp_path) as line:
        line.endpoint.always("/photo", status(302, location="http://169.254.169.254/latest"))
        line.endpoint.always("/round", status(302, location="/round"))
        files = (photo(line), photo(line, "/round"))
        await line.hear(with_files(*files, account="service-portal", channel="portal"))
        async with line.fetching():
            news = await line.settled("lost", "lost")
        assert {each.code for each in news} == {"refused"}
        assert len(line.endpoint.at("/round")) == 6, "five redirects are followed"


# --- trying again -------------------------------------------------------------------------------


async def test_it_is_tried_again_when_the_provider_says(line: Line) -> None:
    line.endpoint.script("/photo", status(429, retry_after="300"), status(503))
    line.endpoint.always("/photo", status(200, PNG))
    await line.hear(with_files(photo(line)))
    async with line.fetching():
        row = await line.tried(1)
        assert (row.code, row.next_at) == ("throttled", after(seconds=300))
        line.room.clock.at = after(seconds=300)
        row = await line.tried(2)
        assert (row.code, row.next_at) == ("http_503", after(seconds=320))
        line.room.clock.at = after(seconds=320)
        await line.settled("fetched")
    assert len(line.endpoint.requests) == 3


async def test_a_lost_file_says_why_and_is_asked_for_again(line: Line) -> None:
    line.endpoint.always("/photo", status(404))
    sent = with_files(photo(line))
    await line.hear(sent)
    async with line.fetching():
        for tries in range(1, 6):
            row = await line.tried(tries)
            line.room.clock.at = row.next_at
        (news,) = await line.settled("lost")
    assert isinstance(news, AttachmentLost)
    assert (await line.files(sent.id))[0]["lost"].startswith("gone: the provider has no such file")


async def test_many_fetchers_fetch_each_file_once(line: Line) -> None:
    files = [photo(line, f"/photo/{n}") for n in range(12)]
    for file in files:
        line.endpoint.always(file.url.removeprefix(line.endpoint.url), status(200, PNG))
    await line.hear(*(with_files(*files[n : n + 3]) for n in range(0, 12, 3)))
    async with line.fetching(count=3):
        news = await line.settled(*["fetched"] * 12)
    assert len(line.endpoint.requests) == len(news) == 12
    assert line.endpoint.most_at_once <= 12


async def test_what_a_dead_fetcher_had_is_taken_over(line: Line) -> None:
    gate = asyncio.Event()
    line.endpoint.script("/photo", held(gate))
    line.endpoint.always("/photo", status(200, PNG))
    await line.hear(with_files(photo(line)))
    async with line.fetching():
        await line.endpoint.received(1, "/photo")
    async with line.fetching():
        line.room.clock.at = after(minutes=2)
        assert [row.state for row in await line.media()] == ["waiting"], "under its lease"
        line.room.clock.at = after(minutes=4)
        await line.settled("fetched")


async def test_a_slow_file_is_given_up(line: Line) -> None:
    async with httpx.AsyncClient() as http:
        line.endpoint.always("/photo", trickle())
        with pytest.raises(FetchError) as caught:
            await media.download(http, line.endpoint.url + "/photo", {}, 10_000_000, limit=0.2)
    assert (caught.value.code, caught.value.again) == ("timeout", True)


# --- where it is shown --------------------------------------------------------------------------


async def test_a_repeat_is_fetched_once_and_told_again(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    sent = with_files(photo(line))
    await line.note((sent, b"k" * 16))  # the router has not heard of it: it was a dead letter
    async with line.fetching():
        await line.settled("fetched")
        await line.room.hear(sent)
        assert (await line.files(sent.id))[0].get("blob") is None
        await line.note((sent, b"k" * 16))
        assert len(await line.news()) == 1
    assert (await line.files(sent.id))[0]["blob"]
    assert len(line.endpoint.requests) == 1


async def test_a_message_and_its_file_may_come_in_one_batch(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    sent = with_files(photo(line))
    await line.note((sent, b"k" * 16))
    async with line.fetching():

        async def done() -> bool:
            return [row.state for row in await line.media()] == ["fetched"]

        await until(done)
    rows = await line.room.rows("SELECT value FROM outbox WHERE topic = 'messages.received'")
    news = [msgspec.json.decode(row.value, type=Body) for row in rows]
    await line.room.hear(sent, *news)
    assert (await line.files(sent.id))[0]["blob"]


async def test_the_voicemail_of_a_call_stands_where_the_call_does(line: Line) -> None:
    """Its message came first as a missed call: one row, the file of another message."""
    line.endpoint.always("/voicemail", status(200, b"ID3\x04 sound"))
    call: dict[str, Any] = {
        "account": "desk-whatsapp",
        "channel": "phone",
        "reply_window_closes_at": None,
        "thread": Thread(message_id="CA1"),
    }
    missed = message("Missed", kind="call_missed", call=Call(outcome="missed"), **call)
    left = message(
        "Voicemail", kind="voicemail", call=Call(outcome="voicemail"),
        attachments=(photo(line, "/voicemail", content_type="audio/mpeg"),), **call,
    )  # fmt: skip
    await line.hear(missed)
    await line.hear(left)
    async with line.fetching():
        await line.settled("fetched")
    (file,) = await line.files(missed.id)
    assert file["blob"]


# --- whose they are -----------------------------------------------------------------------------


async def test_equal_files_of_two_customers_are_two_blobs(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    one = with_files(photo(line))
    two = with_files(photo(line), sender=sender("+31600000002"))
    again = changed(with_files(photo(line)), id=uuid4())
    await line.hear(one, two, again)
    async with line.fetching():
        await line.settled("fetched", "fetched", "fetched")
    refs = [(await line.files(m.id))[0]["blob"]["ref"] for m in (one, two, again)]
    assert refs[0] == refs[2] != refs[1]
    assert len(files_of(line.runtime.blobs.root)) == 2


async def test_a_file_that_comes_after_its_words_were_forgotten_goes(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    sent = with_files(photo(line))
    await line.hear(sent)
    await line.run("UPDATE messages SET data = '{\"forgotten\": true}' WHERE id = :id", id=sent.id)
    await line.run("DELETE FROM media")  # as `wiping` does
    await line.note((sent, b"k" * 16))
    async with line.fetching():
        await line.settled("fetched")
    assert len(files_of(line.runtime.blobs.root)) == 1
    line.room.clock.at = after(days=1)
    await doomed.remove_doomed(line.room.runtime)
    assert files_of(line.runtime.blobs.root) == {}


async def test_an_erasure_reaches_what_is_still_on_its_way(line: Line) -> None:
    """One file was not fetched yet, of the other the router had not heard when she was erased."""
    line.endpoint.always("/photo", status(200, PNG))
    line.endpoint.always("/later", status(503))
    sent = with_files(photo(line), photo(line, "/later", name="zebrafish.png"))
    await line.hear(sent)
    async with line.fetching():

        async def half() -> bool:
            return {row.state for row in await line.media()} == {"fetched", "waiting"}

        await until(half)
    room = line.room
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="admin", agent="root"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, routers(room.handlers))),
        base_url="http://regie",
        headers={"Authorization": f"Bearer {key}"},
    ) as admin:
        await erase(room, admin, await owner(room, "e164:+31612345678"))
    assert await line.media() == []
    await line.news()
    await doomed.remove_doomed(room.runtime)
    assert files_of(line.runtime.blobs.root) == {}
    words = ["zebrafish", sent.attachments[0].url.lower()]
    assert holding(await rows_of(room.engine), words) == {}


async def test_retention_removes_what_was_fetched(line: Line) -> None:
    line.endpoint.always("/photo", status(200, PNG))
    sent = with_files(photo(line))
    await line.hear(sent)
    async with line.fetching():
        await line.settled("fetched")
    source = line.room.handlers.policies.current.text
    old = next(each for each in source.splitlines() if each.startswith("retention:"))
    policy = Policy.parse(source.replace(old, "retention: {attachments: 10d, log: 7d}"), "p")
    line.room.handlers.policies.adopt(policy.with_version(2))
    line.room.clock.at = after(days=11)
    await Retention(line.room.handlers).work()
    assert files_of(line.runtime.blobs.root) == {}
    assert "blob" not in (await line.files(sent.id))[0]


async def test_most_messages_are_not_taken_apart_for_it(line: Line) -> None:
    await line.hear(message("no file"), with_files(Attachment(name="a", content_type="b")))
    assert await line.media() == []
