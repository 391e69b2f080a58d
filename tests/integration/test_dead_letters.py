"""What could not be handled or sent: found again, shown, and settled by an operator, over the API
and by command; and a consumer that gives up after too many.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier import letters as deliveries
from shared.api_keys import Grant
from shared.broker import Message, Record
from shared.broker.headers import pack
from shared.database import transaction
from shared.errors import Conflict, DatabaseUnavailable, ProviderUnavailable, Unreadable
from shared.events import Identity, ReplyRequested, type_name
from shared.ops import dead_letter_subscription
from shared.ops.replay import one_by_one
from shared.runtime import Runtime, Service, Subscription
from shared.topics import MESSAGES_RECEIVED
from tests.builders import NOON
from tests.command import said
from tests.doors import ADMIN, Door, make_runtime, open_door
from tests.fakes.endpoint import status
from tests.notifying import notifying
from tests.waiting import until

GROUP = "test.picky"
LIST = "/ops/dead-letters"


@dataclass
class Picky:
    """A consumer of a version that cannot read some records, until it is mended."""

    mended: bool = False
    handled: list[bytes] = field(default_factory=list)

    def read(self, record: Record) -> Record:
        if record.value.startswith(b"odd") and not self.mended:
            raise Unreadable(f"odd: {record.value.decode()}")
        return record

    async def handle(self, connection: AsyncConnection, items: Sequence[Any]) -> None:
        self.handled += [record.value for record in items]

    def services(self, runtime: Runtime) -> list[Service]:
        work = Subscription(GROUP, (MESSAGES_RECEIVED,), self.handle, decode=self.read)
        return [
            Service("picky", subscriptions=(work,)),
            Service("dead-letters", subscriptions=(dead_letter_subscription(runtime),)),
        ]


@pytest.fixture
def picky() -> Picky:
    return Picky()


@pytest.fixture
async def door(database_url: str, tmp_path: Path, picky: Picky) -> AsyncIterator[Door]:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, picky.services(runtime)) as door:
        yield door


async def publish(door: Door, *values: bytes) -> None:
    headers = (("ce_id", b"x"), ("ce_type", b"message.received"))
    await door.runtime.broker.publish(
        [Message(MESSAGES_RECEIVED, b"k", value, headers, 0) for value in values]
    )


async def get(door: Door, path: str = LIST, **query: Any) -> Any:
    answer = await door.http.get(path, params=query or None, headers=door.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(door: Door, path: str, **body: Any) -> Any:
    answer = await door.http.post(f"{LIST}/{path}", json=body, headers=door.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def listed(door: Door, count: int, **query: Any) -> list[Any]:
    """The list, once it has this many."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = (await get(door, limit=200, **query))["items"]
        return len(found) == count

    await until(there)
    return found


async def put(
    door: Door, number: int = 1, *, topic: str = "messages.received.dlq", value: bytes = b"{}",
    account: str = "", type: str = "message.received", reason: str = "odd",
    at: datetime = NOON, key: str = "",
) -> list[UUID]:  # fmt: skip
    """Letters as the copier would have written them, a second apart."""
    ids = [uuid4() for _ in range(number)]
    rows = [
        {"id": id, "topic": topic, "dedupe": key or str(id), "value": value, "headers": pack(()),
         "account": account, "type": type, "reason": reason, "at": at + timedelta(seconds=n)}
        for n, id in enumerate(ids)
    ]  # fmt: skip
    async with transaction(door.runtime.engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO dead_letters (id, topic, dedupe, key, value, headers, account, type,"
                " reason, first_at, last_at) VALUES (:id, :topic, :dedupe, 'k', :value, :headers,"
                " :account, :type, :reason, :at, :at)"
            ),
            rows,
        )
    return ids


# --- poison ------------------------------------------------------------------------------------


async def test_a_replay_that_fails_again_counts_and_one_that_does_not_is_over(
    door: Door, picky: Picky
) -> None:
    await publish(door, b"odd one", b"good")
    [letter] = await listed(door, 1)
    assert (letter["count"], letter["reason"]) == (1, "odd: odd one")
    assert letter["first_at"] == letter["last_at"]
    for count in (2, 3):
        assert (await post(door, "replay", ids=[letter["id"]]))["replayed"] == [letter["id"]]

        async def again(count: int = count) -> bool:
            [found] = (await get(door, state="all"))["items"]
            return (found["count"], found["state"]) == (count, "waiting")

        await until(again)
    [same] = await listed(door, 1, state="all")
    assert same["id"] == letter["id"], "one event is one letter"
    assert same["first_at"] < same["last_at"]
    assert same["first_at"] == letter["first_at"]
    picky.mended = True
    await post(door, f"{letter['id']}/replay")

    async def handled() -> bool:
        return picky.handled == [b"good", b"odd one"]

    await until(handled)
    [over] = await listed(door, 1, state="replayed")
    assert (over["count"], over["settled_by"]) == (3, "admin")


