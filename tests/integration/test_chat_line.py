"""The whole line of a web chat: a visitor asks, an agent answers, what is not read is mailed."""

from __future__ import annotations

import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.ingest.intake import Intake
from services.ingest.service import service as ingest
from services.notifier.service import service as notifier
from services.router.service import service as router
from shared.channels import Parsed
from shared.channels.email import message_from_mime
from shared.runtime import Runtime
from tests.builders import mail
from tests.chatting import Page, chat_accounts, chat_runtime, visit
from tests.doors import Door, open_door
from tests.fakes.smtp import FakeSmtp
from tests.waiting import until


@dataclass
class House:
    door: Door
    runtime: Runtime
    smtp: FakeSmtp

    async def visit(self, **said: Any) -> Page:
        return await visit(self.door.http, **said)

    async def case_of(self, words: str, **filters: str) -> dict[str, Any]:
        found: list[Any] = []

        async def there() -> bool:
            query = {"q": words, "state": "open,waiting_customer", **filters}
            answer = await self.door.http.get("/v1/inbox", params=query, headers=self.door.headers)
            found[:] = answer.json()["items"]
            return bool(found)

        await until(there)
        case: dict[str, Any] = found[0]
        return case

    async def answer(self, case: dict[str, Any], words: str) -> dict[str, Any]:
        path, headers = f"/v1/cases/{case['id']}", self.door.headers
        await self.door.http.post(f"{path}/claim", headers=headers)
        answer = await self.door.http.post(f"{path}/replies", json={"text": words}, headers=headers)
        assert answer.status_code == 202, answer.text
        given: dict[str, Any] = answer.json()
        return given

    async def said(self, case: dict[str, Any]) -> list[dict[str, Any]]:
        path = f"/v1/cases/{case['id']}/timeline"
        answer = await self.door.http.get(path, headers=self.door.headers)
        return [item for item in answer.json()["items"] if item["type"] == "message"]

    async def state(self, case: dict[str, Any], words: str, state: str) -> None:
        async def there() -> bool:
            rows = [i for i in await self.said(case) if i.get("text") == words]
            return bool(rows) and rows[0]["state"] == state

        await until(there)


@asynccontextmanager
async def house(url: str, folder: Path, more: str) -> AsyncIterator[House]:
    async with FakeSmtp() as smtp:
        runtime = chat_runtime(url, folder, chat_accounts(more, smtp.port))
        rooms = [ingest(runtime), router(runtime), notifier(runtime)]
        rooms[0] = replace(rooms[0], subscriptions=(), tasks={"chats": rooms[0].tasks["chats"]})
        async with open_door(runtime, rooms) as door:
            yield House(door, runtime, smtp)


