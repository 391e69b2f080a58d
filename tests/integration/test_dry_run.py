"""A policy tried on history that the real handlers and the real clock made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from services.router import commands as cmd
from services.router.policy import Policy
from services.router.service import service
from services.router.trial.dry_run import dry_run
from services.router.trial.history import open_archive
from services.router.trial.report import Report
from shared.api_keys import Grant
from shared.database import transaction
from shared.sessions import close_session, open_session
from tests.builders import EXAMPLE, NOON, after, mail, message, sender
from tests.command import said
from tests.doors import ADMIN, Door, make_runtime, open_door
from tests.histories import Past, Town
from tests.rooms import Room, make_room
from tests.waiting import until

SOURCE = EXAMPLE.read_text(encoding="utf-8").partition("\ntests:")[0]
CHAT = "first_response: 1h, next_response: 2h, resolution: 2bd"
TRACKING = 'text.contains("parcel") || text.contains("pakket")'
TABLES = (
    "cases", "case_events", "messages", "deadlines", "timers", "decisions", "outbox", "handoffs",
    "customers", "identities", "policies", "dedupe",
)  # fmt: skip
LINES = {"Accept": "application/x-ndjson"}


@pytest.fixture
async def room(database_url: str, tmp_path: Path) -> AsyncIterator[Room]:
    room = await make_room(database_url, tmp_path)
    yield room
    await room.engine.dispose()


@pytest.fixture
async def door(room: Room, database_url: str, tmp_path: Path) -> AsyncIterator[Door]:
    """A router over the room's database, that serves and does nothing else."""
    runtime = make_runtime(database_url, tmp_path)
    settings = runtime.settings.model_copy(update={"policy_file": str(EXAMPLE)})
    runtime = replace(runtime, settings=settings, now=room.clock)
    async with open_door(runtime, [replace(service(runtime), tasks={}, subscriptions=())]) as door:
        door.http.headers.update(door.headers)
        yield door


def changed(*changes: tuple[str, str]) -> str:
    source = SOURCE
    for old, new in changes:
        assert old in source, f"the example policy no longer says {old!r}"
        source = source.replace(old, new)
    return source


async def tried(url: str, room: Room, source: str = SOURCE, since: Any = NOON) -> Report:
    return await dry_run(url, Policy.parse(source), since, room.clock(), lambda *_: None)


async def case_of(room: Room, text: str) -> UUID:
    (row,) = await room.rows("SELECT case_id FROM messages WHERE text = :text", text=text)
    case_id: UUID = row.case_id
    return case_id


async def two_chats(room: Room) -> tuple[UUID, UUID]:
    """Both at 9:00 UTC, due at 10:00. One is answered at 9:45, the other at 10:15."""
    past = Past(room)
    await room.hear(
        message("my parcel is late", sender=sender("+31600000001")),
        message("my parcel is gone", sender=sender("+31600000002")),
    )
    quick, slow = await case_of(room, "my parcel is late"), await case_of(room, "my parcel is gone")
    for case_id, at in ((quick, after(minutes=45)), (slow, after(minutes=75))):
        await past.pass_until(at)
        reply = await past.reply(case_id)
        await past.sent((case_id, reply))
    await past.pass_until(after(hours=2))
    return quick, slow


# --- the difference -------------------------------------------------------------------------------


async def test_the_policy_in_force_changes_nothing(room: Room, database_url: str) -> None:
    await Town(room).live(steps=20, arrivals=12)
    report = await tried(database_url, room, since=after(days=-1))
    assert report.not_replayed == []
    assert report.same
    (row,) = await room.rows(
        "SELECT (SELECT count(*) FROM case_events) AS events, "
        "(SELECT count(DISTINCT case_id) FROM messages WHERE direction = 'in') AS cases, "
        "(SELECT count(*) FROM case_events WHERE type = 'deadline.breached') AS breaches"
    )
    assert (report.events, report.cases) == (row.events, row.cases)
    assert sum(b.before + b.arrived_late_before for b in report.breaches) == row.breaches > 5
    assert all(b.before == b.after for b in report.breaches)