async def test_two_events_that_are_alike_are_two_letters(door: Door) -> None:
    await publish(door, b"odd", b"odd")
    assert len(await listed(door, 2)) == 2


async def test_too_many_in_a_row_stop_it_and_say_what_to_do(door: Door, picky: Picky) -> None:
    await publish(door, *[b"odd %d" % n for n in range(25)], b"good")
    await listed(door, 20)
    parts: list[Any] = []

    async def stopped() -> bool:
        groups = {each["group"]: each for each in (await get(door, "/ops/lag"))["groups"]}
        parts[:] = [p for topic in groups[GROUP]["topics"] for p in topic["partitions"]]
        return bool(groups[GROUP]["status"] == "STOP")

    await until(stopped)
    reason = parts[0]["reason"]
    assert "too many dead letters: 20 in a row before messages.received/0 20" in reason
    assert f"`regie positions resume {GROUP}`" in reason
    ready = await door.http.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True), "a person's matter"
    assert ready.json()["stopped"] == [
        {
            "what": GROUP,
            "reason": "stands still in 12 of 12 partitions: `regie lag` says why, and what to do",
        }
    ]
    assert "stopped" not in (await door.http.get("/readyz?service=dead-letters")).json()
    assert picky.handled == []
    # Mended, and told to go on where it stands.
    picky.mended = True
    env = {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": ADMIN}
    code, words = await said("positions", "resume", GROUP, env=env)
    assert (code, f"{GROUP} goes on at messages.received/0 20" in words) == (0, True), words

    async def handled() -> bool:
        return len(picky.handled) == 6

    await until(handled)
    assert picky.handled[-1] == b"good"
    answer = await post(door, "replay", filter={"topic": MESSAGES_RECEIVED})
    assert (len(answer["replayed"]), answer["refused"]) == (20, [])

    async def everything() -> bool:
        return len(set(picky.handled)) == 26

    await until(everything)
    assert len(picky.handled) == 26, "each once"
    code, words = await said("positions", "resume", GROUP, env=env)
    assert (code, "stands still" in words) == (0, True), words


async def test_after_too_many_a_newer_program_goes_on_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, Picky().services(runtime)) as door:
        await publish(door, *[b"odd %d" % n for n in range(25)])
        await listed(door, 20)
    mended = Picky(mended=True)
    runtime = make_runtime(database_url, tmp_path)
    async with open_door(runtime, mended.services(runtime)) as door:

        async def handled() -> bool:
            return len(mended.handled) == 5

        await until(handled)
        assert "stopped" not in (await door.http.get("/readyz")).json()


# --- deliveries --------------------------------------------------------------------------------


async def test_a_delivery_that_fails_again_after_its_replay_counts(
    database_url: str, tmp_path: Path
) -> None:
    async with notifying(database_url, tmp_path) as room:
        room.endpoint.always("/parcels", status(410))
        await room.hear(room.breach(await room.open_case()))
        async with room.sending():
            await room.settled("failed")
            [letter] = await room.rows("SELECT * FROM dead_letters")
            room.clock.at += timedelta(hours=1)
            async with transaction(room.runtime.engine) as connection:
                await deliveries.replay(connection, letter.id, room.clock())

            async def counted() -> bool:
                rows = await room.rows("SELECT count, state FROM dead_letters")
                return [tuple(row) for row in rows] == [(2, "waiting")]

            await until(counted)
        [again] = await room.rows("SELECT * FROM dead_letters")
        assert (again.id, again.first_at, again.last_at) == (
            letter.id, NOON, NOON + timedelta(hours=1),
        )  # fmt: skip
        assert again.reason.startswith("gone: the target answered 410")


# --- found again -------------------------------------------------------------------------------


