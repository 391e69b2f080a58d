"""What comes back by mail of our own notices: a colleague's answer, an absence, a bounce.

It is no customer's message. It becomes a note in the case that the notice was about; where that is
not known (a digest tells of many) it is kept in a case of its own, which is closed at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.commands import Close, TakeNote
from services.router.desk import Desk
from shared.database import driver
from shared.events import MessageReceived

# The Message-ID of a notice (shared/channels/email/compose.py). What is known by its return address
# alone, as a bounce may be, lacks the word `notice`.
_OURS: Final = re.compile(
    r"<?regie\.(notice\.)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.IGNORECASE
)
_LONGEST: Final = 5_000  # characters of a note


async def cases(connection: AsyncConnection, batch: Sequence[MessageReceived]) -> dict[UUID, UUID]:
    """By message: the case its notice was about. Not locked."""
    wanted = [(message.id, UUID(found[2])) for message in batch for found in _named(message)]
    if not wanted:
        return {}
    rows = await (await driver(connection)).fetch(_CASES, [id for _, id in wanted])
    known = {row["id"]: row["case_id"] for row in rows}
    return {message: known[id] for message, id in reversed(wanted) if id in known}


def _named(message: MessageReceived) -> Iterator[re.Match[str]]:
    """Our own mails that an automatic one comes back of; its channel knows our Message-IDs."""
    if message.channel == "email" and message.automatic:
        yield from filter(None, map(_OURS.match, message.thread.references))


def take(desk: Desk, message: MessageReceived, case_id: UUID) -> None:
    case = desk.cases.get(case_id)
    if case is None or case.erased:
        return
    author = next((each.value for each in message.sender.identities), "a mail server")
    desk.decide(case_id, TakeNote(message.id, author, _words(message)))


def put_away(desk: Desk, message: MessageReceived, case_id: UUID) -> None:
    """A case that such a mail has just opened asks nothing of anybody."""
    if any(found[1] for found in _named(message)):
        reason = "it came back of a notice of ours, and of which case is not known"
        desk.decide(case_id, Close("regie", reason, empty=True))


def _words(message: MessageReceived) -> str:
    files = ", ".join(file.name or file.content_type for file in message.attachments)
    said = (message.subject, message.reply_text or message.text, files and f"[not kept: {files}]")
    return "\n".join(filter(None, said))[:_LONGEST]


_CASES: Final = """
SELECT n.id, n.case_id FROM notices n JOIN cases c ON c.id = n.case_id
WHERE n.id = ANY($1) AND c.words_gone_at IS NULL
"""