@pytest.fixture
async def at_once(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """An unread answer is mailed without delay."""
    soon = "follow_up_from: support-mail\n    follow_up_after: 0s"
    async with house(database_url, tmp_path, soon) as it:
        yield it


@pytest.fixture
async def patient(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(database_url, tmp_path, "follow_up_from: support-mail") as it:
        yield it


async def test_a_visitor_is_answered_where_they_wrote(patient: House) -> None:
    page = await patient.visit(name="Ada", page="https://shop.example/parcels")
    async with page.stream() as events:
        assert (await page.say(1, "Where is my parcel?")).status_code == 202
        case = await patient.case_of("parcel")
        assert (case["channel"], case["customer"]["name"]) == ("webchat", "Ada")
        await patient.answer(case, "It left today.")
        await events.has("Where is my parcel?", "It left today.")
    await patient.state(case, "It left today.", "sent")
    assert (await page.post("/delivered", {"upto": 2})).json() == {"delivered": 2, "read": 0}
    await patient.state(case, "It left today.", "delivered")
    assert (await page.read(2)).json() == {"delivered": 2, "read": 2}
    await patient.state(case, "It left today.", "read")
    answered = await patient.case_of("parcel")
    assert answered["state"] == "waiting_customer"
    assert patient.smtp.accepted == []


async def test_the_session_is_one_thread_in_order(patient: House) -> None:
    page = await patient.visit()
    for seq, words in enumerate(("first kumquat", "second", "third"), start=1):
        assert (await page.say(seq, words)).status_code == 202
    case = await patient.case_of("kumquat")

    async def all_three() -> bool:
        return len(await patient.said(case)) == 3

    await until(all_three)
    assert [i["text"] for i in await patient.said(case)] == ["first kumquat", "second", "third"]


async def test_what_is_not_read_is_mailed_once_and_the_answer_comes_back(at_once: House) -> None:
    page = await at_once.visit(email="Ada@Example.org", language="nl")
    await page.say(1, "Where is my kumquat?")
    case = await at_once.case_of("kumquat")
    await at_once.answer(case, "It left today.")

    async def mailed() -> bool:
        return bool(at_once.smtp.accepted)

    await until(mailed)
    (sent,) = at_once.smtp.accepted
    assert sent.recipients == ("ada@example.org",)
    mail = email.message_from_bytes(sent.content)
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "It left today." in body.decode()
    assert "U verliet onze chat" in body.decode()
    before = await at_once.door.rows("SELECT state, answered_at FROM cases")
    assert [row.state for row in before] == ["waiting_customer"]

    raw = (
        f"From: ada@example.org\r\nTo: help@shop.example\r\nSubject: Re: x\r\n"
        f"Message-ID: <back@example.org>\r\nIn-Reply-To: {mail['Message-ID']}\r\n\r\nThank you\r\n"
    ).encode()
    account = at_once.runtime.accounts.get("support-mail")
    assert account is not None
    parsed = message_from_mime(raw, account, None, ["help@shop.example"], at_once.runtime.now())
    intake = Intake(at_once.runtime.broker, at_once.runtime.blobs, at_once.runtime.now)
    await intake.accept(parsed, "support-mail")

    async def joined() -> bool:
        return "Thank you" in [(i.get("text") or "").strip() for i in await at_once.said(case)]

    await until(joined)
    assert len(at_once.smtp.accepted) == 1


async def test_who_says_they_are_a_customer_is_found_marked_and_answered_in_the_chat(
    patient: House,
) -> None:
    known = mail("My kumquats arrived, thank you", address="ada@example.org")
    known = msgspec.structs.replace(known, account="support-mail")
    intake = Intake(patient.runtime.broker, patient.runtime.blobs, patient.runtime.now)
    await intake.accept(Parsed(messages=(known,)), "support-mail")
    mailed = await patient.case_of("kumquats")
    page = await patient.visit(email="ada@example.org")
    async with page.stream() as events:
        await page.say(1, "And my tamarinds?")
        case = await patient.case_of("tamarinds")
        assert case["customer"]["id"] == mailed["customer"]["id"]
        assert case["id"] != mailed["id"], "nothing of the mail's case is answered to a stranger"
        await page.say(2, "They are late")
        await patient.answer(case, "On their way.")
        await events.has("And my tamarinds?", "They are late", "On their way.")
    said = [(i["text"], i["marked"]) for i in await patient.said(case) if i["direction"] == "in"]
    assert said == [
        ("And my tamarinds?", "asserted_identity"),
        ("They are late", "asserted_identity"),
    ]
    identities = await patient.door.rows("SELECT scheme, value FROM identities")
    assert [tuple(row) for row in identities] == [("email", "ada@example.org")]
    # Another who says the same gets a case of their own, and hears nothing of this one.
    other = await patient.visit(email="ada@example.org")
    await other.say(1, "Where are my durians?")
    third = await patient.case_of("durians")
    assert third["id"] not in (case["id"], mailed["id"])
    await patient.answer(third, "Ours?")
    async with other.stream() as events:
        await events.has("Where are my durians?", "Ours?")
