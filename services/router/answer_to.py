"""Where the answer to a message goes: to its sender; of a mail perhaps to its Reply-To. Pure.

Reply-To is the sender's word, and may not lead a customer's answers elsewhere (DESIGN 5.9). So it
counts only where From is proven and names the same domain, and only in a case that this mail opens,
or that is answered there already: a mail that was signed long ago and is sent to us again, with
another Reply-To, then moves nothing.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from services.router.case import Case
from shared.events import Identity, MessageReceived


def answer_to(message: MessageReceived, case: Case, joined: str) -> Identity:
    """Of a message with a sender. `case`: as it stood before; `joined`: why it is there."""
    sender, wished = message.sender.identities[0], _wished(message)
    if wished is None or message.sender.authentication != "proven":
        return sender
    if _domain(wished) != _domain(sender):
        return sender
    route = case.routes.get("email")
    there = route is not None and route.identity == wished
    return wished if joined == "new" or there else sender


def without_ours(message: MessageReceived, own: Collection[Identity]) -> MessageReceived:
    """The message without its Reply-To, where that is ours: we would write to ourselves."""
    if _wished(message) not in own:
        return message
    attributes = {name: each for name, each in message.attributes.items() if name != "reply_to"}
    return replace(message, attributes=attributes)


def _wished(message: MessageReceived) -> Identity | None:
    named = message.attributes.get("reply_to") if message.channel == "email" else None
    first = named[0] if isinstance(named, list | tuple) and named else None
    return Identity(scheme="email", value=first) if isinstance(first, str) and first else None


def _domain(identity: Identity) -> str:
    return identity.value.rpartition("@")[2]
