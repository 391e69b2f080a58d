"""The rights of the person: everything held given out, everything erased, in time and for good."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from sqlalchemy import text

from services.notifier import letters as delivery_letters
from services.notifier.handlers import Handlers as Notifier
from services.router import commands as cmd
from services.router.api import routers
from services.router.decide import evolve
from services.router.rights import book
from services.router.rights.erasing import Erasing
from services.router.rights.retention import Retention
from shared import codes, ledger
from shared.api_keys import Grant, create
from shared.blobs import blob_for
from shared.broker import Message, Record
from shared.broker.headers import unpack
from shared.carrying import dead_letter
from shared.channels import Parked, WebhookRequest
from shared.cloudevents import decode, encode
from shared.database import is_deadlock, transaction
from shared.errors import Conflict
from shared.events import (
    Attachment,
    CaseChanged,
    CaseEvent,
    DeliveryReported,
    DeliveryStatusReceived,
    MessageReceived,
    Thread,
)
from shared.ops import letters
from shared.parking import park
from shared.web.app import make_app
from tests.builders import NOON, after, mail, message
from tests.people import merge, owner, who
from tests.rooms import Room, make_room
from tests.scanning import files_of, holding, rows_of
from tests.waiting import until

NUMBER, MAIL = "+31687654321", "ada.quill@example.org"
PHONE, ADDRESS = f"e164:{NUMBER}", f"email:{MAIL}"
# One word for each place that holds the person's words.
WORDS = (
    "quillfeather", "31687654321", "ada.quill@", "zebrafish", "marmalade", "kumquat", "tamarind",
    "saffron", "turmeric", "cardamom", "paprika", "oregano", "rosemary", "wasabi", "fenugreek",
    "sumac", "anise", "juniper", "caraway", "lovage", "sorrel", "chervil", "borage", "tarragon",
    "fennel", "mugwort",
)  # fmt: skip
CODE = codes.written(0x12_3456_789A)
DUE = after(days=20)


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


# --- a person with a past --------------------------------------------------------------------


def ada() -> Any:
    return who(PHONE, name="Ada Quillfeather")


async def kept(room: Room, *contents: bytes) -> list[Any]:
    blobs = [blob_for(content) for content in contents]
    await room.runtime.blobs.put([(b.ref, c) for b, c in zip(blobs, contents, strict=True)])
    return blobs


async def said(room: Room) -> list[MessageReceived]:
    """What she wrote: WhatsApp with its raw item, and a mail with all that hangs on one."""
    whole, page, raw, file = await kept(
        room, b"whole zebrafish", b"<p>page kumquat</p>", b"raw tamarind", b"file saffron"
    )
    shared = (await kept(room, b"a leaflet that many send"))[0]
    attachments = (
        Attachment(name="sumac.txt", content_type="text/plain", size=12, blob=file),
        Attachment(name="leaflet.pdf", content_type="application/pdf", blob=shared),
    )
    return [
        message(
            "Where is my marmalade?", sender=ada(), raw={"from": "31687654321", "x": "turmeric"},
            attributes={"note": "cardamom"}, reference="wamid.PAPRIKA",
        ),
        mail(
            "begins zebrafish", sender=who(ADDRESS, "customer_no:900100", proven=False,
                                           name="Ada Quillfeather"),
            subject="About oregano", text_blob=whole, html_blob=page, raw_blob=raw,
            attachments=attachments, reference="<rosemary@quill.example>",
        ),
    ]  # fmt: skip


async def live(room: Room) -> UUID:
    """Everything that can happen to a customer; the record's id."""
    words = await said(room)
    await room.hear(*words)
    customer = await owner(room, PHONE)
    await merge(room, customer, await owner(room, ADDRESS), "wasabi says so")
    (case,) = await room.rows("SELECT id FROM cases WHERE channel = 'whatsapp'")
    (mailed,) = await room.rows("SELECT id FROM cases WHERE channel = 'email'")
    await room.tell(case.id, cmd.TakeNote(uuid4(), "jo", "fenugreek"))
    made = cmd.MakePromise(uuid4(), "jo", "call_back", "about juniper", after(hours=3))
    await room.tell(case.id, made)
    consent = {"by": "Ada Quillfeather", "at": NOON.isoformat(), "how": "caraway"}
    await room.tell(
        case.id,
        cmd.RenegotiatePromise(made.promise_id, uuid4(), "jo", due_at=after(hours=4),
                               consent=consent),
    )  # fmt: skip
    file = (await kept(room, b"result lovage"))[0]
    await room.tell(
        case.id,
        cmd.RecordResult("jo", "tracking_number", "final", {"number": "sorrel"},
                         (Attachment(name="sorrel.txt", content_type="t", blob=file),)),
    )  # fmt: skip
    await room.tell(
        case.id,
        cmd.OfferHandoff(uuid4(), "jo", "agent", to_channel="email", address=MAIL, code=CODE,
                         way=cmd.Way(address="support@example.org"), invitation_id=uuid4()),
    )  # fmt: skip
    await room.tell(
        case.id,
        cmd.OfferHandoff(uuid4(), "jo", "because of chervil", to_team="claims",
                         results=("tracking_number v1",)),
    )  # fmt: skip
    (row,) = await room.rows("SELECT version FROM cases WHERE id = :id", id=case.id)
    reply = cmd.Reply(uuid4(), "jo", "Dear Ada Quillfeather, borage", row.version)
    await room.tell(case.id, reply)
    await room.tell(mailed.id, cmd.Pause("jo", "waiting_internal", after(days=400), "tarragon"))
    await room.hear(
        mail("R-0000-0000", sender=who(ADDRESS, proven=False), reference="<w@x>", at=after(hours=1))
    )
    await deliver(room)
    await room.report(
        DeliveryReported(
            delivery_id=uuid4(), case_id=case.id, effect="reply", status="failed", at=NOON,
            message_id=reply.message_id, account="desk-whatsapp", reason=f"fennel {NUMBER}",
        )
    )  # fmt: skip
    async with transaction(room.engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO surveys (case_id, customer_id, team, agent, channel, product, score, "
                "comment) VALUES (:case, :customer, 'parcels', 'jo', 'whatsapp', '', 2, 'mugwort')"
            ),
            {"case": case.id, "customer": customer},
        )
    await die(room, words[0], case.id)
    return customer


