"""The rights of the person: erased in every table and file, in time and for good."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import text

from services.notifier import letters as delivery_letters
from services.notifier import subscriptions
from services.router import commands as cmd
from services.router.api import routers
from services.router.decide import evolve
from services.router.rights import book
from services.router.rights.erasing import Erasing
from services.router.rights.retention import Retention
from shared import ledger
from shared.api_keys import Grant, create
from shared.blobs import blob_for
from shared.broker import Record
from shared.cloudevents import encode
from shared.database import is_deadlock, transaction
from shared.errors import Conflict
from shared.events import (
    CaseChanged,
    CaseEvent,
    DeliveryStatusReceived,
    Thread,
)
from shared.ops import letters
from shared.security import Caller
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message
from tests.past import (
    ADDRESS,
    DUE,
    PHONE,
    WORDS,
    ada,
    bob,
    changes,
    close,
    deliver,
    die,
    erase,
    forget_repeats,
    live,
    poisoned,
    said,
    tell,
)
from tests.people import owner, who
from tests.rooms import Room, make_room
from tests.scanning import files_of, holding, rows_of
from tests.waiting import until


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


# --- erasure ---------------------------------------------------------------------------------


async def test_nothing_of_the_person_is_left_in_any_table_or_file(
    room: Room, admin: httpx.AsyncClient
) -> None:
    customer = await live(room)
    case = (await room.rows("SELECT id FROM cases WHERE channel = 'whatsapp'"))[0].id
    await admin.post(
        f"/v1/cases/{case}/notes", json={"text": "x"}, headers={"Idempotency-Key": "k"}
    )
    before = await rows_of(room.engine)
    standing = {word for words in holding(before, WORDS).values() for word in words}
    in_files = {
        w for w in WORDS for body in files_of(room.runtime.blobs.root).values() if w in body
    }
    assert standing | in_files == set(WORDS), "the test itself must be worth something"
    assert len(holding(before, WORDS)) >= 14

    await erase(room, admin, customer)
    assert holding(await rows_of(room.engine), WORDS) == {}
    files = files_of(room.runtime.blobs.root)
    assert [w for w in WORDS for body in (*files, *files.values()) if w in body.lower()] == []


async def test_nobody_else_loses_a_byte(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    other, case = await bob(room)
    marks = (str(other), str(case), "31600000001", "asked the depot")

    async def theirs() -> dict[str, list[str]]:
        return {
            table: sorted(row for row in rows if any(mark in row for mark in marks))
            for table, rows in (await rows_of(room.engine)).items()
        }

    before = await theirs()
    assert sum(map(len, before.values())) > 15
    await erase(room, admin, customer)
    assert await theirs() == before
    leaflet = blob_for(b"a leaflet that many send").ref
    assert await room.runtime.blobs.get(leaflet) == b"a leaflet that many send"


async def test_what_stays_still_reads_and_still_folds(room: Room, admin: httpx.AsyncClient) -> None:
    await erase(room, admin, await live(room))
    rows = await room.rows(
        "SELECT case_id, seq, version, at, actor, data::text FROM case_events ORDER BY case_id, seq"
    )
    cases: dict[UUID, Any] = {}
    for row in rows:
        event = msgspec.json.decode(row.data, type=CaseEvent)
        change = CaseChanged(
            case_id=row.case_id, seq=row.seq, version=row.version, at=row.at, actor=row.actor,
            customer_id=uuid4(), team="", channel="internal", event=event,
        )  # fmt: skip
        cases[row.case_id] = evolve(cases.get(row.case_id), change)
        assert cases[row.case_id].seq == row.seq, "no gap"
    stored = await room.rows("SELECT id, doc::text, state, channel, team FROM cases")
    assert len(stored) == len(cases) > 1
    for row in stored:
        case = cases[row.id].pruned()
        assert msgspec.json.decode(row.doc, type=type(case)) == case
        assert (row.state, case.state, case.erased) == ("closed", "closed", True)
        assert (row.channel, row.team) == (case.channel, case.team)
        answer = await admin.get(f"/v1/cases/{row.id}")
        assert answer.status_code == 200, answer.text
        for part in ("timeline", "decisions"):
            assert (await admin.get(f"/v1/cases/{row.id}/{part}")).status_code == 200
    assert all(isinstance(c.body, CaseChanged) for c in await changes(room))


async def test_the_reports_say_the_same_afterwards(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    await close(room)
    room.clock.at = DUE

    async def figures() -> list[Any]:
        told = []
        for name in ("service-levels", "promises", "handoffs", "ping-pong", "satisfaction",
                     "journeys"):  # fmt: skip
            span = {"from": "2026-01-01", "to": "2027-12-31"}
            answer = await admin.get(f"/v1/reports/{name}", params=span)
            assert answer.status_code == 200, answer.text
            told.append({k: v for k, v in answer.json().items() if "at" not in k})
        return told

    before = await figures()
    await erase(room, admin, customer)
    after_it = await figures()
    # The figures of an offer stay; what an agent wrote as its reason does not.
    assert json.dumps(after_it) == re.sub("because.of.chervil", "", json.dumps(before))


async def test_the_log_brings_nothing_back(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    words = await said(room)  # the same person's, and of the same time, but never handled
    events = await changes(room)
    report = DeliveryStatusReceived(
        id=uuid4(), account="desk-whatsapp", provider_id="wamid.PAPRIKA", status="read", at=NOON
    )
    await erase(room, admin, customer)
    await forget_repeats(room)
    tables = ("customers", "identities", "messages", "cases", "deliveries", "pending_statuses")
    counted = {t: (await room.rows(f"SELECT count(*) FROM {t}"))[0][0] for t in tables}
    async with transaction(room.engine) as connection:
        await connection.execute(text("DELETE FROM attempts"))
        await connection.execute(text("DELETE FROM deliveries"))
    await room.hear(*words)
    await room.report(report)
    await deliver(room, events)
    now = {t: (await room.rows(f"SELECT count(*) FROM {t}"))[0][0] for t in tables}
    assert now == counted | {"deliveries": 0}
    assert holding(await rows_of(room.engine), WORDS) == {}


async def test_once_the_log_forgets_no_table_knows_anything(
    room: Room, admin: httpx.AsyncClient
) -> None:
    broker = room.runtime.broker
    await broker.start()
    try:
        await broker.publish(
            [
                encode("messages.received", b"k", m, id=str(m.id), source="/x")
                for m in await said(room)
            ]
        )
        await erase(room, admin, await live(room))
        assert set(holding(await rows_of(room.engine, besides=()), WORDS)) == {"log_record"}
        await broker.trim(datetime.now(UTC) + timedelta(seconds=1))
    finally:
        await broker.stop()
    assert holding(await rows_of(room.engine, besides=()), WORDS) == {}


async def test_who_writes_again_is_a_new_customer(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    (old,) = await room.rows("SELECT id, thread FROM (SELECT id, data -> 'thread' ->> 'message_id' "
                             "AS thread FROM messages WHERE channel = 'email' AND direction = 'in' "
                             "ORDER BY id LIMIT 1) AS m")  # fmt: skip
    await erase(room, admin, customer)
    later = mail(
        "It is me again", sender=who(ADDRESS, proven=False), at=DUE + timedelta(hours=1),
        thread=Thread(message_id="<new@x>", references=(old.thread, f"<regie.{old.id}@x>")),
    )  # fmt: skip
    room.clock.at = DUE + timedelta(hours=1)
    await room.hear(later)
    (row,) = await room.rows("SELECT customer_id, case_id FROM messages WHERE id = :i", i=later.id)
    assert row.customer_id != customer
    (case,) = await room.rows("SELECT customer_id, seq FROM cases WHERE id = :id", id=row.case_id)
    assert case.customer_id == row.customer_id
    assert (await admin.get(f"/v1/customers/{customer}")).status_code == 404
    assert (await owner(room, ADDRESS)) == row.customer_id


async def test_what_comes_between_marks_and_rows_is_marked_too(
    room: Room, admin: httpx.AsyncClient
) -> None:
    """A case that was opened between the two sends it back to the marks."""
    customer = await live(room)
    await close(room)
    await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked"})
    room.clock.at = DUE

    class Interrupted(Erasing):
        times = 0

        async def _mark(self, due: Any) -> Any:
            marked = await super()._mark(due)
            self.times += 1
            if self.times == 1:
                room.clock.at = at = DUE + timedelta(seconds=1)
                await room.hear(message("another kumquat", sender=ada(), at=at, product="claims"))
            return marked

    erasing = Interrupted(room.handlers)
    before = len(await room.rows("SELECT id FROM cases"))
    await erasing.work()
    assert len(await room.rows("SELECT id FROM cases")) == before + 1, "or it tests nothing"
    assert erasing.times == 2
    assert holding(await rows_of(room.engine), WORDS) == {}


async def test_a_batch_that_waited_for_the_record_finds_it_erased(
    room: Room, admin: httpx.AsyncClient
) -> None:
    """It had inserted another address for the record already: that one is not left with it."""
    customer = await live(room)
    await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked"})
    room.clock.at = DUE
    sent = message("hello", sender=who(PHONE, "customer_no:555000"), at=DUE + timedelta(days=1))

    class Slow(Erasing):
        batch: asyncio.Task[None] | None = None

        async def _wipe(self, *given: Any) -> Any:
            outcome = await super()._wipe(*given)
            self.batch = asyncio.create_task(room.hear(sent))
            await until(self._waits)
            return outcome

        async def _waits(self) -> bool:
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return bool((await room.rows(query))[0][0])

    erasing = Slow(room.handlers)
    await erasing.work()
    assert erasing.batch is not None
    await erasing.batch
    (row,) = await room.rows("SELECT customer_id, text FROM messages WHERE id = :i", i=sent.id)
    assert (row.customer_id != customer, row.text) == (True, "hello")
    assert await owner(room, "customer_no:555000") == row.customer_id
    assert await owner(room, PHONE) == row.customer_id


async def test_whoever_writes_while_it_is_done_is_erased_or_new(
    room: Room, admin: httpx.AsyncClient
) -> None:
    """Consumers wait for the record's lock, and find it erased; two processes erase at once."""
    customer = await live(room)
    await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked"})
    room.clock.at = DUE
    at = DUE + timedelta(days=1)  # newer than any mark

    async def write(n: int) -> None:
        sent = message(f"hello {n}", sender=ada(), at=at + timedelta(seconds=n), account="desk")
        while True:
            try:
                return await room.hear(sent)
            except Exception as error:
                if not is_deadlock(error):
                    raise

    erasing = Erasing(room.handlers).work(), Erasing(room.handlers).work()
    await asyncio.gather(*map(write, range(8)), *erasing, *map(write, range(8, 12)))
    await Erasing(room.handlers).work()
    rows = await room.rows(
        "SELECT m.text, erased_at FROM messages m JOIN customers c ON c.id = m.customer_id "
        "WHERE received_at >= :at",
        at=at,
    )
    assert len(rows) == 12
    assert all((row.text == "") == (row.erased_at is not None) for row in rows), rows
    stray = "SELECT i.* FROM identities i JOIN customers c ON c.id = customer_id"
    assert await room.rows(f"{stray} WHERE erased_at IS NOT NULL") == []
    assert (await room.rows("SELECT count(*) FROM erasures WHERE done_at IS NULL"))[0][0] == 0


