"""Sending again: one, some, a span, all that was missed; under the ids there were."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier import letters, replaying
from shared.database import transaction
from tests.builders import NOON
from tests.fakes.endpoint import status
from tests.subscribing import LIVES, Subscribing, subscribing


@pytest.fixture
async def desk(database_url: str, tmp_path: Path) -> AsyncIterator[Subscribing]:
    async with subscribing(database_url, tmp_path) as desk:
        yield desk


def seqs(desk: Subscribing) -> list[int]:
    return sorted(request.json()["data"]["seq"] for request in desk.endpoint.at("/hook"))


async def replay(desk: Subscribing, made: dict[str, Any], **body: Any) -> Any:
    path = f"/subscriptions/{made['id']}/replay"
    begun = await desk.ask("POST", path, json=body)
    await desk.replayed()
    return begun


async def test_what_a_disabled_endpoint_missed_is_sent_on_demand(desk: Subscribing) -> None:
    made = await desk.subscribe("case.*")
    path = f"/subscriptions/{made['id']}"
    case = await desk.case()
    await desk.happen(2, case=case)
    async with desk.room.sending():
        await desk.settled("sent", "sent")
        desk.endpoint.script("/hook", status(410))
        await desk.happen(1, case=case)
        await desk.settled("sent", "sent", "failed")
        await desk.happen(3, case=case)
        await desk.ask("PATCH", path, json={"enabled": True})
        await desk.happen(1, case=case)
        await desk.settled("sent", "sent", "sent", "failed")
        shown = await desk.ask("GET", path)
        assert (shown["enabled"], shown["disabled_reason"], shown["missed_after"]) == (
            True, "", "3",
        )  # fmt: skip
        await replay(desk, made)
        await desk.settled(*["sent"] * 7)
    assert seqs(desk) == [1, 2, 3, 3, 4, 5, 6, 7]
    third = [r for r in desk.endpoint.at("/hook") if r.json()["data"]["seq"] == 3]
    assert third[0].id == third[1].id
    assert (await desk.ask("GET", path))["missed_after"] is None
    (listed,) = (await desk.ask("GET", f"{path}/replays"))["items"]
    assert (listed["planned"], listed["done_at"] is not None) == (4, True)
    await replay(desk, made)
    assert (await desk.ask("GET", f"{path}/replays"))["items"][0]["planned"] == 0


async def test_switched_off_by_its_owner_it_keeps_its_events_too(desk: Subscribing) -> None:
    made = await desk.subscribe()
    path = f"/subscriptions/{made['id']}"
    await desk.happen(2)
    await desk.ask("PATCH", path, json={"enabled": False})
    await desk.happen(2)
    await desk.tidied()
    assert await desk.states() == ["failed", "failed"]
    shown = await desk.ask("GET", path)
    assert shown["disabled_reason"] == "switched off by admin"
    await desk.ask("PATCH", path, json={"enabled": True})
    await replay(desk, made)
    async with desk.room.sending():
        await desk.settled(*["sent"] * 4)


async def test_a_span_is_sent_whatever_became_of_it(desk: Subscribing) -> None:
    made = await desk.subscribe("case.*")
    case = await desk.case()
    for _ in range(4):
        await desk.happen(case=case)
        desk.room.clock.at += timedelta(hours=1)
    async with desk.room.sending():
        await desk.settled(*["sent"] * 4)
        times = [NOON + timedelta(minutes=m) for m in (30, 150)]
        span = {"from": times[0].isoformat(), "to": times[1].isoformat()}
        begun = await replay(desk, made, **span)
        assert begun["from"] == "2026-11-17T09:30:00Z"
        await desk.endpoint.received(6, "/hook")
        await desk.settled(*["sent"] * 4)
    assert seqs(desk) == [1, 2, 2, 3, 3, 4]
    assert len({request.id for request in desk.endpoint.at("/hook")}) == 4


async def test_a_new_subscription_may_have_what_was_before_it(desk: Subscribing) -> None:
    await desk.happen(3)
    made = await desk.subscribe()
    await replay(desk, made)
    assert await desk.states() == [], "it missed nothing"
    await replay(desk, made, **{"from": NOON.isoformat()})
    assert await desk.states() == ["pending"] * 3


async def test_single_deliveries_by_either_id(desk: Subscribing) -> None:
    made = await desk.subscribe()
    other = await desk.subscribe(path="/other")
    desk.endpoint.always("/hook", status(400))
    await desk.happen(2)
    async with desk.room.sending():
        await desk.endpoint.received(2, "/hook")
        await desk.endpoint.received(2, "/other")
        await desk.room.run("UPDATE deliveries SET next_at = 'infinity' WHERE state = 'pending'")
    await desk.ask("PATCH", f"/subscriptions/{made['id']}", json={"enabled": False})
    await desk.tidied()
    await desk.ask("PATCH", f"/subscriptions/{made['id']}", json={"enabled": True})
    desk.endpoint.always("/hook", status(200))
    one, two = (request.id for request in desk.endpoint.at("/hook")[:2])
    again = await desk.ask("POST", f"/deliveries/{one}/replay")
    assert (again["state"], again["subscription_id"]) == ("pending", made["id"])
    await desk.refused(409, "POST", f"/deliveries/{one}/replay")
    begun = await replay(desk, made, ids=[str(UUID(two.removeprefix("msg_")))])
    assert begun["planned"] == 1
    async with desk.room.sending():
        await desk.settled(*["sent"] * 4)
    not_its = await desk.refused(
        409, "POST", f"/subscriptions/{other['id']}/replay", json={"ids": [one]}
    )
    assert not_its["ids"] == [one]
    await desk.refused(404, "POST", f"/deliveries/{uuid4()}/replay")
    await desk.refused(422, "POST", "/deliveries/x/replay")
    wrongs: list[dict[str, Any]] = [
        {"ids": [one], "from": NOON.isoformat()}, {"to": NOON.isoformat()},
        {"from": "2026-11-17T09:00:00"}, {"ids": []},
    ]  # fmt: skip
    for wrong in wrongs:
        await desk.refused(422, "POST", f"/subscriptions/{made['id']}/replay", json=wrong)


async def test_a_replay_begins_its_tries_anew(desk: Subscribing) -> None:
    await desk.subscribe()
    desk.endpoint.always("/hook", status(500))
    await desk.happen()
    async with desk.room.sending():
        await desk.room.tried(1)
        desk.room.clock.at += timedelta(seconds=5)
        await desk.room.tried(2)
        await desk.room.run("UPDATE deliveries SET state = 'failed', ended_at = next_at")
        (row,) = await desk.room.rows("SELECT id FROM deliveries")
        await desk.ask("POST", f"/deliveries/{row.id}/replay")
        await desk.room.tried(3)
    (row,) = await desk.room.rows("SELECT next_at FROM deliveries")
    assert row.next_at == desk.room.clock.at + timedelta(seconds=5)


async def test_what_the_feed_keeps_no_longer_is_not_sent(desk: Subscribing) -> None:
    made = await desk.subscribe()
    await desk.happen()
    async with desk.room.sending():
        await desk.settled("sent")
    (row,) = await desk.room.rows("SELECT id FROM deliveries")
    await desk.room.run("DELETE FROM feed")
    await desk.refused(409, "POST", f"/deliveries/{row.id}/replay")
    await replay(desk, made, **{"from": NOON.isoformat()})
    assert await desk.states() == ["sent"]
    desk.room.clock.at += LIVES + timedelta(seconds=1)
    await desk.tidied()
    assert await desk.states() == []
    assert await desk.room.rows("SELECT * FROM attempts") == []


async def test_the_operators_letter_counts_and_replays_all_of_a_subscription(
    desk: Subscribing,
) -> None:
    made = await desk.subscribe()
    desk.endpoint.always("/hook", status(503))
    await desk.happen(3)
    await desk.room.run("UPDATE deliveries SET attempts = 9")  # their tenth and last try
    async with desk.room.sending():
        await desk.settled(*["failed"] * 3)
    (letter,) = await desk.room.rows("SELECT * FROM dead_letters")
    assert (letter.id, letter.count, letter.state) == (UUID(made["id"]), 3, "waiting")
    assert "http_503" in letter.reason
    assert b"tracking" not in bytes(letter.value)
    desk.endpoint.always("/hook", status(200))
    async with transaction(desk.room.runtime.engine) as connection:
        await letters.replay(connection, letter.id, desk.room.clock())
    await desk.replayed()
    async with desk.room.sending():
        await desk.settled(*["sent"] * 3)
    (letter,) = await desk.room.rows("SELECT state FROM dead_letters")
    assert letter.state == "replayed"


async def test_a_long_replay_goes_in_steps_and_sends_nothing_twice(desk: Subscribing) -> None:
    made = await desk.subscribe()
    case = await desk.case()
    await desk.ask("PATCH", f"/subscriptions/{made['id']}", json={"enabled": False})
    for _ in range(3):
        await desk.happen(replaying.STEP // 2, case=case)
    await desk.ask("PATCH", f"/subscriptions/{made['id']}", json={"enabled": True})
    await desk.happen(10, case=case)
    await desk.ask("POST", f"/subscriptions/{made['id']}/replay")
    await desk.ask("POST", f"/subscriptions/{made['id']}/replay")
    await desk.replayed()
    planned = [
        each["planned"]
        for each in (await desk.ask("GET", f"/subscriptions/{made['id']}/replays"))["items"]
    ]
    assert sorted(planned) == [0, replaying.STEP // 2 * 3]
    (row,) = await desk.room.rows("SELECT count(*) AS n, count(DISTINCT seq) AS m FROM deliveries")
    assert (row.n, row.m) == (replaying.STEP // 2 * 3 + 10,) * 2
