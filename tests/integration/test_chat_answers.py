"""An agent's answer in a chat: in the store once, and by mail once where nobody read it."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.ingest import chat_store
from services.notifier.follow_ups import FollowUps, senders_of
from services.notifier.service import service
from shared.channels.webchat import Visitor
from shared.database import transaction
from shared.errors import Misconfigured
from shared.events import Attachment, Identity
from tests.builders import NOON
from tests.chatting import chat_accounts
from tests.fakes.smtp import FakeSmtp
from tests.notifying import Notifying, notifying
from tests.waiting import until

FOLLOWED = "follow_up_from: support-mail"


@dataclass
class Chatting:
    """A notifier whose chat follows up by a mail server of ours."""

    room: Notifying
    smtp: FakeSmtp

    async def session(self, **said: Any) -> UUID:
        visitor = Visitor(uuid4(), **said)
        async with transaction(self.room.runtime.engine) as connection:
            now = self.room.clock()
            until = now + timedelta(days=1)
            await chat_store.begin(connection, visitor, "chat", b"t", now, until)
        return visitor.session

    async def answer(self, session: UUID, *words: str, **given: Any) -> UUID:
        """Answers in one case; its id."""
        case = await self.room.open_case()
        recipient = Identity(scheme="chat", value=str(session))
        for each in words:
            values = {
                "account": "chat", "channel": "webchat", "recipient": recipient,
                "reply_window_closes_at": None, "subject": "A parcel",
            } | given  # fmt: skip
            await self.room.hear(self.room.reply(case, each, **values))
        return case

    async def read(self, session: UUID, upto: int) -> None:
        async with transaction(self.room.runtime.engine) as connection:
            now = self.room.clock()
            await chat_store.find(connection, session, None, lock=True)
            await chat_store.mark(connection, session, delivered=upto, read=upto, until=now)

    async def plan(self) -> int:
        return await FollowUps(self.room.runtime, senders_of(self.room.runtime.accounts)).plan()

    async def lines(self) -> list[tuple[int, str]]:
        rows = await self.room.rows("SELECT n, text FROM chat_lines ORDER BY n")
        return [tuple(row) for row in rows]

    async def kinds(self) -> list[tuple[str, str]]:
        rows = await self.room.rows(
            "SELECT effect, state FROM deliveries ORDER BY created_at, effect DESC, seq"
        )
        return [tuple(row) for row in rows]

    async def wait_for(self, *kinds: tuple[str, str]) -> None:
        async def there() -> bool:
            return await self.kinds() == list(kinds)

        try:
            await until(there)
        except TimeoutError:
            raise AssertionError((kinds, await self.kinds())) from None

    def bodies(self) -> list[str]:
        mails = [email.message_from_bytes(each.content) for each in self.smtp.accepted]
        return [bytes(mail.get_payload(decode=True)).decode() for mail in mails]


@asynccontextmanager
async def chatting(url: str, folder: Path, more: str) -> AsyncIterator[Chatting]:
    async with FakeSmtp() as smtp, notifying(url, folder) as room:
        room.runtime = replace(room.runtime, accounts=chat_accounts(more, smtp.port))
        yield Chatting(room, smtp)


@pytest.fixture
async def chat(database_url: str, tmp_path: Path) -> AsyncIterator[Chatting]:
    async with chatting(database_url, tmp_path, FOLLOWED) as it:
        yield it


SENT = ("reply", "sent")


async def test_an_answer_is_in_the_store_once_and_in_order(chat: Chatting) -> None:
    session = await chat.session()
    await chat.answer(session, "one", "two")
    async with chat.room.sending(count=2):
        await chat.wait_for(SENT, SENT)
    assert await chat.lines() == [(1, "one"), (2, "two")]
    await chat.room.run("UPDATE deliveries SET state = 'pending', attempts = 0")
    async with chat.room.sending():
        await chat.wait_for(SENT, SENT)
    assert await chat.lines() == [(1, "one"), (2, "two")]
    reports = await chat.room.reports()
    assert {(r.status, r.provider_id) for r in reports} == {
        ("sent", str(r.message_id)) for r in reports
    }


async def test_nobody_left_to_read_it_is_a_failure_to_act_on(chat: Chatting) -> None:
    gone = await chat.session()
    await chat.room.run("UPDATE chat_sessions SET ended_at = now() WHERE id = :id", id=gone)
    await chat.answer(gone, "to whom?")
    await chat.answer(uuid4(), "to whom?")
    await chat.answer(gone, "x", recipient=Identity(scheme="chat", value="resume-1"))
    async with chat.room.sending():
        await chat.wait_for(*[("reply", "failed")] * 3)
    assert {report.code for report in await chat.room.reports()} == {"chat_over"}
    assert await chat.lines() == []


async def test_what_stays_unread_goes_together_in_one_mail(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
    chat.room.clock.at = NOON + timedelta(minutes=4, seconds=59)
    assert await chat.plan() == 0
    await chat.answer(session, "two")
    async with chat.room.sending():
        await chat.wait_for(SENT, SENT)
    chat.room.clock.at = NOON + timedelta(minutes=5)
    plans = await asyncio.gather(*(chat.plan() for _ in range(4)))
    assert sum(plans) == 1, "whoever plans it, plans all of it"
    async with chat.room.sending(count=2):
        await chat.wait_for(SENT, SENT, ("follow_up", "sent"))
    chat.room.clock.at = NOON + timedelta(hours=2)
    assert await chat.plan() == 0
    (body,) = chat.bodies()
    assert body.index("one") < body.index("two") < body.index("answer this mail")
    mail = email.message_from_bytes(chat.smtp.accepted[0].content)
    (newest,) = await chat.room.rows("SELECT message_id FROM chat_lines WHERE text = 'two'")
    assert mail["Message-ID"] == f"<regie.{newest.message_id}@shop.example>"
    assert mail["Subject"] == "A parcel"
    assert mail["Auto-Submitted"] is None, "a person wrote it"
    assert len(await chat.room.reports()) == 2, "of the mail the router is told nothing"


async def test_a_later_answer_gets_a_mail_of_its_own(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    for words, minutes in (("one", 6), ("two", 12)):
        await chat.answer(session, words)
        async with chat.room.sending():
            await chat.room.settled(*["sent"] * len(await chat.room.states()))
            chat.room.clock.at = NOON + timedelta(minutes=minutes)
            assert await chat.plan() == 1
            await chat.room.settled(*["sent"] * len(await chat.room.states()))
    assert ["one" in body for body in chat.bodies()] == [True, False]
    assert ["two" in body for body in chat.bodies()] == [False, True]


async def test_what_was_read_is_not_mailed(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one", "two")
    async with chat.room.sending():
        await chat.wait_for(SENT, SENT)
    await chat.read(session, 1)
    chat.room.clock.at = NOON + timedelta(minutes=5)
    assert await chat.plan() == 1
    async with chat.room.sending():
        await chat.wait_for(SENT, SENT, ("follow_up", "sent"))
    (body,) = chat.bodies()
    assert "one" not in body
    assert "two" in body


async def test_what_is_read_before_the_mail_leaves_is_dropped(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
    chat.room.clock.at = NOON + timedelta(minutes=5)
    assert await chat.plan() == 1
    await chat.read(session, 1)
    async with chat.room.sending():
        await chat.wait_for(SENT, ("follow_up", "dropped"))
    assert chat.smtp.accepted == []


async def test_a_doubtful_mail_is_not_sent_again(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
        chat.smtp.answer("DATA", "drop")
        chat.room.clock.at = NOON + timedelta(minutes=5)
        await chat.plan()
        await chat.wait_for(SENT, ("follow_up", "unknown"))
    assert len(await chat.room.reports()) == 1


async def test_a_busy_mail_server_is_tried_again(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
        chat.smtp.answer("RCPT", "451 4.7.1 later")
        chat.room.clock.at = NOON + timedelta(minutes=5)
        await chat.plan()

        async def tried() -> bool:
            rows = await chat.room.rows("SELECT 1 FROM attempts WHERE error LIKE 'throttled%'")
            return bool(rows)

        await until(tried)
        chat.room.clock.at = NOON + timedelta(minutes=6)
        await chat.wait_for(SENT, ("follow_up", "sent"))
    assert len(chat.smtp.accepted) == 1


async def test_who_left_no_address_is_mailed_nothing(chat: Chatting) -> None:
    session = await chat.session()
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
    chat.room.clock.at = NOON + timedelta(hours=1)
    assert await chat.plan() == 0
    async with transaction(chat.room.runtime.engine) as connection:
        assert await chat_store.unread(connection, session) == (1, None)


async def test_who_has_left_is_mailed_at_once(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org", language="de-AT")
    await chat.room.run("UPDATE chat_sessions SET ended_at = now() WHERE id = :id", id=session)
    await chat.answer(session, "one", subject="")
    async with chat.room.sending():
        await chat.wait_for(SENT)
        assert await chat.plan() == 1
        await chat.wait_for(SENT, ("follow_up", "sent"))
    assert "Sie haben unseren Chat verlassen" in chat.bodies()[0]
    assert email.message_from_bytes(chat.smtp.accepted[0].content)["Subject"] == "Ihr Chat mit uns"


async def test_who_leaves_with_something_unread_is_mailed_at_once(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "one")
    async with chat.room.sending():
        await chat.wait_for(SENT)
    async with transaction(chat.room.runtime.engine) as connection:
        await chat_store.end(connection, session, chat.room.clock())
    assert await chat.plan() == 1


async def test_a_code_is_forgotten_once_it_was_mailed(chat: Chatting) -> None:
    session = await chat.session(email="ada@example.org")
    await chat.answer(session, "Your code is R-7K4Q-2M9X", secret=True, human=False)
    async with chat.room.sending():
        await chat.wait_for(SENT)
        chat.room.clock.at = NOON + timedelta(minutes=5)
        await chat.plan()
        await chat.wait_for(SENT, ("follow_up", "sent"))
    rows = await chat.room.rows("SELECT payload::text FROM deliveries")
    assert not any("7K4Q" in row[0] for row in rows)
    assert "R-7K4Q-2M9X" in chat.bodies()[0]
    assert "Auto-Submitted: auto-replied" in chat.smtp.accepted[0].content.decode()


async def test_an_answer_with_a_file_keeps_it(chat: Chatting) -> None:
    session = await chat.session()
    file = Attachment(name="label.pdf", content_type="application/pdf", size=7)
    await chat.answer(session, "Here it is", attachments=(file,))
    async with chat.room.sending():
        await chat.wait_for(SENT)
    async with transaction(chat.room.runtime.engine) as connection:
        (line,) = await chat_store.lines_after(connection, session, 0, 10)
    assert line.files == (file,)


async def test_following_up_needs_a_mail_account(chat: Chatting) -> None:
    for named in ("nobody", "chat"):
        runtime = replace(chat.room.runtime, accounts=chat_accounts(f"follow_up_from: {named}"))
        with pytest.raises(Misconfigured, match="follow_up_from"):
            service(runtime)


@pytest.mark.parametrize("more", ["region: NL", FOLLOWED])
async def test_only_a_chat_that_follows_up_has_the_task(
    database_url: str, tmp_path: Path, more: str
) -> None:
    async with chatting(database_url, tmp_path, more) as it:
        assert ("chats followed up" in service(it.room.runtime).tasks) is (more == FOLLOWED)