@pytest.mark.parametrize("left", ["pending", "held"])  # held: for a digest
async def test_while_something_is_being_sent_it_waits(
    room: Room, admin: httpx.AsyncClient, left: str
) -> None:
    customer = await live(room)

    async def sending(state: str) -> None:
        async with transaction(room.engine) as connection:
            await connection.execute(
                text("UPDATE deliveries SET state = :s, lease_until = :t"),
                {"s": state, "t": DUE + timedelta(seconds=60)},
            )

    await sending("sending")
    told = await erase(room, admin, customer)
    assert told["state"] == "waiting"
    assert (await admin.get(f"/v1/customers/{customer}/erasure")).json()["state"] == "waiting"
    await sending(left)
    room.clock.at += timedelta(seconds=10)
    await Erasing(room.handlers).work()
    assert (await admin.get(f"/v1/customers/{customer}/erasure")).json()["state"] == "done"
    assert {r.state for r in await room.rows("SELECT state FROM deliveries")} == {"dropped"}


async def test_the_delay_and_what_goes_when(room: Room, admin: httpx.AsyncClient) -> None:
    customer = await live(room)
    answer = await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked by mail"})
    told = answer.json()
    assert answer.status_code == 202
    assert (told["state"], told["by"], told["reason"]) == ("waiting", "root", "asked by mail")
    goes = {each["what"]: each["at"] for each in told["goes"]}
    assert goes == {
        "rows": "2026-12-01T10:00:00Z", "files": "2026-12-01T10:00:00Z",
        "log": "2026-12-08T10:00:00Z", "backups": None,
    } or (goes["rows"], goes["backups"]) == (told["due_at"], None)  # fmt: skip
    room.clock.at = after(days=13)
    await Erasing(room.handlers).work()
    assert (await admin.get(f"/v1/customers/{customer}")).status_code == 200, "not yet"
    again = (await admin.delete(f"/v1/customers/{customer}", params={"reason": "again"})).json()
    assert (again["id"], again["due_at"]) == (told["id"], told["due_at"]), "it moves nothing"
    kept_it = await admin.post(f"/v1/customers/{customer}/keep")
    assert (kept_it.status_code, kept_it.json()["state"]) == (200, "withdrawn")
    room.clock.at = DUE
    await Erasing(room.handlers).work()
    assert (await admin.get(f"/v1/customers/{customer}")).status_code == 200, "withdrawn"
    await erase(room, admin, customer)
    refused = await admin.post(f"/v1/customers/{customer}/keep")
    assert (refused.status_code, refused.json()["name"]) == (409, "erased")
    done = (await admin.get(f"/v1/customers/{customer}/erasure")).json()
    assert (done["state"], done["reason"]) == ("done", ""), "people write names into reasons"


