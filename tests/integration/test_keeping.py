"""What is held of a person given out whole; and what the policy keeps no longer."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.router.api import routers
from services.router.rights.retention import Retention
from shared.api_keys import Grant, create
from shared.blobs import blob_for
from shared.database import transaction
from shared.web.app import make_app
from tests.builders import after, message
from tests.past import (
    WORDS,
    bob,
    close,
    kept,
    live,
)
from tests.people import who
from tests.rooms import Room, make_room
from tests.scanning import files_of, holding, rows_of


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def admin(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    async with transaction(room.engine) as connection:
        key = await create(connection, Grant(role="admin", agent="root"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(room.runtime, routers(room.handlers))),
        base_url="http://regie",
        headers={"Authorization": f"Bearer {key}"},
    ) as client:
        yield client


# --- export --------------------------------------------------------------------------------------


async def test_the_export_holds_everything(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    answer = await admin.post(f"/v1/customers/{customer}/export")
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    texts = {
        name: archive.read(name).decode(errors="replace").lower() for name in archive.namelist()
    }
    assert [word for word in WORDS if not any(word in body for body in texts.values())] == []
    document = json.loads(archive.read("data.json"))
    (message_row,) = [m for m in document["messages"] if m["subject"] == "About oregano"]
    assert message_row["text"] == "whole zebrafish"
    for file in message_row["data"]["attachments"]:
        assert file["file"] in texts
    assert len(document["customers"]) == 2, "what was merged into it, too"
    alone = await admin.post(
        f"/v1/customers/{customer}/export", headers={"Accept": "application/json"}
    )
    assert alone.json()["cases"] == document["cases"]
    assert list(room.runtime.blobs.root.glob("tmp*")) == []


async def test_an_export_of_more_rows_than_are_held_at_once_is_whole(
    room: Room, admin: httpx.AsyncClient
) -> None:
    customer, _ = await bob(room)
    for n in range(120):
        sent = message(f"and {n}", sender=who("e164:+31600000001"), at=after(minutes=n + 1))
        await room.hear(sent)
    answer = await admin.post(
        f"/v1/customers/{customer}/export", headers={"Accept": "application/json"}
    )
    found = answer.json()["messages"]
    assert [m["text"] for m in found] == ["Where is mine?", *(f"and {n}" for n in range(120))]


async def test_who_may(room: Room, admin: httpx.AsyncClient) -> None:
    customer, _ = await bob(room)

    async def status(role: Any, method: str, path: str) -> int:
        async with transaction(room.engine) as connection:
            key = await create(connection, Grant(role=role, agent=role))
        headers = {"Authorization": f"Bearer {key}"}
        url = f"/v1/customers/{customer}{path}"
        return (await admin.request(method, url, headers=headers)).status_code

    assert [await status(r, "POST", "/export") for r in ("agent", "supervisor")] == [403, 200]
    for method, path in (("DELETE", "?reason=x"), ("POST", "/keep")):
        assert await status("supervisor", method, path) == 403
    assert (await room.rows("SELECT count(*) FROM erasures"))[0][0] == 0
    assert (await admin.delete(f"/v1/customers/{customer}")).status_code == 422, "say why"
    missing = await admin.delete(f"/v1/customers/{uuid4()}", params={"reason": "x"})
    assert missing.status_code == 404


# --- retention -----------------------------------------------------------------------------------


# What is on its way, or waits for an operator, has its own end.
_BESIDE_CASES = frozenset(("log_record", "outbox", "dead_letters"))


async def under(room: Room, retention: str) -> None:
    """The same policy but for what it keeps."""
    source = room.handlers.policies.current.text
    line = next(each for each in source.splitlines() if each.startswith("retention:"))
    from services.router.policy import Policy

    policy = Policy.parse(source.replace(line, f"retention: {retention}"), "p").with_version(2)
    room.handlers.policies.adopt(policy)


async def test_words_go_when_the_policy_keeps_them_no_longer(
    room: Room, admin: httpx.AsyncClient
) -> None:
    await live(room)
    _, open_case = await bob(room)
    await close(room, open_case)
    await under(room, "{messages: 30d, log: 7d}")
    room.clock.at = after(days=29)
    await Retention(room.handlers).work()
    assert (await room.rows("SELECT count(*) FROM messages WHERE data ? 'forgotten'"))[0][0] == 0
    room.clock.at = after(days=31)
    await Retention(room.handlers).work()
    left = holding(await rows_of(room.engine, besides=_BESIDE_CASES), WORDS)
    known = {"quillfeather", "31687654321", "ada.quill@"}  # the customer is known as before
    gone = {"kumquat", "zebrafish", "marmalade", "fenugreek", "sorrel", "borage", "oregano"}
    assert not {word for words in left.values() for word in words} & gone, left
    assert "identities" in left
    assert left["identities"] <= known
    (row,) = await room.rows("SELECT text FROM messages WHERE case_id = :b", b=open_case)
    assert row.text == "Where is mine?", "an open case keeps its words"
    events = await room.rows("SELECT count(*) FROM case_events WHERE type = 'case.forgotten'")
    await Retention(room.handlers).work()
    assert events == await room.rows(
        "SELECT count(*) FROM case_events WHERE type = 'case.forgotten'"
    ), "once"


async def test_files_and_raw_items_go_by_their_own_time(room: Room) -> None:
    await live(room)
    await bob(room)
    await under(room, "{attachments: 10d, raw: 5d, log: 7d}")
    room.clock.at = after(days=6)
    await Retention(room.handlers).work()
    raw, file = blob_for(b"raw tamarind").ref, blob_for(b"file saffron").ref
    blobs = room.runtime.blobs
    assert (await blobs.get(raw), await blobs.get(file)) == (None, b"file saffron")
    assert (await room.rows("SELECT count(*) FROM messages WHERE data ? 'raw'"))[0][0] == 0
    room.clock.at = after(days=11)
    await Retention(room.handlers).work()
    assert await blobs.get(file) is None
    assert await blobs.get(blob_for(b"whole zebrafish").ref), "words are not files"
    (row,) = await room.rows(
        "SELECT data -> 'attachments' -> 0 AS file FROM messages WHERE subject = 'About oregano'"
    )
    assert row.file["name"] == "sumac.txt"
    assert "blob" not in row.file


async def test_bytes_that_no_row_names_go_once_the_log_can_hold_nothing_of_them(
    room: Room,
) -> None:
    await live(room)
    stray, fresh = await kept(room, b"an event that never came", b"an event on its way")
    named = blob_for(b"file saffron")
    blobs, old = room.runtime.blobs, time.time() - 30 * 86_400
    for blob in (stray, named):
        os.utime(blobs.root / blob.ref, (old, old))
    for blob in (stray, fresh, named):
        await Retention(room.handlers, _folder=int(blob.ref[:2], 16)).work()
    assert await blobs.get(stray.ref) is None
    assert await blobs.get(fresh.ref)
    assert await blobs.get(named.ref)


async def test_bytes_that_somebody_puts_again_are_not_removed(room: Room) -> None:
    (blob,) = await kept(room, b"again and again")
    blobs = room.runtime.blobs
    since = (blobs.root / blob.ref).stat().st_mtime
    assert await blobs.remove(blob.ref, since - 10) is False
    assert await blobs.get(blob.ref) == b"again and again"
    assert await blobs.remove(blob.ref, since + 10) is True
    assert await blobs.get(blob.ref) is None
    assert files_of(blobs.root) == {}
