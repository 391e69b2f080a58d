"""Whose and what an erasure is about: one person's records, cases, messages, addresses.

A case goes whole, with what colleagues asked of each other because of it. In somebody else's case
only the person's own messages go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import customers
from services.router.policy import Policy
from shared import ledger
from shared.database import driver
from shared.events import Identity
from shared.ledger import Key

_SHORTEST: Final = 6  # a shorter word of a body could be anybody's


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything of one person, named.

    customers   the standing record, and all that were merged into it
    guests      their messages in other people's cases: message -> case
    identities  surely theirs
    provided    (account, the provider's id) of every message
    """

    customers: frozenset[UUID]
    cases: frozenset[UUID]
    messages: frozenset[UUID]
    guests: dict[UUID, UUID]
    identities: frozenset[Identity]
    provided: frozenset[tuple[str, str]]

    def within(self, other: Scope) -> bool:
        """Whether the other's marks recognise all of this one."""
        return self.cases <= other.cases and self.identities <= other.identities

    def marks(self, key: Key, at: datetime) -> ledger.Marks:
        """Ids for ever, addresses for what is not newer than `at`."""
        ids = {id.bytes for id in (*self.cases, *self.messages)}
        ids |= {key.provider(*each) for each in self.provided}
        addresses = {key.identity(identity) for identity in self.identities}
        addresses |= {key.token(word) for word in _words(self.identities)}
        return dict.fromkeys(ids, ledger.ALWAYS) | dict.fromkeys(addresses, at)


def _words(identities: Collection[Identity]) -> Iterator[str]:
    for identity in identities:
        word = normal(identity.value)
        if len(word) >= _SHORTEST:
            yield word


def normal(word: str) -> str:
    """An address or number as it is compared: providers write numbers without the plus."""
    return word.lower().lstrip("+")


async def find(
    connection: AsyncConnection, policy: Policy, own: Collection[Identity], customer: UUID
) -> Scope:
    """`own`: addresses of ours. What is shared by many, or another's by now, is not theirs."""
    raw = await driver(connection)
    family = [row["member"] for row in await raw.fetch(_FAMILY, customer)]
    cases = [row["id"] for row in await raw.fetch(_CASES, family)]
    messages = await raw.fetch(_MESSAGES, cases, family)
    held = {Identity(scheme=r["scheme"], value=r["value"]) for r in await raw.fetch(_HELD, family)}
    said = {_identity(row["sender"]) for row in await raw.fetch(_SAID, family)}
    others = {_identity(row["name"]) for row in await raw.fetch(_OTHERS, _names(said), family)}
    theirs = {i for i in (held | said) - others - set(own) if not policy.is_shared(i)}
    return Scope(
        customers=frozenset(family),
        cases=frozenset(cases),
        messages=frozenset(row["id"] for row in messages),
        guests={row["id"]: row["case_id"] for row in messages if row["case_id"] not in set(cases)},
        identities=frozenset(theirs),
        provided=frozenset(
            (row["account"], row["provider_id"]) for row in messages if row["provider_id"]
        ),
    )


async def lock(connection: AsyncConnection, customer: UUID) -> None:
    """The person's records, by id: until this transaction ends they get no new case."""
    await customers.lock_standing(connection, [customer])
    raw = await driver(connection)
    family = [row["member"] for row in await raw.fetch(_FAMILY, customer)]
    await raw.fetch("SELECT id FROM customers WHERE id = ANY($1) ORDER BY id FOR UPDATE", family)


def _identity(written: str) -> Identity:
    scheme, _, value = written.partition(":")
    return Identity(scheme=scheme, value=value)  # type: ignore[arg-type]  # as we wrote it


def _names(identities: Collection[Identity]) -> list[Any]:
    return [str(identity) for identity in identities]


_FAMILY: Final = """
WITH RECURSIVE family (member) AS (
    SELECT $1::uuid
    UNION SELECT customers.id FROM family JOIN customers ON merged_into = member
) SELECT member FROM family
"""
# With the requests among colleagues that hang on them.
_CASES: Final = """
WITH RECURSIVE matter (id) AS (
    SELECT id FROM cases WHERE customer_id = ANY($1)
    UNION SELECT cases.id FROM matter JOIN cases ON parent_id = matter.id
) SELECT id FROM matter
"""
_MESSAGES: Final = """
SELECT id, case_id, account, provider_id FROM messages WHERE case_id = ANY($1)
UNION SELECT id, case_id, account, provider_id FROM messages WHERE customer_id = ANY($2)
"""
_HELD: Final = "SELECT scheme, value FROM identities WHERE customer_id = ANY($1)"
# What was proven, and of the rest where the message came from.
_SAID: Final = """
SELECT DISTINCT sender FROM messages, LATERAL (
    SELECT value AS sender FROM jsonb_array_elements_text(data -> 'sender') WITH ORDINALITY
    WHERE ordinality = 1 OR authentication = 'proven'
) AS named WHERE customer_id = ANY($1) AND direction = 'in'
"""
_OTHERS: Final = """
SELECT wanted.name FROM unnest($1::text[]) AS wanted (name)
JOIN identities ON scheme = split_part(wanted.name, ':', 1)
    AND value = substr(wanted.name, length(scheme) + 2)
WHERE customer_id <> ALL($2)
"""
