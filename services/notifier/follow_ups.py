"""Answers in a web chat that nobody read go by mail, together, once.

Planned in one transaction with the mark on the lines, so that no line goes by two mails; sent as
every reply is. What is read before the mail leaves is dropped as stale. The mail bears the id of
the newest answer in it: whoever answers the mail comes back to the same case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.notifier import queries
from services.notifier.models import FOLLOW_UP, Planned, delivery_id, target_of
from shared.accounts import Account, Accounts
from shared.channels.webchat import settings_of, takes_chats
from shared.chat import files_of
from shared.database import driver, is_deadlock, transaction
from shared.errors import Misconfigured, Unavailable
from shared.events import Identity, ReplyRequested
from shared.runtime import Runtime
from shared.telemetry import describe

LIVES: Final = timedelta(hours=24)
_EVERY: Final = 1.0
_AT_ONCE: Final = 50
_ENCODER: Final = msgspec.json.Encoder()
_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "en": ("Your chat with us", "You left our chat before you could read this:",
           "To go on, answer this mail."),
    "nl": ("Uw chat met ons", "U verliet onze chat voordat u dit kon lezen:",
           "U kunt verdergaan door deze mail te beantwoorden."),
    "de": ("Ihr Chat mit uns", "Sie haben unseren Chat verlassen, bevor Sie dies lesen konnten:",
           "Antworten Sie auf diese Mail, um fortzufahren."),
    "fr": ("Votre discussion avec nous",
           "Vous avez quitté notre discussion avant d'avoir pu lire ceci :",
           "Pour continuer, répondez à ce message."),
}  # fmt: skip

log = structlog.get_logger("notifier")


@dataclass(frozen=True)
class FollowUps:
    """Any number of processes may do this. `senders`: by chat account, the mail account."""

    runtime: Runtime
    senders: Mapping[str, str]

    async def run(self) -> None:
        while True:
            try:
                while await self.plan() == _AT_ONCE:
                    pass
            except (Unavailable, PoolTimeout) as error:
                log.warning("follow-ups wait", error=describe(error))
            except Exception as error:
                if not is_deadlock(error):
                    raise
            await asyncio.sleep(_EVERY)

    async def plan(self) -> int:
        """One batch of sessions with an answer that stayed unread too long; how many."""
        now = self.runtime.now()
        async with transaction(self.runtime.engine) as connection:
            raw = await driver(connection)
            sessions = await raw.fetch(_DUE, now, _AT_ONCE)
            if not sessions:
                return 0
            ids = [row["id"] for row in sessions]
            unread: dict[UUID, list[Any]] = {id: [] for id in ids}
            for row in await raw.fetch(_UNREAD, ids):
                unread[row["session_id"]].append(row)
            letters = {
                row["id"]: planned(row, lines, sender, now)
                for row in sessions
                if (lines := unread[row["id"]]) and (sender := self.senders.get(row["account"], ""))
            }
            await queries.add(connection, list(letters.values()), now)
            await raw.execute(_MARK, ids, list(letters), now)
        return len(sessions)


def senders_of(accounts: Accounts) -> dict[str, str]:
    """By which mail account each chat follows up. Raises Misconfigured for one that cannot."""
    chats = [account for account in accounts if takes_chats(account)]
    named = {account.name: settings_of(account).follow_up_from for account in chats}
    for chat, mail in named.items():
        if mail:
            _check(chat, accounts.get(mail))
    return {chat: mail for chat, mail in named.items() if mail}


def _check(chat: str, mail: Account | None) -> None:
    if mail is None or mail.channel != "email":
        raise Misconfigured(
            f"account {chat}: `follow_up_from` must name a mail account of the channels file"
        )


def planned(
    session: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], sender: str, now: datetime
) -> Planned:
    """One mail with all of these answers, oldest first. Pure."""
    newest = lines[-1]
    subject, words = letter(session["language"], [line["text"] for line in lines])
    mail = ReplyRequested(
        message_id=newest["message_id"],
        account=sender,
        channel="email",
        recipient=Identity(scheme="email", value=session["email"]),
        text=words,
        answers=0,
        human=any(line["human"] for line in lines),
        author="",
        subject=newest["subject"] or subject,
        attachments=tuple(file for line in lines for file in files_of(line["files"])),
        secret=any(line["secret"] for line in lines),
    )
    target, event_id = target_of("account", sender), f"chat:{newest['message_id']}"
    return Planned(
        id=delivery_id(event_id, target, FOLLOW_UP),
        event_id=event_id,
        case_id=newest["case_id"],
        seq=0,
        version=0,
        effect=FOLLOW_UP,
        target=target,
        payload=_ENCODER.encode(mail),
        at=now,
        expires_at=now + LIVES,
    )


def letter(language: str, answers: Sequence[str]) -> tuple[str, str]:
    """A subject and the words, in the visitor's language where we have it."""
    spoken = _WORDS.get(language.partition("-")[0].lower(), _WORDS["en"])
    subject, before, after = spoken
    return subject, "\n\n".join((before, *answers, after))


_DUE: Final = """
SELECT id, account, email, language FROM chat_sessions
WHERE id IN (SELECT session_id FROM chat_lines WHERE follow_up_at <= $1
    ORDER BY follow_up_at LIMIT $2)
ORDER BY id FOR UPDATE SKIP LOCKED
"""
_UNREAD: Final = """
SELECT l.* FROM chat_lines l JOIN chat_unread USING (message_id)
WHERE l.session_id = ANY($1) AND l.follow_up_at IS NOT NULL ORDER BY l.session_id, l.n
"""
# Those that were read meanwhile too: they need no mail any more.
_MARK: Final = """
UPDATE chat_lines SET follow_up_at = NULL, mailed_at = CASE WHEN session_id = ANY($2)
    AND message_id IN (SELECT message_id FROM chat_unread) THEN $3::timestamptz END
WHERE session_id = ANY($1) AND follow_up_at IS NOT NULL
"""