async def test_no_reason_of_an_erasure_outlives_a_later_one(
    room: Room, admin: httpx.AsyncClient
) -> None:
    """Withdrawn, and asked of a record that was merged away; and a ledger brings none back."""
    customer = await live(room)
    await admin.delete(f"/v1/customers/{customer}", params={"reason": "Quillfeather called"})
    await admin.post(f"/v1/customers/{customer}/keep")
    (merged,) = await room.rows("SELECT loser FROM merges")
    async with transaction(room.engine) as connection:
        await connection.execute(
            text("INSERT INTO erasures (id, customer_id, by, reason, asked_at, due_at, "
                 "withdrawn_at) VALUES (:id, :loser, 'jo', 'Ada wrote', :at, :at, :at)"),
            {"id": uuid4(), "loser": merged.loser, "at": NOON},
        )  # fmt: skip
    await erase(room, admin, customer)
    reasons = "SELECT reason FROM erasures"
    assert [row.reason for row in await room.rows(reasons)] == [""] * 3
    async with transaction(room.engine) as connection:
        await book.apply(connection, await book.export(connection))
    assert [row.reason for row in await room.rows(reasons)] == [""] * 3


async def test_an_erased_case_is_neither_split_nor_waits(
    room: Room, admin: httpx.AsyncClient
) -> None:
    await erase(room, admin, await live(room))
    (case, *_) = await room.rows("SELECT id, version FROM cases ORDER BY id")
    answers = [
        await admin.post(
            f"/v1/cases/{case.id}/split", json={"messages": [str(uuid4())]},
            headers={"If-Match": f'"{case.version}"'},
        ),
        await admin.post("/v1/cases", json={"parent": str(case.id), "text": "Is it insured?"}),
    ]  # fmt: skip
    assert [(a.status_code, a.json()["name"]) for a in answers] == [(409, "erased")] * 2