async def test_each_filter_narrows_and_pages_are_whole(door: Door) -> None:
    await put(door, 3, account="desk-whatsapp", type="message.parked", reason="No such NUMBER")
    await put(door, 2, topic="deliveries", type="breach", reason="http_500: HTTP 500")
    await put(door, 4, topic="cases.changed.dlq", reason="odd", at=NOON + timedelta(hours=1))
    counts = {
        "account=desk-whatsapp": 3, "account=nobody": 0, "topic=deliveries": 2,
        "topic=cases.changed": 4, "topic=cases.changed.dlq": 4, "type=breach": 2,
        "reason=number": 3, "reason=http_5": 2, "reason=%25": 0, "since=2026-11-17T10:00:00Z": 4,
        "until=2026-11-17T10:00:00Z": 5, "type=breach&account=desk-whatsapp": 0,
        "since=2026-11-17T09:00:01Z&until=2026-11-17T09:00:02Z": 2, "state=replayed": 0,
        "state=all": 9,
    }  # fmt: skip
    for query, count in counts.items():
        found = await get(door, f"{LIST}?{query}")
        assert (query, len(found["items"])) == (query, count)
    seen: list[str] = []
    cursor = ""
    while True:
        found = await get(door, limit=2, cursor=cursor, topic="cases.changed")
        seen += [item["id"] for item in found["items"]]
        if not (cursor := found["next_cursor"] or ""):
            break
    assert len(seen) == len(set(seen)) == 4
    for wrong in ("since=yesterday", "since=2026-11-17T10:00:00", "limit=0", "state=odd"):
        answer = await door.http.get(f"{LIST}?{wrong}", headers=door.headers)
        assert answer.status_code == 422, wrong


async def test_a_code_that_may_still_be_redeemed_is_not_shown(door: Door) -> None:
    reply = ReplyRequested(
        message_id=uuid4(), account="desk-whatsapp", channel="whatsapp",
        recipient=Identity(scheme="e164", value="+31612345678"), text="R-7K4Q-2M9X", answers=1,
        human=False, author="clock", secret=True,
    )  # fmt: skip
    event = {"type": type_name(type(reply).__name__), "text": reply.text, "secret": True}
    secret = json.dumps({"seq": 1, "event": event}).encode()
    plain = json.dumps({"seq": 1, "event": event | {"secret": False}}).encode()
    hidden, shown, other = [
        (await put(door, value=value))[0] for value in (secret, plain, b'"secret" \xff')
    ]
    found = await get(door, f"{LIST}/{hidden}")
    assert b"R-7K4Q" not in b64decode(found["raw"])
    assert "R-7K4Q" not in json.dumps(found)
    assert json.loads(found["raw_text"])["event"]["secret"] is True
    assert b64decode((await get(door, f"{LIST}/{shown}"))["raw"]) == plain
    found = await get(door, f"{LIST}/{other}")
    assert (b64decode(found["raw"]), found["raw_text"]) == (b'"secret" \xff', None)
    page = await get(door)
    assert not any("raw" in item or "headers" in item for item in page["items"])


async def test_only_operators_see_or_settle_them(door: Door) -> None:
    [letter] = await put(door)
    for role in ("agent", "supervisor", "integrator"):
        key = await door.key(Grant(role, agent="jo"))
        for method, path, body in (
            ("GET", "", None), ("GET", f"/{letter}", None), ("POST", f"/{letter}/replay", {}),
            ("POST", f"/{letter}/discard", {}), ("POST", "/replay", {"filter": {}}),
            ("POST", "/discard", {"filter": {}, "note": "x"}),
        ):  # fmt: skip
            answer = await door.http.request(method, LIST + path, json=body, headers=key)
            assert (role, path, answer.status_code) == (role, path, 403)
    await listed(door, 1)


# --- settled -----------------------------------------------------------------------------------


async def test_a_discard_keeps_why_by_whom_and_when(door: Door) -> None:
    [letter] = await put(door)
    operator = await door.key(Grant("operator", agent="sam"))
    before = datetime.now(UTC)
    answer = await door.http.post(
        f"{LIST}/{letter}/discard", json={"note": "a test of theirs"}, headers=operator
    )
    assert answer.status_code == 200
    [kept] = await listed(door, 1, state="discarded")
    assert (kept["note"], kept["settled_by"]) == ("a test of theirs", "sam")
    assert before <= datetime.fromisoformat(kept["settled_at"]) <= datetime.now(UTC)
    assert (await post(door, "replay", ids=[str(letter)]))["refused"][0]["status"] == 409


async def test_of_several_each_is_answered_for_by_itself(door: Door, picky: Picky) -> None:
    picky.mended = True
    good = await put(door, 2, value=b"odd but read now")
    [unsendable] = await put(door, topic="deliveries")
    [unreadable] = await put(door, type="message.parked", value=b"{")
    [discarded] = await put(door)
    await post(door, f"{discarded}/discard", note="seen")
    unknown = uuid4()
    ids = [
        str(id) for id in (unknown, good[0], unsendable, discarded, unreadable, good[1], good[0])
    ]
    answer = await post(door, "replay", ids=ids)
    assert answer["replayed"] == [str(good[0]), str(good[1])]
    refused = {each["id"]: (each["status"], each["name"]) for each in answer["refused"]}
    assert refused == {
        str(unknown): (404, "not-found"),
        str(unsendable): (409, "conflict"),
        str(discarded): (409, "conflict"),
        str(unreadable): (409, "conflict"),
    }
    assert all(each["detail"] for each in answer["refused"])

    async def handled() -> bool:
        return len(picky.handled) == 2

    await until(handled)
    assert {item["id"] for item in await listed(door, 2)} == {str(unsendable), str(unreadable)}


