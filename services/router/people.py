"""Who sent these messages: one customer for each, found by identity or made new.

Two routers may meet the same new person at once. The identity row decides: whoever inserts it
first has the customer, the other waits for that commit and reads it. Whoever moves an identity
holds the lock of the customer it leaves; so what is read under that lock stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import conflicts, customers, merging
from services.router.commands import CustomerFacts
from services.router.merging import Merge
from services.router.policy import Policy
from services.router.recognising import Found, Owner, Recognised, named, recognise
from shared.database import copy, driver
from shared.events import Identity, MessageReceived


@dataclass
class People:
    """Customers by message id, and what is known of them.

    marked  messages found only by what they say of themselves: no reply goes where they came from
    merges  records that these messages proved to be one person's: their cases are to be carried
    """

    of: dict[UUID, UUID] = field(default_factory=dict)
    facts: dict[UUID, CustomerFacts] = field(default_factory=dict)
    marked: dict[UUID, str] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)


async def identify(
    connection: AsyncConnection,
    messages: Sequence[MessageReceived],
    policy: Policy,
    also: Iterable[UUID] = (),
    now: datetime | None = None,
) -> People:
    """Finds or makes the customer of each message and locks them all, by id (`also` too; the facts
    of one that was merged are those of the record it went into).

    now  the moment that merges and conflicts are dated by; None: this one
    """
    now = now or datetime.now(UTC)
    wanted = {identity for message in messages for identity in named(message)}
    known = await _read(connection, wanted)
    made, also, standing = set[UUID](), set(also), dict[UUID, UUID]()
    facts: dict[UUID, CustomerFacts] = {}
    while True:
        seen = await _recognise(connection, messages, known, made, policy)
        taken = await _insert(connection, seen.new)
        known |= {i: Owner(seen.new[i][0]) for i in seen.new.keys() - taken}
        if taken:
            known |= await _read(connection, taken)  # another router met them first
            continue
        locked, merged = await _lock(connection, (seen.customers | also) - made - facts.keys())
        facts |= locked
        if merged:  # while we waited for their lock; what we had inserted goes along
            standing |= await customers.roots(connection, merged)
            await merging.move_identities(connection, {id: standing[id] for id in merged})
            also = {standing.get(id, id) for id in also}
        if not await _moved(connection, wanted, known) and not merged:
            break
    merges = await _settle(connection, seen, now)
    made &= {*seen.people.values(), *seen.owners.values()}
    await _create(connection, made, messages, seen.people)
    facts |= {customer: CustomerFacts(id=customer) for customer in made}
    await conflicts.note(connection, seen.conflicts, now)
    await conflicts.note_claims(connection, seen.claims, now)
    facts = await _standing(connection, facts, messages, seen, policy)
    facts |= {id: facts[into] for id, into in standing.items() if into in facts}
    return People(seen.people, facts, seen.marked, merges)


async def _recognise(
    connection: AsyncConnection,
    messages: Sequence[MessageReceived],
    known: Found,
    made: set[UUID],
    policy: Policy,
) -> Recognised:
    """What a person took apart is looked up only where something would be merged."""
    seen = recognise(messages, known, made, is_shared=policy.is_shared)
    if not seen.meetings:
        return seen
    parties = {id for m in seen.meetings for id in (m.winner, m.loser)}
    bars = await merging.bars(connection, parties)
    return recognise(messages, known, made, bars, policy.is_shared) if bars else seen


async def _settle(connection: AsyncConnection, seen: Recognised, now: datetime) -> list[Merge]:
    """What the messages proved becomes the record; all customers concerned are locked."""
    await _detach(connection, seen.gone)
    await _take_over(connection, seen.taken_over)
    merges = await merging.unite(
        connection,
        [Merge.of(meeting, merging.PROVEN) for meeting in seen.meetings],
        now,
        seen.proven,
    )
    ours = seen.absorbed.keys() - {m.loser for m in seen.meetings}
    await merging.move_identities(connection, {id: seen.absorbed[id] for id in ours})
    await _verify(connection, seen.proven)
    return merges


async def _detach(connection: AsyncConnection, gone: set[Identity]) -> None:
    if gone:
        await (await driver(connection)).execute(
            "DELETE FROM identities USING unnest($1::text[], $2::text[]) AS gone (scheme, value) "
            "WHERE identities.scheme = gone.scheme AND identities.value = gone.value",
            *_columns(gone),
        )


async def _take_over(
    connection: AsyncConnection, new: Mapping[Identity, tuple[UUID, bool]]
) -> None:
    """A number that left one customer in this batch and came with another."""
    if new:
        await (await driver(connection)).execute(
            "UPDATE identities SET customer_id = new.customer_id, verified = new.verified "
            "FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bool[]) "
            "AS new (scheme, value, customer_id, verified) "
            "WHERE identities.scheme = new.scheme AND identities.value = new.value",
            *zip(*((i.scheme, i.value, *owner) for i, owner in new.items()), strict=True),
        )


async def _moved(connection: AsyncConnection, wanted: Collection[Identity], known: Found) -> bool:
    """Whether identities belong to another customer than we read (or to none); `known` is brought
    up to date."""
    now = await _read(connection, wanted)
    moved = {i: owner for i, owner in now.items() if i not in known or _differs(owner, known[i])}
    gone = (known.keys() & set(wanted)) - now.keys()
    known |= moved
    for identity in gone:
        del known[identity]
    return bool(moved or gone)


def _differs(one: Owner, other: Owner) -> bool:
    return one.customer != other.customer


async def _read(connection: AsyncConnection, identities: Collection[Identity]) -> Found:
    if not identities:
        return {}
    rows = await (await driver(connection)).fetch(
        "SELECT scheme, value, held.customer_id, held.verified OR NOT EXISTS (SELECT 1 FROM "
        "identities AS other WHERE other.customer_id = held.customer_id "
        "AND (other.scheme, other.value) <> (held.scheme, held.value)) AS firm "
        "FROM identities AS held JOIN unnest($1::text[], $2::text[]) "
        "AS wanted (scheme, value) USING (scheme, value)",
        *_columns(identities),
    )
    return {
        Identity(scheme=r["scheme"], value=r["value"]): Owner(r["customer_id"], r["firm"])
        for r in rows
    }


async def _insert(
    connection: AsyncConnection, new: Mapping[Identity, tuple[UUID, bool]]
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


async def _verify(connection: AsyncConnection, proven: Collection[Identity]) -> None:
    """A proven sender verifies the identity it was first only asserted with."""
    if proven:
        await (await driver(connection)).execute(
            "UPDATE identities SET verified = true FROM (SELECT scheme, value FROM identities "
            "JOIN unnest($1::text[], $2::text[]) AS proven (scheme, value) USING (scheme, value) "
            "WHERE NOT verified ORDER BY scheme, value FOR UPDATE OF identities) AS found "
            "WHERE identities.scheme = found.scheme AND identities.value = found.value",
            *_columns(proven),
        )


def _columns(identities: Iterable[Identity]) -> tuple[tuple[str, ...], ...]:
    """Schemes and values, in the one order in which their rows are locked."""
    return tuple(zip(*sorted((i.scheme, i.value) for i in identities), strict=True))


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


async def _lock(
    connection: AsyncConnection, ids: Collection[UUID]
) -> tuple[dict[UUID, CustomerFacts], set[UUID]]:
    """The customer row serialises "its open case, or a new one". Also: which of them were merged
    into others before we had the lock."""
    rows = await (await driver(connection)).fetch(
        "SELECT id, language, merged_into, erased_at FROM customers WHERE id = ANY($1) "
        "ORDER BY id FOR UPDATE",
        list(ids),
    )
    erased = [row["id"] for row in rows if row["erased_at"] is not None]
    if erased:  # while we waited: what was inserted for them meanwhile is a new customer's
        await (await driver(connection)).execute(
            "DELETE FROM identities WHERE customer_id = ANY($1)", erased
        )
    locked = {r["id"]: CustomerFacts(id=r["id"], language=r["language"], known=True) for r in rows}
    return locked, {row["id"] for row in rows if row["merged_into"] is not None}


async def _standing(
    connection: AsyncConnection,
    facts: dict[UUID, CustomerFacts],
    messages: Sequence[MessageReceived],
    seen: Recognised,
    policy: Policy,
) -> dict[UUID, CustomerFacts]:
    """Group and house of each customer, by all the identities on record and those of the batch
    that are theirs; what is only said of somebody gives no standing."""
    if not (policy.customers.groups or policy.customers.internal_domains):
        return facts
    theirs: dict[UUID, set[Identity]] = defaultdict(set)
    for message in messages:
        customer = seen.people[message.id]
        theirs[customer].update(i for i in named(message) if seen.owners.get(i) == customer)
    rows = await (await driver(connection)).fetch(
        "SELECT customer_id, scheme, value FROM identities WHERE customer_id = ANY($1)",
        [customer for customer, fact in facts.items() if fact.known],
    )
    for row in rows:
        theirs[row["customer_id"]].add(Identity(scheme=row["scheme"], value=row["value"]))
    for customer, identities in theirs.items():
        group, internal = policy.standing(tuple(identities))
        if customer in facts and (group or internal):
            facts[customer] = replace(facts[customer], group=group, internal=internal)
    return facts