async def test_a_stricter_level_causes_and_a_milder_one_avoids(
    room: Room, database_url: str
) -> None:
    quick, slow = await two_chats(room)
    strict = await tried(database_url, room, changed((CHAT, "first_response: 40m")))
    assert not strict.same
    (row,) = [b for b in strict.breaches if b.metric == "first_response"]
    assert (row.before, row.after, row.caused.count, row.avoided.count) == (1, 2, 1, 0)
    assert row.caused.examples == [f"/v1/cases/{quick}"]
    first, resolution = strict.deadlines
    assert (first.metric, first.earlier.count, first.earlier.median) == ("first_response", 2, "20m")
    assert (resolution.metric, resolution.dropped.count) == ("resolution", 2)
    teams = {row.team: (row.before, row.after) for row in strict.teams}
    assert teams == {"parcels": (1, 0), "frontdesk": (1, 2)}, "both went to the fallback"

    mild = await tried(database_url, room, changed((CHAT, "first_response: 2h, resolution: 2bd")))
    (row,) = [b for b in mild.breaches if b.metric == "first_response"]
    assert (row.before, row.after, row.caused.count, row.avoided.count) == (1, 0, 0, 1)
    assert row.avoided.examples == [f"/v1/cases/{slow}"]
    assert (mild.deadlines[0].later.count, mild.deadlines[0].later.median) == (2, "1h")
    assert mild.deadlines[1].unchanged == 2


async def test_another_rule_moves_cases_load_and_is_never_matched(
    room: Room, database_url: str
) -> None:
    quick, slow = await two_chats(room)
    await room.hear(mail("a question", after(hours=2)))
    report = await tried(database_url, room, changed((TRACKING, 'text.contains("no such word")')))
    assert report.rerouted.count == 2
    (row,) = report.routing
    assert (row.from_team, row.to_team, row.count) == ("parcels", "frontdesk", 2)
    assert (row.from_rule, row.to_rule) == ("tracking", "everything else")
    assert set(row.examples) == {f"/v1/cases/{quick}", f"/v1/cases/{slow}"}
    load = {row.team: (row.before, row.after) for row in report.load}
    assert report.timezone == "Europe/Amsterdam"
    assert (load["parcels"][0][10], sum(load["parcels"][0])) == (2, 2), "9:00 UTC is 10:00 there"
    assert sum(load["parcels"][1]) == 0
    assert (load["frontdesk"][0][12], load["frontdesk"][1][12]) == (1, 1)
    assert load["frontdesk"][1][10] == 2
    assert report.never_matched.routing == ["missed call", "damage", "tracking"]
    assert "chat" not in report.never_matched.service_levels
    assert "web chat" in report.never_matched.service_levels


async def test_customers_of_another_group_are_told_anew(room: Room, database_url: str) -> None:
    await room.hear(message("hello"))
    group = changed(("groups: {gold: [", 'groups: {gold: ["e164:+31612345678", '))
    report = await tried(database_url, room, group)
    assert "gold chat" not in report.never_matched.service_levels
    assert report.deadlines[0].earlier.median == "45m"
    assert (await tried(database_url, room)).same


async def test_what_people_did_that_the_candidate_refuses_is_told(
    room: Room, database_url: str
) -> None:
    await room.hear(message("hello"))
    case_id = await case_of(room, "hello")
    offer = UUID(int=7)
    transfer = cmd.OfferHandoff(handoff_id=offer, agent="jo", reason="agent", to_team="privacy")
    await Past(room).ask([(case_id, transfer), (case_id, cmd.AcceptHandoff(offer, "sam"))])
    without = changed(("  privacy: {calendar: office, confidential: true}\n", ""))
    report = await tried(database_url, room, without)
    assert [(row.asked, row.count) for row in report.not_replayed] == [
        ("handoff.offered", 1),
        ("handoff.accepted", 1),
    ]
    assert "privacy" in report.not_replayed[0].reason
    assert report.not_replayed[0].examples == [f"/v1/cases/{case_id}"]
    assert (await tried(database_url, room)).same