async def test_by_filter_every_page_and_each_letter_once(door: Door, picky: Picky) -> None:
    """Though each fails again as soon as it is replayed."""
    await put(door, 15, value=b"odd still", reason="a bug of ours")
    others = await put(door, 2, type="other", reason="o")
    replayed: list[str] = []

    async def back() -> bool:
        rows = await door.rows("SELECT 1 FROM dead_letters WHERE state = 'waiting' AND count = 2")
        return len(rows) == len(replayed)

    cursor = ""
    while True:
        answer = await post(
            door,
            "replay",
            filter={"type": "message.received", "reason": "o"},
            limit=5,
            cursor=cursor,
        )
        replayed += answer["replayed"]
        assert answer["refused"] == []
        assert len(replayed) <= 15
        await until(back)
        if not (cursor := answer["next_cursor"] or ""):
            break
    assert len(replayed) == len(set(replayed)) == 15
    assert not {str(id) for id in others} & set(replayed)
    assert len(await door.rows("SELECT 1 FROM dead_letters")) == 17, "counted, not doubled"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"ids": []}, {"ids": ["x"]}, {"filter": {"reasn": "x"}}, {"filter": None},
        {"ids": [str(UUID(int=1))], "filter": {}}, {"filter": {}, "limit": 0},
        {"filter": {}, "limit": 501}, {"filter": {}, "cursor": "?"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_no_choice_settles_nothing(door: Door, body: dict[str, Any]) -> None:
    await put(door)
    for path in ("replay", "discard"):
        answer = await door.http.post(f"{LIST}/{path}", json=body, headers=door.headers)
        assert (path, 400 <= answer.status_code < 500) == (path, True), answer.text
    await listed(door, 1)


async def test_once_the_database_is_away_the_rest_is_left_alone() -> None:
    ids = [uuid4() for _ in range(5)]
    tried: list[UUID] = []

    async def settle(id: UUID) -> None:
        tried.append(id)
        if id == ids[1]:
            raise ProviderUnavailable("its part lies with the provider")
        if id == ids[2]:
            raise Conflict("this dead letter was replayed before")
        if id == ids[3]:
            raise DatabaseUnavailable("no connection")

    went, refused = await one_by_one(ids, settle)
    assert (went, tried) == (ids[:1], ids[:4])
    assert [(each.id, each.status, each.name) for each in refused] == [
        (ids[1], 503, "unavailable"), (ids[2], 409, "conflict"), (ids[3], 503, "unavailable"),
        (ids[4], 503, "not-tried"),
    ]  # fmt: skip
    assert "repeat it later" in refused[-1].detail


# --- by command --------------------------------------------------------------------------------


async def test_an_operator_settles_them_by_command(door: Door, picky: Picky) -> None:
    picky.mended = True
    env = {"REGIE_URL": str(door.http.base_url), "REGIE_KEY": ADMIN}
    good = await put(door, 120, reason="a bug of ours", value=b"odd")
    [stuck] = await put(door, topic="deliveries", type="breach", reason="http_500")
    for wrong in ([], ["--account", "a"], [str(stuck), "--all"]):
        code, words = await said("dead-letters", "replay", *wrong, env=env)
        assert (code, "--all" in words) == (1, True), words
    code, words = await said("dead-letters", "discard", "--all", env=env)
    assert (code, "--note" in words) == (1, True), words
    code, words = await said("dead-letters", "list", "--type", "breach", "--json", env=env)
    assert [item["id"] for item in json.loads(words)["items"]] == [str(stuck)]
    code, words = await said("dead-letters", "replay", str(stuck), str(good[0]), env=env)
    assert code == 1
    assert "replayed 1" in words
    assert f"{stuck}: this process cannot replay letters of 'deliveries' (409 conflict)" in words
    code, words = await said("dead-letters", "replay", "--all", "--reason", "BUG", env=env)
    assert (code, "replayed 119" in words) == (0, True), words
    code, words = await said(
        "dead-letters", "discard", "--all", "--topic", "deliveries", "--note", "gone", env=env
    )
    assert (code, "discarded 1" in words) == (0, True), words
    [kept] = await listed(door, 1, state="discarded")
    assert (kept["note"], kept["settled_by"]) == ("gone", "admin")
    assert await listed(door, 0) == []
