"""Who sent these messages: one customer for each, found by identity or made new.

Two routers may meet the same new person at once. The identity row decides: whoever inserts it
first has the customer, the other waits for that commit and reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.commands import CustomerFacts
from services.router.policy import Policy
from shared.database import copy, driver
from shared.events import Identity, MessageReceived
from shared.ids import new_id

Found = dict[Identity, UUID]


@dataclass
class People:
    """Customers by message id, and what is known of them."""

    of: dict[UUID, UUID] = field(default_factory=dict)
    facts: dict[UUID, CustomerFacts] = field(default_factory=dict)


async def identify(
    connection: AsyncConnection,
    messages: Sequence[MessageReceived],
    policy: Policy,
    also: Iterable[UUID] = (),
) -> People:
    """Finds or makes the customer of each message and locks them all, by id (`also` too)."""
    await _move_numbers(connection, messages)
    known = await _read(connection, {i for m in messages for i in m.sender.identities})
    made: set[UUID] = set()
    while True:
        people, new = _assign(messages, known, made)
        taken = await _insert(connection, new)
        known |= {identity: new[identity][0] for identity in new.keys() - taken}
        if not taken:
            break
        known |= await _read(connection, taken)  # another router met them first
    made &= {*known.values(), *people.values()}
    await _verify(connection, messages)
    await _create(connection, made, messages, people)
    facts = await _lock(connection, {*people.values(), *also} - made)
    facts |= {customer: CustomerFacts(id=customer) for customer in made}
    return People(people, _grouped(facts, messages, people, policy))


def _assign(
    messages: Sequence[MessageReceived], known: Found, made: set[UUID]
) -> tuple[dict[UUID, UUID], dict[Identity, tuple[UUID, bool]]]:
    """(customer by message, identities to insert). What was asserted adds nothing to a customer.

    Customers that did not exist before are added to `made`.
    """
    found, new = dict(known), dict[Identity, tuple[UUID, bool]]()
    people: dict[UUID, UUID] = {}
    for message in messages:
        sender = message.sender
        proven = sender.authentication == "proven"
        customer = next((found[i] for i in sender.identities if i in found), None)
        fresh = customer is None
        if customer is None:
            customer = new_id()
            made.add(customer)
        people[message.id] = customer
        for identity in sender.identities if proven else sender.identities[:1]:
            if identity not in found and (proven or fresh):
                found[identity] = customer
                new[identity] = (customer, proven)
    return people, new


async def _move_numbers(connection: AsyncConnection, messages: Sequence[MessageReceived]) -> None:
    """A changed number detaches: the platform says that its user has another one now, and the old
    one may soon be a stranger's."""
    moves = [
        (m.attributes["old_identity"], m.attributes["new_identity"])
        for m in messages
        if m.sender.authentication == "proven" and m.kind == "auto_reply"
        and "old_identity" in m.attributes and "new_identity" in m.attributes
    ]  # fmt: skip
    for old, new in moves:
        raw = await driver(connection)
        customer = await raw.fetchval(
            "DELETE FROM identities WHERE scheme = split_part($1, ':', 1) "
            "AND value = substr($1, strpos($1, ':') + 1) RETURNING customer_id",
            old,
        )
        if customer is not None:
            await raw.execute(
                "INSERT INTO identities (scheme, value, customer_id, verified) "
                "VALUES (split_part($1, ':', 1), substr($1, strpos($1, ':') + 1), $2, true) "
                "ON CONFLICT DO NOTHING",
                new,
                customer,
            )


async def _read(connection: AsyncConnection, identities: set[Identity]) -> Found:
    if not identities:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT scheme, value, customer_id FROM identities JOIN unnest($1::text[], $2::text[]) "
        "AS wanted (scheme, value) USING (scheme, value)",
        *zip(*((i.scheme, i.value) for i in identities), strict=True),
    )
    return {Identity(scheme=r["scheme"], value=r["value"]): r["customer_id"] for r in rows}


async def _insert(
    connection: AsyncConnection, new: dict[Identity, tuple[UUID, bool]]
) -> set[Identity]:
    """Inserts in sorted order (no deadlock); returns those another transaction had already."""
    if not new:
        return set()
    wanted = sorted((i.scheme, i.value, *new[i]) for i in new)
    rows = await (await driver(connection)).fetch(
        "INSERT INTO identities (scheme, value, customer_id, verified) "
        "SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bool[]) "
        "ON CONFLICT DO NOTHING RETURNING scheme, value",
        *zip(*wanted, strict=True),
    )
    return set(new) - {Identity(scheme=r["scheme"], value=r["value"]) for r in rows}


async def _verify(connection: AsyncConnection, messages: Sequence[MessageReceived]) -> None:
    """A proven sender verifies the identity it was first only asserted with."""
    proven = sorted(
        {
            (i.scheme, i.value)
            for m in messages
            if m.sender.authentication == "proven"
            for i in m.sender.identities
        }
    )
    if proven:
        await (await driver(connection)).execute(
            "UPDATE identities SET verified = true FROM unnest($1::text[], $2::text[]) "
            "AS proven (scheme, value) WHERE identities.scheme = proven.scheme "
            "AND identities.value = proven.value AND NOT verified",
            *zip(*proven, strict=True),
        )


async def _create(
    connection: AsyncConnection,
    made: set[UUID],
    messages: Sequence[MessageReceived],
    people: dict[UUID, UUID],
) -> None:
    names = {people[m.id]: m.sender.name for m in reversed(messages)}
    languages = {people[m.id]: m.language for m in reversed(messages)}
    rows = [(c, names.get(c, "")[:200], languages.get(c, "")[:20]) for c in sorted(made)]
    await copy(connection, "customers", ("id", "name", "language"), rows)


async def _lock(connection: AsyncConnection, customers: set[UUID]) -> dict[UUID, CustomerFacts]:
    """The customer row serialises "its open case, or a new one"."""
    rows = await (await driver(connection)).fetch(
        "SELECT id, language FROM customers WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        list(customers),
    )
    return {r["id"]: CustomerFacts(id=r["id"], language=r["language"], known=True) for r in rows}


def _grouped(
    facts: dict[UUID, CustomerFacts],
    messages: Sequence[MessageReceived],
    people: dict[UUID, UUID],
    policy: Policy,
) -> dict[UUID, CustomerFacts]:
    for message in messages:
        customer = people[message.id]
        group, internal = policy.standing(message.sender.identities)
        if group or internal:
            old = facts[customer]
            facts[customer] = CustomerFacts(
                customer, group or old.group, old.language, internal or old.internal, old.known
            )
    return facts