async def changes(room: Room) -> list[Any]:
    rows = await room.rows(
        "SELECT id, key, value, headers FROM outbox WHERE topic = 'cases.changed' ORDER BY id"
    )
    return [
        decode(Record("cases.changed", 0, r.id, r.key, r.value, unpack(bytes(r.headers)), NOON))
        for r in rows
    ]


async def deliver(room: Room, found: Iterable[Any] | None = None) -> None:
    """The notifier plans what the outbox asks for; a provider has answered one try."""
    async with transaction(room.engine) as connection:
        planned = list(found) if found is not None else await changes(room)
        await Notifier(room.clock).on_case_events(connection, planned)
        await connection.execute(
            text(
                "INSERT INTO attempts (delivery_id, number, at, took_ms, status, error, response) "
                "SELECT id, 1, now(), 3, 400, 'bad anise', '{\"input\": \"31687654321\"}' "
                "FROM deliveries ON CONFLICT DO NOTHING"
            )
        )


def poisoned(body: MessageReceived, offset: int) -> Message:
    """What a consumer makes of a record that it cannot handle."""
    m = encode("messages.received", b"key", body, id=str(body.id), source="/x")
    record = Record("messages.received", 0, offset, m.key, m.value, m.headers, NOON)
    return dead_letter(record, "KeyError")


