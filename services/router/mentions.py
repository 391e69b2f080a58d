"""What a message names: messages it answers or is about, and the cases of signed marks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from services.router.queries import Known, Ref
from shared.events import MessageReceived

_OURS: Final = re.compile(r"<?regie\.([0-9a-f-]{36})@")


def refs(message: MessageReceived) -> Iterable[Ref]:
    """The provider ids a message names: what it answers, what it is about, the call it is of."""
    thread = message.thread
    for reference in (*thread.references, thread.target):
        if reference:
            yield message.account, reference
    if message.call is not None and thread.message_id:
        yield message.account, thread.message_id


def our_ids(message: MessageReceived) -> Iterable[UUID]:
    """Ids of messages we sent, read off our own Message-IDs: an answer may outrun our receipt."""
    return _our_ids_in(message.thread.references)


def _our_ids_in(references: Iterable[str]) -> Iterable[UUID]:
    for reference in references:
        match = _OURS.match(reference)
        if match:
            try:
                yield UUID(match[1])
            except ValueError:
                continue


def answers(message: MessageReceived, known: Known, stored: dict[Ref, Known]) -> bool:
    """Whether `known` is the very message that this one replies to."""
    nearest = message.thread.references[:1]
    return any(stored.get((message.account, ref)) == known for ref in nearest) or (
        known.id in _our_ids_in(nearest)
    )


def tokens(messages: Iterable[MessageReceived]) -> set[UUID]:
    """The cases that signed reply tokens name; their channel has checked the signature."""
    return {UUID(m.thread.token) for m in messages if m.thread.token}


def tags(messages: Iterable[MessageReceived]) -> set[UUID]:
    """The cases that signed tags in subjects name; their channel has checked the signature."""
    return {UUID(m.thread.tag) for m in messages if m.thread.tag}
