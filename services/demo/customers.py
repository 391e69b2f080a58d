"""The customers: each story step by step, at a human pace, through the doors the providers use."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, localtime, make_msgid
from typing import Final

import structlog

from services.demo import posts
from services.demo.calls import Call
from services.demo.posts import Post
from services.demo.sink import Arrived
from services.demo.stories import PEOPLE, STORIES, THANKS, Contact, Person, Story
from shared.accounts import Account, Accounts

STATUSES: Final = (("sent", 0.2), ("delivered", 0.8), ("read", 6.0))
_CODE: Final = re.compile(r"R-[0-9A-Z]{4}-[0-9A-Z]{4}")
_THANKFUL: Final = 0.5

log = structlog.get_logger("demo")


class Customers:
    """What they do goes out by `post`; `later` runs something beside the rest.

    sink   where a recording would be found
    pause  sleeps so many seconds; a test has no time for that
    """

    def __init__(
        self,
        accounts: Accounts,
        post: Callable[[Post], Awaitable[str]],
        later: Callable[[Awaitable[None]], None],
        dice: random.Random,
        sink: str,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._mail, self._whatsapp, self._phone, self._portal = (
            _account(accounts, name)
            for name in ("shop-mail", "shop-whatsapp", "shop-phone", "shop-portal")
        )
        self._post = post
        self._later = later
        self._dice = dice
        self._sink = sink
        self._pause = pause
        self._busy: set[Person] = set()
        self._first_mails: dict[Person, str] = {}

    # --- of their own accord ---------------------------------------------------------------

    async def live(self) -> None:
        """For ever: a new matter every few seconds; the first three at once."""
        shuffled: list[Story] = list(STORIES[3:])
        for story in STORIES[:3]:
            self._begin(story)
            await self._pause(1.5)
        while True:
            self._dice.shuffle(shuffled)
            for story in (*shuffled, *STORIES[:3]):
                await self._pause(self._dice.uniform(5, 11))
                self._begin(story)

    def _begin(self, story: Story) -> None:
        free = [p for p in PEOPLE if p.language == story.language and p not in self._busy]
        if free:
            self._later(self._tell(story, self._dice.choice(free)))

    async def _tell(self, story: Story, person: Person) -> None:
        self._busy.add(person)
        try:
            for contact in story.contacts:
                await self._pause(contact.after * self._dice.uniform(0.8, 1.2))
                await self._do(contact, person)
        finally:
            self._busy.discard(person)

    async def _do(self, contact: Contact, person: Person) -> None:
        log.info("a customer", does=contact.by)
        match contact.by:
            case "whatsapp":
                post = self._message(person, contact.text.format(mail=person.mail))
            case "email":
                post = self._letter(person, contact.subject, contact.text)
            case "portal":
                post = self._form(person, contact.text)
            case _:
                await self._ring(contact, person)
                return
        for _ in range(2 if contact.twice else 1):
            await self._post(post)

    async def _ring(self, contact: Contact, person: Person) -> None:
        call = Call(self._phone, person.number, person.name, self._post, self._sink)
        if contact.by == "answered_call":
            await call.answered(self._dice.randrange(40, 400))
        else:
            await call.voicemail(contact.text)

    # --- when something of ours reaches them -------------------------------------------------

    def hear(self, arrived: Arrived) -> None:
        """A reply, or an invitation to go on elsewhere."""
        log.info("reached a customer", channel=arrived.channel)
        if arrived.channel == "whatsapp":
            self._later(self._report(arrived))
        person = next((p for p in PEOPLE if arrived.to in (p.digits, p.mail)), None)
        if person is None:
            return
        if code := _CODE.search(arrived.text):
            self._later(self._go_on_by_mail(person, code[0]))
        elif self._dice.random() < _THANKFUL:
            self._later(self._thank(person, arrived))

    async def _report(self, arrived: Arrived) -> None:
        """Meta tells how far the message got."""
        for status, after in STATUSES:
            await self._pause(after)
            item = posts.whatsapp_status(arrived.id, status, arrived.to, arrived.correlation)
            await self._post(posts.whatsapp(self._whatsapp, item))

    async def _thank(self, person: Person, arrived: Arrived) -> None:
        await self._pause(self._dice.uniform(9, 20))
        words = self._dice.choice(THANKS[person.language])
        if arrived.channel == "email":
            await self._post(self._letter(person, f"Re: {arrived.subject}", words, arrived.id))
        elif self._dice.random() < 0.4:
            item = posts.whatsapp_reaction(person.digits, "👍", arrived.id)
            await self._post(posts.whatsapp(self._whatsapp, item, person.name))
        else:
            await self._post(self._message(person, words, arrived.id))

    async def _go_on_by_mail(self, person: Person, code: str) -> None:
        await self._pause(self._dice.uniform(8, 16))
        words = {
            "en": f"Hello,\n\nHere I am, with code {code}. The picture is ready to be sent.",
            "nl": f"Hallo,\n\nHier ben ik, met code {code}. De foto staat klaar.",
        }
        await self._post(self._letter(person, f"Code {code}", words[person.language]))

    # --- what they send ----------------------------------------------------------------------

    def _message(self, person: Person, text: str, answers: str = "") -> Post:
        item = posts.whatsapp_text(person.digits, text, answers)
        return posts.whatsapp(self._whatsapp, item, person.name)

    def _letter(self, person: Person, subject: str, text: str, answers: str = "") -> Post:
        mail = EmailMessage()
        mail["From"] = formataddr((person.name, person.mail))
        mail["To"] = str(self._mail.settings["address"])
        mail["Subject"] = subject
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = make_msgid(domain="customers.example.org")
        if subject.startswith("Re:"):
            answers = answers or self._first_mails.get(person, "")
        if answers:
            mail["In-Reply-To"] = mail["References"] = answers
        else:
            self._first_mails[person] = str(mail["Message-ID"])
        mail.set_content(f"{text}\n\n{person.name}\n")
        return posts.mail(self._mail, mail)

    def _form(self, person: Person, text: str) -> Post:
        sender = {
            "scheme": "e164", "address": person.number, "name": person.name, "verified": True,
        }  # fmt: skip
        message = {"kind": "callback_requested", "from": sender, "text": text}
        return posts.portal(self._portal, {**message, "language": person.language})


def _account(accounts: Accounts, name: str) -> Account:
    found = accounts.get(name)
    assert found is not None, "traffic() has checked that the demo's accounts are there"
    return found