async def test_nothing_is_done_on_an_erased_case(room: Room, admin: httpx.AsyncClient) -> None:
    await erase(room, admin, await live(room))
    (case, *_) = await room.rows("SELECT id, version FROM cases")
    answer = await admin.post(f"/v1/cases/{case.id}/notes", json={"text": "Ada Quillfeather"})
    assert (answer.status_code, answer.json()["name"]) == (409, "erased")
    (merged,) = await room.rows("SELECT id, winner FROM merges")
    undo = await admin.post(
        f"/v1/customers/{merged.winner}/unmerge", json={"merge": str(merged.id)}
    )
    assert (undo.status_code, undo.json()["name"]) == (409, "erased")
    async with transaction(room.engine) as connection:
        letter = (await room.rows("SELECT id FROM dead_letters WHERE topic = 'deliveries'"))[0].id
        assert (await letters.find(connection, letter)).state == "discarded"
        reply = (await room.rows("SELECT id FROM deliveries WHERE effect = 'reply'"))[0].id
        with pytest.raises(Conflict):
            await delivery_letters.replay(connection, reply, room.clock())
    async with transaction(room.engine) as connection:
        assert [t.case_id for t in await connection.execute(text("SELECT * FROM timers"))] == []


async def test_what_subscribers_were_told_goes_with_what_they_said_of_it(
    room: Room, admin: httpx.AsyncClient
) -> None:
    async with transaction(room.engine) as connection:
        root = Caller("admin", "admin")
        await subscriptions.create(connection, root, "https://hooks.example.org/", ["*"], NOON)
    customer = await live(room)
    before = holding(await rows_of(room.engine), WORDS)
    assert {"marmalade", "borage", "juniper", "sorrel"} <= before["feed"]
    assert {"anise", "31687654321"} <= before["attempts"]
    mine = "SELECT state FROM deliveries WHERE effect = 'event'"
    assert {row.state for row in await room.rows(mine)} == {"pending"}
    _, case = await bob(room)
    await tell(room)
    await erase(room, admin, customer)
    assert holding(await rows_of(room.engine), WORDS) == {}
    assert {row.case_id for row in await room.rows("SELECT case_id FROM feed")} == {case}
    states = "SELECT DISTINCT case_id = :bob AS his, state FROM deliveries WHERE effect = 'event'"
    assert {tuple(row) for row in await room.rows(states, bob=case)} == {
        (True, "pending"), (False, "dropped"),
    }  # fmt: skip
    await tell(room)  # the outbox still has what erasure itself told
    left = await room.rows("SELECT type FROM feed WHERE case_id <> :bob", bob=case)
    assert {row.type for row in left} == {"case.forgotten"}
    assert holding(await rows_of(room.engine), WORDS) == {}


