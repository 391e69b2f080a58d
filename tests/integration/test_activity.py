"""When an account last had something come in, go out or fail: true whatever process is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from shared import activity
from shared.activity import Activity, Gone
from shared.database import connect, transaction
from shared.events import DeliveryStatusReceived
from tests.builders import NOON, message
from tests.fakes.endpoint import status
from tests.notifying import MESSAGES, Notifying, notifying
from tests.rooms import Room, make_room
from tests.waiting import BOUND

DESK = "desk-whatsapp"


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def notifier(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path) as notifier:
        yield notifier


async def known(url: str) -> dict[str, Activity]:
    """As a process sees it that did none of it."""
    engine = connect(url)
    try:
        async with transaction(engine) as connection:
            return await activity.read(connection)
    finally:
        await engine.dispose()


async def test_what_came_in_is_known_after_a_restart(room: Room, database_url: str) -> None:
    later = NOON + timedelta(minutes=5)
    room.clock.at = later
    await room.hear(message(received_at=later), message(account="support-mail"))
    await room.hear(message(received_at=NOON))  # late out of the log
    found = await known(database_url)
    assert found[DESK].last_in == later
    assert found["support-mail"].last_in == NOON


async def test_a_status_came_in_too(room: Room, database_url: str) -> None:
    status = DeliveryStatusReceived(
        id=uuid4(), account=DESK, provider_id="wamid.x", status="delivered", at=NOON
    )
    await room.report(status)
    assert (await known(database_url))[DESK].last_in == NOON


async def test_what_went_out_and_what_did_not(notifier: Notifying, database_url: str) -> None:
    case = await notifier.open_case()
    async with notifier.sending():
        await notifier.hear(notifier.reply(case))
        await notifier.settled("sent")
        found = (await known(database_url))[DESK]
        assert (found.last_out, found.failed_at) == (NOON, None)
        notifier.clock.at = later = NOON + timedelta(minutes=1)
        notifier.endpoint.always(MESSAGES, status(401))
        await notifier.hear(notifier.reply(case))
        await notifier.settled("sent", "failed")
    found = (await known(database_url))[DESK]
    assert (found.last_out, found.failed_at, found.code) == (NOON, later, "token")
    assert found.reason


async def test_a_reason_keeps_nobodys_address(room: Room, database_url: str) -> None:
    said = "To +31 6 1234 5678 and jo@example.org: 131047, 10/2018278 (HTTP 400)"
    async with transaction(room.engine) as connection:
        await activity.went_out(connection, [Gone(DESK, NOON, "rejected", said)])
    assert (await known(database_url))[DESK].reason == "To … and …: 131047, 10/2018278 (HTTP 400)"


async def test_nobody_waits_for_a_row(room: Room, database_url: str) -> None:
    """Two routers with the same account go on side by side, in whatever order they name them."""
    async with transaction(room.engine) as one:
        await activity.came_in(one, [(DESK, NOON), ("support-mail", NOON)])
    async with asyncio.timeout(BOUND), transaction(room.engine) as one:
        await activity.came_in(one, [(DESK, NOON + timedelta(seconds=1))])
        async with transaction(room.engine) as other:
            seconds = NOON + timedelta(seconds=2)
            await activity.came_in(other, [("support-mail", seconds), (DESK, seconds)])
    found = await known(database_url)
    assert found["support-mail"].last_in == NOON + timedelta(seconds=2)
    assert found[DESK].last_in == NOON + timedelta(seconds=1)