async def test_since_is_by_receipt_and_cases_are_replayed_whole(
    room: Room, database_url: str
) -> None:
    past = Past(room)
    received = after(days=1, seconds=3)
    await room.hear(message("my parcel is late"), message("old", sender=sender("+31600000001")))
    case_id = await case_of(room, "my parcel is late")
    room.clock.at = after(minutes=5)
    await past.sent((case_id, await past.reply(case_id)))
    await past.pass_until(received)
    await room.hear(message("still late", after(days=1), received_at=received))
    tight = changed((CHAT, "first_response: 40m, next_response: 1h, resolution: 2bd"))
    report = await tried(database_url, room, tight, since=received)
    assert (report.cases, report.messages) == (1, 1)
    by_metric = {row.metric: row.earlier.count for row in report.deadlines}
    assert by_metric == {"next_response": 1}, "the first response was promised before"
    assert report.teams[0].routed_before == 0
    later = await tried(database_url, room, tight, since=received + timedelta(microseconds=1))
    assert (later.cases, later.events, later.same) == (0, 0, True)
    everything = await tried(database_url, room, tight)
    assert everything.cases == 2


# --- writing nothing ------------------------------------------------------------------------------


async def test_it_writes_nothing_and_could_not(room: Room, database_url: str) -> None:
    await two_chats(room)
    query = " UNION ALL ".join(
        f"SELECT '{t}', count(*), coalesce(sum(hashtext({t}::text)::bigint), 0) FROM {t}"
        for t in TABLES
    )
    before = await room.rows(query)
    await tried(database_url, room, changed((CHAT, "first_response: 5m")))
    assert await room.rows(query) == before
    async with open_archive(database_url, NOON) as archive:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await archive._session.execute("DELETE FROM cases")


# --- over HTTP ------------------------------------------------------------------------------------


async def test_the_answer_is_the_report(room: Room, door: Door) -> None:
    quick, _ = await two_chats(room)
    strict = changed((CHAT, "first_response: 40m"))
    answer = await door.http.post("/v1/policy/dry-run?since=3h", content=strict)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert (report["cases"], report["same"]) == (2, False)
    assert (report["since"], report["until"]) == ("2026-11-17T08:00:00Z", "2026-11-17T11:00:00Z")
    (example,) = report["breaches"][0]["caused"]["examples"]
    assert example == f"/v1/cases/{quick}"
    assert (await door.http.get(example)).status_code == 200
    as_json = json.dumps({"name": "one", **ONE})
    answer = await door.http.post("/v1/policy/dry-run", content=as_json)
    assert answer.json()["candidate"] == "one"


ONE: Mapping[str, Any] = {
    "calendars": {"always": {"hours": "24/7"}},
    "teams": {"all": {"calendar": "always"}},
    "routing": [{"name": "everything", "team": "all"}],
    "service_levels": [{"name": "the rest", "calendar": "always", "first_response": "4h"}],
}


async def test_lines_tell_the_progress_and_end_with_the_report(room: Room, door: Door) -> None:
    await two_chats(room)
    answer = await door.http.post("/v1/policy/dry-run", content=SOURCE, headers=LINES)
    assert answer.headers["content-type"] == "application/x-ndjson"
    *progress, last = map(json.loads, answer.text.splitlines())
    (row,) = await room.rows("SELECT count(*) AS events FROM case_events")
    assert progress[0] == {"progress": {"events": 0, "of": row.events}}
    assert progress[-1] == {"progress": {"events": row.events, "of": row.events}}
    assert last["report"]["same"] is True


@pytest.mark.parametrize(
    ("since", "body", "name"),
    [
        ("30d", "routing: [", "policy-invalid"),
        ("30d", SOURCE.replace("team: claims", "team: claim"), "policy-invalid"),
        ("30d", b"\xff\xfe", "policy-invalid"),
        ("3bd", SOURCE, "since-invalid"),
        ("yesterday", SOURCE, "since-invalid"),
        ("0001-01-01T00:00:00%2B14:00", SOURCE, "since-invalid"),
        ("1899-12-31T00:00:00Z", SOURCE, "since-invalid"),
        ("2026-11-17", SOURCE, "since-invalid"),
        ("2026-11-17T09:00:00", SOURCE, "since-invalid"),
        ("2027-11-17T09:00:00Z", SOURCE, "since-invalid"),
        ("0d", SOURCE, "since-invalid"),
        ("100y", SOURCE, None),
        ("2026-11-17T09:00:00+01:00", SOURCE, None),
    ],
)
async def test_what_is_wrong_is_said(
    door: Door, since: str, body: str | bytes, name: str | None
) -> None:
    answer = await door.http.post(f"/v1/policy/dry-run?since={since}", content=body)
    if name is None:
        assert answer.status_code == 200, answer.text
        return
    assert (answer.status_code, answer.json()["name"]) == (422, name)
    if name == "policy-invalid":
        assert all(error["message"] for error in answer.json()["errors"])