async def test_a_guest_in_anothers_case_goes_and_the_case_stays(
    room: Room, admin: httpx.AsyncClient
) -> None:
    eve = mail("Mine is late", address="eve@example.org", subject="Late", reference="<eve@x>")
    await room.hear(eve)
    guest = mail(
        "Ours too: marmalade", sender=who(ADDRESS, proven=False, name="Ada Quillfeather"),
        thread=Thread(message_id="<ada@x>", references=("<eve@x>",)), at=after(minutes=1),
    )  # fmt: skip
    await room.hear(guest)
    (case,) = await room.rows("SELECT id, team FROM cases")
    to_team = "frontdesk" if case.team == "parcels" else "parcels"
    await room.tell(case.id, cmd.OfferHandoff(uuid4(), "jo", "agent", to_team=to_team))
    async with transaction(room.engine) as connection:
        root = Caller("admin", "admin")
        await subscriptions.create(
            connection, root, "https://hooks.example.org/", ["message.*"], NOON
        )
    await tell(room)
    async with transaction(room.engine) as connection:
        await connection.execute(
            text("INSERT INTO attempts (delivery_id, number, at, took_ms, error, response) "
                 "SELECT d.id, 1, now(), 1, '', f.body::text FROM deliveries d "
                 "JOIN feed f USING (event_id)")
        )  # fmt: skip
    standing = holding(await rows_of(room.engine), ("marmalade",))
    assert {"feed", "attempts"} <= standing.keys()
    await erase(room, admin, await owner(room, ADDRESS))
    assert holding(await rows_of(room.engine), ("marmalade", *WORDS)) == {}
    (row,) = await room.rows("SELECT state, subject FROM cases")
    assert (row.state, row.subject) == ("open", "Late")
    assert (await room.rows("SELECT text FROM messages WHERE id = :i", i=eve.id))[0].text


