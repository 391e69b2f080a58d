"""The notifier as a real process, killed in the middle of ten thousand deliveries, and counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from services.notifier.slots import EACH, TOTAL
from tests.e2e.process import Regie, example_env
from tests.fakes.endpoint import Behaviour, Request, status
from tests.notifying import ACCOUNTS, MESSAGES, Notifying, notifying, texts
from tests.waiting import until

EACH_SORT = 5_000
CASES = 1_000
KILLS = (1_500, 4_000, 7_000)  # after so many calls
POLICY = """
teams: {{parcels: {{notify: [{{webhook: "{url}/parcels"}}]}}}}
calendars: {{always: {{hours: 24/7}}}}
routing: [{{name: all, team: parcels}}]
service_levels: [{{name: all, calendar: always, first_response: 1h}}]
"""


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Notifying]:
    async with notifying(database_url, tmp_path, datetime.now(UTC)) as room:
        room.endpoint.always(MESSAGES, takes_a_moment())
        yield room


def takes_a_moment() -> Behaviour:
    """A provider that takes 20 ms, so that a kill finds calls under way, and names each message."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        body = f'{{"messages": [{{"id": "wamid.{uuid4().hex}"}}]}}'
        await status(200, body.encode())(request, writer)

    return behave


def notifier(room: Notifying, database_url: str, folder: Path) -> Regie:
    accounts, policy = folder / "channels.yaml", folder / "policy.yaml"
    accounts.write_text(ACCOUNTS.format(url=room.endpoint.url))
    policy.write_text(POLICY.format(url=room.endpoint.url))
    env = example_env(
        REGIE_DATABASE_URL=database_url,
        REGIE_CHANNELS_FILE=str(accounts),
        REGIE_POLICY_FILE=str(policy),
    )
    return Regie(folder / "data", env, ("notifier",))


async def plan(room: Notifying) -> list[UUID]:
    """Five thousand webhooks and five replies each for a thousand cases."""
    cases = await room.open_cases(CASES)
    for n in range(EACH_SORT // CASES):
        for start in range(0, CASES, 500):
            part = cases[start : start + 500]
            await room.hear(*(room.breach(case) for case in part))
            await room.hear(*(room.reply(case, f"{case} {n}") for case in part))
    return cases


async def calls(room: Notifying, count: int) -> bool:
    return len(room.endpoint.requests) >= count


async def over(room: Notifying) -> bool:
    (row,) = await room.rows(
        "SELECT count(*) AS alive FROM deliveries WHERE state IN ('pending', 'sending')"
    )
    return bool(row.alive == 0)


async def reported(room: Notifying) -> set[tuple[str, str]]:
    """What the router is told of each reply: published already, or about to be."""
    rows = await room.rows(
        "SELECT value FROM log_record WHERE topic = 'deliveries.reported' "
        "UNION ALL SELECT value FROM outbox WHERE topic = 'deliveries.reported'"
    )
    told = (msgspec.json.decode(row.value) for row in rows)
    return {(each["delivery_id"], each["status"]) for each in told}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_ten_thousand_deliveries_and_three_kills(
    room: Notifying, database_url: str, tmp_path: Path
) -> None:
    cases = await plan(room)
    regie = notifier(room, database_url, tmp_path)
    in_flight = Counter[str]()
    try:
        for count in KILLS:
            await regie.start(ready=False)
            await until(partial(calls, room, count), bound=60)
            await regie.kill()
            rows = await room.rows(
                "SELECT effect FROM deliveries WHERE state = 'sending' AND lease_until > now()"
            )
            in_flight.update(row.effect for row in rows)
            # As if the minute of their leases were over.
            await room.run("UPDATE deliveries SET lease_until = now() WHERE state = 'sending'")
        await regie.start(ready=False)
        # Webhooks that were under way come again after their wait of five seconds.
        await until(partial(over, room), bound=90)
        assert await regie.stop() == 0
    finally:
        if regie.process is not None and regie.process.returncode is None:
            await regie.kill()

    assert in_flight["reply"] > 0
    assert in_flight["breach"] > 0
    rows = await room.rows("SELECT id, effect, state FROM deliveries")
    states = Counter((row.effect, row.state) for row in rows)
    # Webhooks: each at least once, under its own id; again only what nobody had recorded.
    assert states["breach", "sent"] == EACH_SORT
    heard = Counter(request.id for request in room.endpoint.at("/parcels"))
    assert set(heard) == {f"msg_{row.id.hex}" for row in rows if row.effect == "breach"}
    assert sum(heard.values()) - EACH_SORT <= in_flight["breach"] <= len(KILLS) * TOTAL
    # Replies: at most once, and what is doubtful is exactly what was under way.
    told = Counter(texts(room.endpoint))
    assert set(told.values()) == {1}
    assert states["reply", "unknown"] == in_flight["reply"] <= len(KILLS) * EACH
    assert states["reply", "sent"] == EACH_SORT - in_flight["reply"]
    assert states["reply", "sent"] <= len(told) <= EACH_SORT
    for case in cases:
        order = [words for words in told if words.startswith(str(case))]
        assert order == sorted(order)
    assert Counter(status for _, status in await reported(room)) == {
        "sent": states["reply", "sent"],
        "unknown": states["reply", "unknown"],
    }
