"""History, made by the real handlers and the real clock: for what reads it back."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from services.router import commands as cmd
from services.router import queries
from services.router.clock import Clock
from shared.database import transaction
from shared.events import DeliveryReported, MessageReceived
from tests.builders import NOON, mail, message, sender
from tests.rooms import Room

STEP: Final = timedelta(minutes=10)
_WORDS: Final = (
    "Where is my parcel 3SABC{n:07d}? It should have come yesterday.",
    "Goedemorgen, mijn pakket {n} is beschadigd aangekomen, wat moet ik doen?",
    "Can I change the delivery address of my order {n}? I am not at home on Friday.",
    "It arrived damaged, order {n}: the lid is broken.",
    "I did not get an answer about order {n} yet - could somebody look, please?",
)
_CHANNELS: Final = ("whatsapp", "whatsapp", "email", "phone", "portal", "webchat")


class Past:
    """A room, told what happened."""

    def __init__(self, room: Room) -> None:
        self.room = room

    async def fire(self) -> None:
        """Time has come: everything that is due now is decided, and the log is level with it."""
        async with transaction(self.room.engine) as connection:
            await connection.exec_driver_sql(
                "INSERT INTO positions (grp, cluster, topic, partition, next, last_at) "
                "SELECT 'regie.router', $1, 'messages.received', p, 1, $2 "
                "FROM generate_series(0, 11) AS p ON CONFLICT (grp, cluster, topic, partition) "
                "DO UPDATE SET last_at = excluded.last_at",
                (self.room.runtime.broker.cluster, self.room.clock()),
            )
        clock = Clock(self.room.handlers)
        while await clock.fire():
            pass

    async def pass_until(self, at: datetime) -> None:
        """Every timer fires a moment after its time, as the clock does, which looks twice a
        second."""
        while True:
            (row,) = await self.room.rows("SELECT min(fire_at) FROM timers")
            if row[0] is None or row[0] >= at:
                break
            self.room.clock.at = max(row[0], self.room.clock.at) + timedelta(milliseconds=300)
            await self.fire()
        self.room.clock.at = at

    async def ask(self, asked: Sequence[tuple[UUID, cmd.Command]]) -> None:
        """Many agents' commands, at one desk."""
        async with transaction(self.room.engine) as connection:
            desk = await self.room.handlers.desk(connection)
            desk.seat(await queries.lock_cases(connection, [case_id for case_id, _ in asked]))
            for case_id, command in asked:
                desk.decide(case_id, command)
            await desk.save()

    async def reply(self, case_id: UUID, *, text: str = "It is on its way.") -> UUID:
        """An agent answers all there is; the answer is not reported sent yet."""
        (row,) = await self.room.rows("SELECT version FROM cases WHERE id = :id", id=case_id)
        reply = cmd.Reply(message_id=uuid4(), agent="jo", text=text, answers=row.version)
        await self.ask([(case_id, reply)])
        return reply.message_id

    async def sent(self, *replies: tuple[UUID, UUID], status: str = "sent") -> None:
        """What became of replies, as (case, message)."""
        await self.room.report(*(_reported(*reply, status, self.room.clock()) for reply in replies))


def _reported(case_id: UUID, message_id: UUID, status: str, at: datetime) -> DeliveryReported:
    return DeliveryReported(
        delivery_id=uuid4(), case_id=case_id, effect="reply", at=at, message_id=message_id,
        status=status, account="desk-whatsapp", provider_id=message_id.hex,  # type: ignore[arg-type]
    )  # fmt: skip


class Town(Past):
    """Many customers on several channels, and agents who answer some of them in time.

    The same seed makes the same history.
    """

    def __init__(self, room: Room, seed: int = 5) -> None:
        super().__init__(room)
        self._random = random.Random(seed)
        self._people = 0

    async def live(self, steps: int, arrivals: int) -> None:
        """`arrivals` messages in each step of ten minutes from NOON on."""
        for step in range(steps):
            await self.pass_until(NOON + step * STEP)
            await self.room.hear(*(self._message() for _ in range(arrivals)))
            await self._work(arrivals)
            await self._answer(arrivals * 2 // 3)
            await self._close(arrivals // 2)

    def _message(self) -> MessageReceived:
        """Four of ten come from somebody who wrote before."""
        chance = self._random.random()
        if chance < 0.4 and self._people:
            person = self._random.randrange(self._people)
        else:
            person, self._people = self._people, self._people + 1
        channel = _CHANNELS[person % len(_CHANNELS)]
        text = _WORDS[self._random.randrange(len(_WORDS))].format(n=person)
        at = self.room.clock() - timedelta(seconds=self._random.randrange(5))
        if channel == "whatsapp":
            return message(text, at, sender=sender(f"+316{person:08d}"))
        if channel == "phone":
            return message(
                "", at, account="desk-phone", channel="phone", kind="call_missed",
                sender=sender(f"+316{person:08d}", authentication="asserted"),
                reply_window_closes_at=None,
            )  # fmt: skip
        account = {"email": "support-mail", "portal": "service-portal"}.get(channel, "web-chat")
        return mail(
            text, at, address=f"p{person}@example.org", account=account, channel=channel,
            subject=f"Order {person}",
        )  # fmt: skip

    async def _some(self, where: str, most: int) -> Sequence[UUID]:
        rows = await self.room.rows(
            f"SELECT id FROM cases WHERE {where} ORDER BY opened_at, subject, id LIMIT {most * 3}"
        )
        ids = [row.id for row in rows]
        return self._random.sample(ids, min(most, len(ids)))

    async def _work(self, most: int) -> None:
        """Claimed, and half of them noted on or made more urgent."""
        asked: list[tuple[UUID, cmd.Command]] = []
        for case_id in await self._some("state = 'open' AND agent = ''", most // 2):
            asked.append((case_id, cmd.Claim("jo")))
            if self._random.random() < 0.3:
                asked.append((case_id, cmd.TakeNote(uuid4(), "jo", "asked the depot")))
            elif self._random.random() < 0.2:
                asked.append((case_id, cmd.ReviseCase("jo", priority="urgent")))
        await self.ask(asked)

    async def _answer(self, most: int) -> None:
        """A minute later sent; one of twenty fails."""
        waiting = "state = 'open' AND waiting_since IS NOT NULL"
        ids = await self._some(waiting, most)
        rows = await self.room.rows(
            "SELECT id, version, channel FROM cases WHERE id = ANY(:ids)", ids=list(ids)
        )
        asked = [(row.id, _answer(row.version, row.channel)) for row in rows]
        await self.ask(asked)
        await self.pass_until(self.room.clock() + timedelta(minutes=1))
        replies = [(case_id, reply.message_id) for case_id, reply in asked if not reply.outcome]
        failing = len(replies) // 20
        await self.sent(*replies[failing:])
        await self.sent(*replies[:failing], status="failed")

    async def _close(self, most: int) -> None:
        ids = await self._some("state = 'waiting_customer'", most)
        await self.ask([(case_id, cmd.Close("jo", "done")) for case_id in ids])


def _answer(version: int, channel: str) -> cmd.Reply:
    return cmd.Reply(
        message_id=uuid4(),
        agent="jo",
        text="It is on its way.",
        answers=version,
        outcome="reached" if channel == "phone" else "",
    )