async def test_a_letter_that_comes_late_is_found_by_the_marks(
    room: Room, admin: httpx.AsyncClient
) -> None:
    customer = await live(room)
    poison = (await said(room))[0]
    await erase(room, admin, customer)
    async with transaction(room.engine) as connection:
        await connection.execute(text("DELETE FROM dead_letters"))
    await die(room, poison, uuid4())
    newer = message("mine", sender=ada(), at=DUE + timedelta(days=1))
    record = poisoned(newer, 9)
    async with transaction(room.engine) as connection:
        at = DUE + timedelta(days=1)
        await letters.store(
            connection, "here",
            [Record("messages.received.dlq", 0, 9, b"n", record.value, record.headers, at)],
        )  # fmt: skip
    await Retention(room.handlers).work()
    states = await room.rows("SELECT topic, note FROM dead_letters ORDER BY note, topic")
    assert [(s.topic, s.note) for s in states] == [
        ("deliveries", ""), ("messages.received.dlq", ""), ("messages.received.dlq", "erased"),
        ("messages.received.dlq", "erased"),
    ], "what they wrote since is theirs again"  # fmt: skip


# --- the ledger after a restore ------------------------------------------------------------------


@pytest.mark.parametrize("asked", [False, True], ids=["asked later", "asked before"])
async def test_a_restored_backup_obeys(room: Room, admin: httpx.AsyncClient, asked: bool) -> None:
    customer = await live(room)
    if asked:
        await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked"})
    tables = list(await rows_of(room.engine, besides=()))
    async with transaction(room.engine) as connection:
        await connection.execute(text("CREATE SCHEMA backup"))
        for table in tables:
            await connection.execute(
                text(f'CREATE TABLE backup."{table}" AS SELECT * FROM public."{table}"')
            )
    await erase(room, admin, customer)
    async with transaction(room.engine) as connection:
        taken = await book.export(connection)
    assert not any(word.encode() in taken.lower() for word in WORDS)
    async with transaction(room.engine) as connection:
        for table in tables:
            await connection.execute(text(f'TRUNCATE public."{table}"'))
            await connection.execute(
                text(
                    f'INSERT INTO public."{table}" OVERRIDING SYSTEM VALUE '
                    f'SELECT * FROM backup."{table}"'
                )
            )
        await connection.execute(text("DROP SCHEMA backup CASCADE"))
    assert holding(await rows_of(room.engine), WORDS)
    since = message("news of mine", sender=who("e164:+31687654321"), at=DUE + timedelta(days=1))
    room.clock.at = DUE + timedelta(days=2)
    async with transaction(room.engine) as connection:
        assert await book.apply(connection, taken) == (1, 1)
    await Erasing(room.handlers).catch_up()
    await forget_repeats(room)
    await room.hear(*await said(room), since)
    assert holding(await rows_of(room.engine), {*WORDS} - {"31687654321"}) == {}
    rows = await room.rows("SELECT customer_id FROM messages WHERE text <> ''")
    assert [r.customer_id != customer for r in rows] == [True], "what came since is not lost"
    async with transaction(room.engine) as connection:
        assert await book.apply(connection, taken) == (1, 0), "once is enough"


async def test_another_installations_ledger_is_refused(room: Room) -> None:
    async with transaction(room.engine) as connection:
        await ledger.write(connection, uuid4(), {b"mark": NOON})
        other = msgspec.json.encode(book.Book(key=b"other", erasures=[]))
        with pytest.raises(Exception, match="another installation's"):
            await book.apply(connection, other)
