"""Rates of providers, kept by any number of senders together, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.notifier import limits
from shared.database import transaction
from shared.events import Identity
from tests.builders import NOON, after
from tests.fakes.endpoint import Behaviour, Request, hang, status, trickle
from tests.notifying import MESSAGES, Notifying, notifying, texts, whatsapp
from tests.rooms import SetClock
from tests.waiting import until

PAIR = timedelta(seconds=6.25)
TWO_NUMBERS = """
accounts:
  desk-whatsapp: &number
    channel: whatsapp
    provider: meta
    phone_number_id: "106540352242922"
    app_secret: s
    verify_token: v
    access_token: t
    api_base: {url}
    rate: {{account: 20/1s, recipient: 1/6s}}
  other-whatsapp:
    channel: whatsapp
    provider: meta
    phone_number_id: "206540352242922"
    app_secret: s
    verify_token: v
    access_token: t
    api_base: {url}
"""
OTHER = "/v23.0/206540352242922/messages"


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path, accounts=TWO_NUMBERS) as room:
        room.endpoint.always(OTHER, whatsapp())
        yield room


class RunningClock(SetClock):
    """Goes as fast as the real one."""

    def __init__(self, at: datetime = NOON) -> None:
        super().__init__(at)
        self._began = time.monotonic()

    def __call__(self) -> datetime:
        return self.at + timedelta(seconds=time.monotonic() - self._began)


def reader(number: int) -> Identity:
    return Identity(scheme="e164", value=f"+316{number:08}")


def strict(count: int, span: float, refused: list[float]) -> Behaviour:
    """A provider that counts, and refuses what is more than `count` in any `span`."""
    taken: list[float] = []

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        now = time.monotonic()
        if sum(at > now - span for at in taken) >= count:
            refused.append(now)
            await status(429)(request, writer)
        else:
            taken.append(now)
            await whatsapp()(request, writer)

    return behave


async def test_senders_together_keep_to_a_rate_that_the_provider_counts(
    database_url: str, tmp_path: Path
) -> None:
    clock, refused = RunningClock(), list[float]()
    async with notifying(database_url, tmp_path, accounts=TWO_NUMBERS, clock=clock) as room:
        # A busy machine may delay a call by a fifth of a second, but not the other forty.
        room.endpoint.always(MESSAGES, strict(20, 0.8, refused))
        cases = [await room.open_case() for _ in range(60)]
        await room.hear(*(room.reply(case, recipient=reader(n)) for n, case in enumerate(cases)))
        began = time.monotonic()
        async with room.sending(count=3):
            await room.settled(*["sent"] * 60)
        took = time.monotonic() - began
    assert refused == []
    assert took > 2.0  # 20 at once, and 40 in two seconds more
    assert len(room.endpoint.at(MESSAGES)) == 60


async def test_a_reader_is_not_written_to_faster_and_nobody_waits_for_them(
    room: Notifying,
) -> None:
    ada, again, bob = [await room.open_case() for _ in range(3)]
    await room.hear(
        room.reply(ada, "1", recipient=reader(1)),
        room.reply(ada, "2", recipient=reader(1)),
        room.reply(again, "3", recipient=reader(1)),
        room.reply(bob, "4", recipient=reader(2)),
        room.reply(bob, "5", recipient=reader(1), account="other-whatsapp"),
    )
    async with room.sending():
        await until(lambda: sent(room, 3))
        assert len(room.endpoint.at(OTHER)) == 1  # the other number has a limit of its own
        first = set(texts(room.endpoint))
        assert "4" in first
        assert len(first & {"1", "3"}) == 1
        room.clock.at += PAIR - timedelta(milliseconds=1)
        await asks_in_vain(room)
        room.clock.at += timedelta(milliseconds=1)
        await until(lambda: sent(room, 4))
        room.clock.at += PAIR
        await room.settled(*["sent"] * 5)
    words = texts(room.endpoint)
    assert words.index("1") < words.index("2")  # a case's own order stands


async def sent(room: Notifying, count: int) -> bool:
    return (await room.states()).count("sent") == count


async def asks_in_vain(room: Notifying) -> None:
    """Something that must not happen had its chance: another delivery came and went."""
    before = len(room.endpoint.at(MESSAGES))
    case = await room.open_case()
    await room.hear(room.reply(case, "meanwhile", account="other-whatsapp"))
    count = len(room.endpoint.at(OTHER)) + 1
    await room.endpoint.received(count, OTHER)
    await room.run("DELETE FROM deliveries WHERE case_id = :case", case=case)
    assert len(room.endpoint.at(MESSAGES)) == before


async def test_a_provider_that_asks_for_silence_gets_it_from_the_whole_account(
    room: Notifying,
) -> None:
    cases = [await room.open_case() for _ in range(4)]
    room.endpoint.script(MESSAGES, status(429, retry_after="90"))
    await room.hear(room.reply(cases[0], recipient=reader(0)))
    async with room.sending(count=2):
        await room.tried(1)
        await room.hear(
            room.reply(cases[1], recipient=reader(1)),
            room.reply(cases[2], recipient=reader(2)),
            room.reply(cases[3], recipient=reader(3), account="other-whatsapp"),
        )
        await room.settled("pending", "pending", "pending", "sent")
        room.clock.at += timedelta(seconds=89)
        await asks_in_vain(room)
        room.clock.at += timedelta(seconds=1)
        await room.settled(*["sent"] * 4)
    attempts = await room.rows("SELECT attempts FROM deliveries ORDER BY attempts")
    assert [row.attempts for row in attempts] == [1, 1, 1, 2]  # they waited unread


async def test_a_word_about_one_reader_silences_no_other(room: Notifying) -> None:
    cases = [await room.open_case() for _ in range(2)]
    pair = b'{"error": {"code": 131056, "message": "(#131056) Pair rate limit hit"}}'
    room.endpoint.script(MESSAGES, status(400, pair))
    await room.hear(room.reply(cases[0], recipient=reader(1)))
    async with room.sending():
        await room.tried(1)
        await room.hear(room.reply(cases[1], recipient=reader(2)))
        await room.settled("pending", "sent")


async def test_a_reply_whose_window_closes_while_its_account_is_silent_is_given_back(
    room: Notifying,
) -> None:
    """Before the silence is over: the agent may still do something else."""
    first, other = await room.open_case(), await room.open_case()
    room.endpoint.script(MESSAGES, status(429, retry_after="7200"))
    await room.hear(room.reply(first))
    async with room.sending():
        await room.tried(1)
        closes = after(minutes=30)
        await room.hear(
            room.reply(other, recipient=reader(2), reply_window_closes_at=closes),
            room.reply(other, "template", template="t", reply_window_closes_at=closes),
        )
        room.clock.at = closes
        await until(lambda: reported(room, 1))
    (report,) = await room.reports()
    assert (report.case_id, report.status, report.code) == (other, "dropped", "window_closed")
    assert "send a template, or offer a permitted switch" in report.reason
    assert await room.states() == ["pending", "dropped", "pending"]


async def reported(room: Notifying, count: int) -> bool:
    return len(await room.reports()) == count


async def test_a_backlog_of_one_account_is_not_read_again_and_again(room: Notifying) -> None:
    cases = [await room.open_case() for _ in range(40)]
    await room.hear(
        *(room.reply(case, recipient=reader(n)) for n, case in enumerate(cases)),
        room.reply(await room.open_case(), "elsewhere", account="other-whatsapp"),
    )
    async with room.sending():
        await until(lambda: sent(room, 21))
    rows = await room.rows("SELECT next_at FROM deliveries WHERE state = 'pending'")
    assert len(rows) == 20
    # untouched: put off one by one they would have other times
    assert {row.next_at for row in rows} == {NOON}


async def test_limits_that_are_long_over_are_forgotten(room: Notifying) -> None:
    case = await room.open_case()
    await room.hear(room.reply(case))
    async with room.sending():
        await room.settled("sent")
    (names,) = [{row.name for row in await room.rows("SELECT name FROM paces")}]
    assert len(names) == 2
    assert not any("31612345678" in name for name in names)
    for hours, left in ((23, 2), (25, 0)):
        async with transaction(room.runtime.engine) as connection:
            await limits.forget(connection, NOON + timedelta(hours=hours - 24))
        assert len(await room.rows("SELECT name FROM paces")) == left


async def test_fifty_good_targets_are_quick_beside_three_bad_ones(
    database_url: str, tmp_path: Path
) -> None:
    async with notifying(database_url, tmp_path, clock=RunningClock()) as room:
        room.endpoint.always("/dead", hang())
        room.endpoint.always("/trickling", trickle(500))
        room.endpoint.always("/slow", slow(1.0))
        bad = [room.webhook(path) for path in ("/dead", "/trickling", "/slow")]
        cases = [await room.open_case() for _ in range(20)]
        for _ in range(10):
            await room.hear(*(room.warning(case, *bad) for case in cases))
        async with room.sending(timeout=60, drain=0):
            await room.endpoint.received(2, "/dead")
            good = [room.webhook(f"/good{n}") for n in range(50)]
            began = time.monotonic()
            await room.hear(*(room.warning(case, *good) for case in cases[:4]))
            for target in good:
                await room.endpoint.received(4, target.address.removeprefix(room.endpoint.url))
            took = time.monotonic() - began
    assert took < 10.0, f"{took:.1f} s for 200 calls to good targets"
    assert len(room.endpoint.at("/dead")) <= 4


def slow(seconds: float) -> Behaviour:
    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await status(200)(request, writer)

    return behave