async def die(room: Room, poison: MessageReceived, case_id: UUID) -> None:
    """Dead letters of three kinds: a record, a body nobody could read, a delivery given up."""
    record = poisoned(poison, 0)
    body = f"From=whatsapp%3A{quote_plus(NUMBER)}&Body=anise".encode()
    request = WebhookRequest(
        method="POST", path="/webhooks/x", query=[], raw_query="", headers={}, body=body,
        received_at=NOON,
    )  # fmt: skip
    parked, blobs = park(Parked(b"item anise 31687654321", "odd"), "desk", NOON, request)
    await room.runtime.blobs.put([(b.ref, b.content) for b in blobs])
    async with transaction(room.engine) as connection:
        await letters.store(
            connection, "here",
            [Record("messages.received.dlq", 0, n, m.key, m.value, m.headers, NOON)
             for n, m in enumerate((record, parked))],
        )  # fmt: skip
        await connection.execute(
            text(
                "INSERT INTO dead_letters (id, topic, dedupe, key, value, headers, reason, "
                "first_at, last_at) VALUES (:id, 'deliveries', 'd', :key, 'borage', '\\x90', "
                "'anise', now(), now())"
            ),
            {"id": uuid4(), "key": case_id.bytes},
        )


async def bob(room: Room) -> tuple[UUID, UUID]:
    """Somebody else, with much the same, and the same leaflet."""
    leaflet = blob_for(b"a leaflet that many send")
    attachment = Attachment(name="leaflet.pdf", content_type="application/pdf", blob=leaflet)
    await room.hear(
        message(
            "Where is mine?", sender=who("e164:+31600000001", name="Bob"), attachments=(attachment,)
        )
    )
    customer = await owner(room, "e164:+31600000001")
    (case,) = await room.rows("SELECT id FROM cases WHERE customer_id = :id", id=customer)
    await room.tell(case.id, cmd.TakeNote(uuid4(), "jo", "asked the depot"))
    await room.tell(case.id, cmd.MakePromise(uuid4(), "jo", "other", "soon", after(days=300)))
    return customer, case.id


async def erase(room: Room, admin: httpx.AsyncClient, customer: UUID) -> Any:
    answer = await admin.delete(f"/v1/customers/{customer}", params={"reason": "asked by mail"})
    assert answer.status_code == 202, answer.text
    room.clock.at = max(room.clock.at, DUE, datetime.fromisoformat(answer.json()["due_at"]))
    await Erasing(room.handlers).work()
    return answer.json()


async def close(room: Room, *besides: UUID) -> None:
    """Every case but these, with what was promised on it kept."""
    for row in await room.rows("SELECT id, case_id FROM promises WHERE state = 'open'"):
        if row.case_id not in besides:
            await room.tell(row.case_id, cmd.KeepPromise(row.id, "jo", "told them: juniper"))
    for case in await room.rows("SELECT id FROM cases"):
        if case.id not in besides:
            await room.tell(case.id, cmd.Close("jo", "done"))


async def forget_repeats(room: Room) -> None:
    """As if nine days had passed: nothing is known for a repeat any more."""
    async with transaction(room.engine) as connection:
        await connection.execute(text("TRUNCATE dedupe"))


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


async def test_while_something_is_being_sent_it_waits(room: Room, admin: httpx.AsyncClient) -> None:
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
    await sending("pending")
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
    assert holding(await rows_of(room.engine), ("marmalade",))
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


async def test_bytes_that_somebody_puts_again_are_not_removed(room: Room) -> None:
    (blob,) = await kept(room, b"again and again")
    blobs = room.runtime.blobs
    since = (blobs.root / blob.ref).stat().st_mtime
    assert await blobs.remove(blob.ref, since - 10) is False
    assert await blobs.get(blob.ref) == b"again and again"
    assert await blobs.remove(blob.ref, since + 10) is True
    assert await blobs.get(blob.ref) is None
    assert files_of(blobs.root) == {}
