"""Who sent these messages: one customer for each, found by identity or made new.

Two routers may meet the same new person at once. The identity row decides: whoever inserts it
first has the customer, the other waits for that commit and reads it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
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
    wanted = {i for m in messages for i in (*m.sender.identities, *_former(m))}
    known = await _read(connection, wanted)
    made: set[UUID] = set()
    facts: dict[UUID, CustomerFacts] = {}
    while True:
        people, new, gone = _assign(messages, known, made)
        await _detach(connection, gone)
        taken = await _insert(connection, new)
        known |= {identity: new[identity][0] for identity in new.keys() - taken}
        if taken:
            known |= await _read(connection, taken)  # another router met them first
            continue
        facts |= await _lock(connection, {*people.values(), *also} - made - facts.keys())
        moved = await _moved(connection, wanted - gone, known)
        if not moved:
            break
        known |= moved  # a code was redeemed while we waited for the customer
    await _verify(connection, messages)
    made &= {*known.values(), *people.values()}
    await _create(connection, made, messages, people)
    facts |= {customer: CustomerFacts(id=customer) for customer in made}
    return People(people, await _standing(connection, facts, messages, people, policy))


def _former(message: MessageReceived) -> tuple[Identity, ...]:
    return (message.sender.former,) if message.sender.former is not None else ()


def _assign(
    messages: Sequence[MessageReceived], known: Found, made: set[UUID]
) -> tuple[dict[UUID, UUID], dict[Identity, tuple[UUID, bool]], set[Identity]]:
    """(customer by message, identities to insert, identities to detach), in message order.

    What was asserted adds nothing to a customer. A changed number detaches: the platform says its
    user has another one now, and the old one may soon be a stranger's. Customers that did not
    exist before are added to `made`.
    """
    found, new, gone = dict(known), dict[Identity, tuple[UUID, bool]](), set[Identity]()
    people: dict[UUID, UUID] = {}
    for message in messages:
        sender = message.sender
        proven = sender.authentication == "proven"
        for former in _former(message):
            if proven and former in found:
                found.setdefault(sender.identities[0], found[former])
                new.setdefault(sender.identities[0], (found.pop(former), True))
                new.pop(former, None)
                gone.add(former)
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
    return people, new, gone - new.keys()


async def _detach(connection: AsyncConnection, gone: set[Identity]) -> None:
    if gone:
        await (await driver(connection)).execute(
            "DELETE FROM identities USING unnest($1::text[], $2::text[]) AS gone (scheme, value) "
            "WHERE identities.scheme = gone.scheme AND identities.value = gone.value",
            *zip(*sorted((i.scheme, i.value) for i in gone), strict=True),
        )


async def _moved(connection: AsyncConnection, wanted: set[Identity], known: Found) -> Found:
    """Identities that belong to another customer than we read. Whoever moves one holds the lock
    of the customer it leaves, so from here on it stays."""
    now = await _read(connection, wanted)
    return {identity: owner for identity, owner in now.items() if known.get(identity) != owner}


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
    proven = {
        (i.scheme, i.value)
        for m in messages
        if m.sender.authentication == "proven"
        for i in m.sender.identities
    }
    if proven:
        await (await driver(connection)).execute(
            "UPDATE identities SET verified = true FROM (SELECT scheme, value FROM identities "
            "JOIN unnest($1::text[], $2::text[]) AS proven (scheme, value) USING (scheme, value) "
            "WHERE NOT verified ORDER BY scheme, value FOR UPDATE OF identities) AS found "
            "WHERE identities.scheme = found.scheme AND identities.value = found.value",
            *zip(*sorted(proven), strict=True),
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


async def _standing(
    connection: AsyncConnection,
    facts: dict[UUID, CustomerFacts],
    messages: Sequence[MessageReceived],
    people: dict[UUID, UUID],
    policy: Policy,
) -> dict[UUID, CustomerFacts]:
    """Group and house of each customer, by all the identities on record and this message's."""
    if not (policy.customers.groups or policy.customers.internal_domains):
        return facts
    theirs: dict[UUID, set[Identity]] = defaultdict(set)
    for message in messages:
        theirs[people[message.id]].update(message.sender.identities)
    rows = await (await driver(connection)).fetch(
        "SELECT customer_id, scheme, value FROM identities WHERE customer_id = ANY($1)",
        [customer for customer, fact in facts.items() if fact.known],
    )
    for row in rows:
        theirs[row["customer_id"]].add(Identity(scheme=row["scheme"], value=row["value"]))
    for customer, identities in theirs.items():
        group, internal = policy.standing(tuple(identities))
        if group or internal:
            facts[customer] = replace(facts[customer], group=group, internal=internal)
    return facts
