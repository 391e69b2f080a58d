"""A person to whom everything happened that can happen to a customer, and somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text

from services.ingest import chat_store
from services.notifier.handlers import Handlers as Notifier
from services.router import commands as cmd
from services.router.rights.erasing import Erasing
from shared import codes
from shared.blobs import blob_for
from shared.broker import Message, Record
from shared.broker.headers import unpack
from shared.carrying import dead_letter
from shared.channels import Parked, WebhookRequest
from shared.channels.webchat import Visitor
from shared.cloudevents import decode, encode
from shared.database import transaction
from shared.events import (
    Attachment,
    DeliveryReported,
    MessageReceived,
)
from shared.ops import letters
from shared.parking import park
from tests.builders import NOON, after, mail, message
from tests.people import merge, owner, who
from tests.rooms import Room

NUMBER, MAIL = "+31687654321", "ada.quill@example.org"
PHONE, ADDRESS = f"e164:{NUMBER}", f"email:{MAIL}"
# One word for each place that holds the person's words.
WORDS = (
    "quillfeather", "31687654321", "ada.quill@", "zebrafish", "marmalade", "kumquat", "tamarind",
    "saffron", "turmeric", "cardamom", "paprika", "oregano", "rosemary", "wasabi", "fenugreek",
    "sumac", "anise", "juniper", "caraway", "lovage", "sorrel", "chervil", "borage", "tarragon",
    "fennel", "mugwort", "nutmeg", "pimento",
)  # fmt: skip
CODE = codes.written(0x12_3456_789A)
DUE = after(days=20)


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
    await chats(room, uuid4(), email=MAIL, page="https://shop.example/nutmeg", said="pimento")
    return customer


async def chats(room: Room, session: UUID, *, said: str, **columns: str) -> UUID:
    """A chat with one line that the router has yet to hear of."""
    async with transaction(room.engine) as connection:
        await chat_store.begin(connection, Visitor(session), "chat", b"t", NOON, after(days=100))
        for name, value in columns.items():
            statement = f"UPDATE chat_sessions SET {name} = :value WHERE id = :id"
            await connection.execute(text(statement), {"value": value, "id": session})
        await chat_store.claim_line(
            connection, session, 1, message_id=uuid4(), print_=b"p", at=NOON, text=said, files=()
        )
    return session


async def changes(room: Room) -> list[Any]:
    rows = await room.rows(
        "SELECT id, key, value, headers FROM outbox WHERE topic = 'cases.changed' ORDER BY id"
    )
    return [
        decode(Record("cases.changed", 0, r.id, r.key, r.value, unpack(bytes(r.headers)), NOON))
        for r in rows
    ]


async def tell(room: Room, found: Iterable[Any] | None = None) -> None:
    """The notifier plans what the outbox asks for."""
    async with transaction(room.engine) as connection:
        planned = list(found) if found is not None else await changes(room)
        await Notifier(room.clock).on_case_events(connection, planned)


async def deliver(room: Room, found: Iterable[Any] | None = None) -> None:
    """The notifier plans what the outbox asks for; a provider has answered one try."""
    await tell(room, found)
    async with transaction(room.engine) as connection:
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