async def test_only_admins_try(door: Door) -> None:
    key = await door.key(Grant(role="supervisor", agent="sue"))
    answer = await door.http.post("/v1/policy/dry-run", content=SOURCE, headers=key)
    assert answer.status_code == 403


class Held:
    """History that nobody can read for now, so that a dry run of it does not end."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Held:
        self._session = await open_session(self._url, "test")
        await self._session.execute("BEGIN; LOCK TABLE case_events IN ACCESS EXCLUSIVE MODE")
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_session(self._session)


async def at_work(room: Room) -> bool:
    return bool(
        await room.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'regie-dry-run'")
    )


async def test_one_at_a_time_and_no_longer_than_somebody_listens(
    room: Room, door: Door, database_url: str
) -> None:
    await two_chats(room)
    for headers in ({}, LINES):
        async with Held(database_url):
            asking = asyncio.create_task(
                door.http.post("/v1/policy/dry-run", content=SOURCE, headers=headers)
            )
            await until(lambda: at_work(room))
            second = await door.http.post("/v1/policy/dry-run", content=SOURCE)
            assert (second.status_code, second.json()["name"]) == (429, "too-many-requests")
            assert second.headers["retry-after"] == "10"
            assert (await door.http.get("/v1/inbox")).status_code == 200, "the router goes on"
            asking.cancel()
            await asyncio.wait({asking})

            async def gone() -> bool:
                return not await at_work(room)

            await until(gone)  # while what it waits for is held on
        answer = await door.http.post("/v1/policy/dry-run", content=SOURCE)
        assert answer.status_code == 200, "the place is free again"


async def test_a_process_that_stops_waits_for_no_dry_run(
    room: Room, door: Door, database_url: str
) -> None:
    await two_chats(room)
    async with Held(database_url):
        asking = asyncio.create_task(door.http.post("/v1/policy/dry-run", content=SOURCE))
        await until(lambda: at_work(room))
        door.stop.set()
        answer = await asking
    assert (answer.status_code, answer.json()["name"]) == (503, "unavailable")


async def test_a_database_that_goes_is_an_outage(room: Room, door: Door, database_url: str) -> None:
    await two_chats(room)
    async with Held(database_url):
        asking = asyncio.create_task(door.http.post("/v1/policy/dry-run", content=SOURCE))
        await until(lambda: at_work(room))
        async with transaction(room.engine) as connection:
            await connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'regie-dry-run'"
            )
        answer: httpx.Response = await asking
    assert (answer.status_code, answer.json()["name"]) == (503, "database-unavailable")


# --- the command ----------------------------------------------------------------------------------


async def test_the_command_shows_tables_or_json(room: Room, door: Door, tmp_path: Path) -> None:
    quick, _ = await two_chats(room)
    env = {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": ADMIN}
    file = tmp_path / "candidate.yaml"
    file.write_text(changed((CHAT, "first_response: 40m")), encoding="utf-8")
    status, words = await said("policy", "dry-run", str(file), "--since", "3h", env=env)
    assert status == 0, words
    assert f"/v1/cases/{quick}" in words
    assert "first_response" in words
    assert "20m" in words
    assert "could not be replayed" not in words
    status, words = await said("policy", "dry-run", str(file), "--json", env=env)
    assert status == 0
    assert json.loads(words)["breaches"][0]["caused"]["count"] == 1
    file.write_text("routing: [", encoding="utf-8")
    status, words = await said("policy", "dry-run", str(file), env=env)
    assert status == 1
    assert f"{file}:1" in words
    assert "policy-invalid" in words


async def test_a_time_without_cases_is_said_in_words(door: Door, tmp_path: Path) -> None:
    report = (await door.http.post("/v1/policy/dry-run?since=1h", content=SOURCE)).json()
    assert (report["cases"], report["same"]) == (0, True)
    assert report["words"][0].startswith("No case got a message in this time")
    env = {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": ADMIN}
    file = tmp_path / "candidate.yaml"
    file.write_text(SOURCE, encoding="utf-8")
    status, words = await said("policy", "dry-run", str(file), "--since", "1h", env=env)
    assert status == 0
    assert "no case got a message in this time" in words
    assert "nothing would have been different" not in words
