"""Two records become one customer, undoably (DESIGN 5.9).

The loser's row stays and points at the winner; identities, cases and what hangs on them go over.
`merges` keeps what was before. In every transaction the customers are locked first (`unite`), then
the cases in one statement, then these move (`carry`); `unmerging` is the way back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as evolved
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import conflicts, customers, merge_fields, queries
from services.router.commands import MoveCase
from services.router.desk import Desk
from services.router.recognising import Meeting
from shared.database import copy, driver
from shared.errors import Conflict, NotFound
from shared.events import Identity
from shared.ids import new_id

_MERGES: Final = ("id", "winner", "loser", "reason", "by", "at", "preimage", "messages")
PROVEN: Final = "proven identities"
CODE: Final = "resume code"


class Held(msgspec.Struct, frozen=True):
    """An identity as it stood before."""

    scheme: str
    value: str
    customer: UUID
    verified: bool


class Preimage(msgspec.Struct, frozen=True):
    """Both records before the merge.

    took    the fields the winner has from the loser
    met     the identities whose meeting led to it; empty for one by hand
    proved  identities that only the message it followed from verified
    """

    winner: dict[str, Any]
    loser: dict[str, Any]
    identities: list[Held]
    cases: dict[UUID, UUID]
    took: dict[str, Any]
    met: list[Identity] = []
    proved: list[Identity] = []
    message: UUID | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge under way. `cases` and `messages`: the loser's that move, as far as known."""

    winner: UUID
    loser: UUID
    reason: str
    by: str
    met: tuple[Identity, ...] = ()
    message_id: UUID | None = None
    cases: tuple[UUID, ...] = ()
    messages: tuple[UUID, ...] = ()
    id: UUID = field(default_factory=new_id)

    @classmethod
    def of(cls, meeting: Meeting, reason: str) -> Merge:
        return cls(meeting.winner, meeting.loser, reason, "regie", meeting.met, meeting.message_id)


async def unite(
    connection: AsyncConnection,
    merges: Sequence[Merge],
    now: datetime,
    proven: Collection[Identity] = (),
) -> list[Merge]:
    """The records, and what was before. Their customers are locked; winners are no losers.

    Returns the merges with all the loser's cases: lock those next, then `carry`.
    """
    if not merges:
        return []
    ids = {m.winner for m in merges} | {m.loser for m in merges}
    rows = await _fields(connection, ids)
    before = _Before(
        rows, await _held(connection, ids), await customers.cases_of(connection, ids), proven
    )
    done, records = [], []
    for merge in merges:
        merge = evolved(merge, cases=before.cases_of(merge))
        image = before.image(merge)
        rows[merge.winner] |= image.took
        done.append(merge)
        records.append(
            (merge.id, merge.winner, merge.loser, merge.reason, merge.by, now, _json(image),
             merge.messages)
        )  # fmt: skip
    await copy(connection, "merges", _MERGES, records)
    await move_identities(connection, {m.loser: m.winner for m in done})
    await _point(connection, done, rows)
    await conflicts.end_between(
        connection, [(m.id, m.winner, m.loser) for m in done], done[0].by, now
    )
    return done


@dataclass(frozen=True, slots=True)
class _Before:
    """The records as they are, with what each merge so far took over."""

    fields: Mapping[UUID, Mapping[str, Any]]
    held: Sequence[Held]
    cases: Mapping[UUID, UUID]
    proven: Collection[Identity]

    def cases_of(self, merge: Merge) -> tuple[UUID, ...]:
        stored = {id for id, of in self.cases.items() if of == merge.loser}
        return tuple(sorted(stored.union(merge.cases)))

    def image(self, merge: Merge) -> Preimage:
        pair = (merge.winner, merge.loser)
        winner, loser = (dict(self.fields[id]) for id in pair)
        held = [h for h in self.held if h.customer in pair]
        cases = {id: of for id, of in self.cases.items() if of in pair}
        return Preimage(
            winner=winner,
            loser=loser,
            identities=held,
            cases=cases | dict.fromkeys(merge.cases, merge.loser),
            took=merge_fields.taken(winner, loser),
            met=list(merge.met),
            proved=[i for h in held if not h.verified and (i := _identity(h)) in self.proven],
            message=merge.message_id,
        )


async def move_identities(connection: AsyncConnection, into: Mapping[UUID, UUID]) -> None:
    """All identities of one customer go to another, whose lock is held like the first one's."""
    if into:
        await (await driver(connection)).execute(
            "UPDATE identities SET customer_id = new.winner FROM unnest($1::uuid[], $2::uuid[]) "
            "AS new (loser, winner) WHERE identities.customer_id = new.loser",
            list(into),
            list(into.values()),
        )


async def carry(desk: Desk, merges: Sequence[Merge]) -> None:
    """The losers' cases, all seated at the desk, and what is kept beside them."""
    if not merges:
        return
    for merge in merges:
        for case_id in merge.cases:
            desk.decide(
                case_id, MoveCase(merge.winner, merge.id, f"merged: {merge.reason}", merge.by)
            )
    await (await driver(desk.connection)).execute(
        "WITH moved AS (UPDATE messages SET customer_id = new.winner "
        "FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS new (merge, winner, loser) "
        "WHERE messages.customer_id = new.loser RETURNING new.merge, messages.id) "
        "UPDATE merges SET messages = merges.messages || ids "
        "FROM (SELECT merge, array_agg(id) AS ids FROM moved GROUP BY merge) AS theirs "
        "WHERE merges.id = theirs.merge",
        [m.id for m in merges],
        [m.winner for m in merges],
        [m.loser for m in merges],
    )
    await follow(desk.connection, {c: m.winner for m in merges for c in m.cases})


async def follow(connection: AsyncConnection, owners: Mapping[UUID, UUID]) -> None:
    """What belongs to a case is its customer's: promises, surveys, resume codes."""
    if not owners:
        return
    raw = await driver(connection)
    for table in ("promises", "surveys", "resume_codes"):
        await raw.execute(
            f"UPDATE {table} SET customer_id = new.customer "  # noqa: S608 - our own names
            "FROM unnest($1::uuid[], $2::uuid[]) AS new (id, customer) "
            f"WHERE {table}.case_id = new.id",
            list(owners), list(owners.values()),
        )  # fmt: skip


async def merge(desk: Desk, winner: UUID, other: UUID, reason: str, by: str) -> Merge:
    """A person says that these two are one. Raises NotFound or Conflict; does not save the desk."""
    standing = await customers.lock_standing(desk.connection, (winner, other))
    for id in (winner, other):
        if id not in standing:
            raise NotFound(f"there is no customer {id}: find them by GET /v1/customers?identity=")
    winner, other = standing[winner], standing[other]
    if winner == other:
        raise Conflict("the two are one record already: there is nothing to merge", name="merged")
    await _refuse_erased(desk.connection, (winner, other))
    (done,) = await unite(desk.connection, [Merge(winner, other, reason, by)], desk.now)
    desk.seat(await queries.lock_cases(desk.connection, done.cases))
    await carry(desk, [done])
    return done


async def bars(connection: AsyncConnection, ids: Iterable[UUID]) -> frozenset[frozenset[UUID]]:
    """Pairs of these that a person took apart, themselves or in what was merged into them; and,
    alone, those who asked to be forgotten. None of them is merged automatically again."""
    rows = await (await driver(connection)).fetch(_BARS, list(ids))
    return frozenset(frozenset((row["one"], row["other"])) for row in rows)


_BARS: Final = """
WITH RECURSIVE family (head, member) AS (
    SELECT id, id FROM unnest($1::uuid[]) AS id
    UNION
    SELECT head, customers.id FROM family JOIN customers ON merged_into = member
)
SELECT one.head AS one, other.head AS other FROM merges
    JOIN family AS one ON one.member = winner JOIN family AS other ON other.member = loser
WHERE undone_at IS NOT NULL AND one.head <> other.head
UNION
SELECT head, head FROM family JOIN erasures ON customer_id = member
WHERE done_at IS NULL AND withdrawn_at IS NULL
"""


async def _refuse_erased(connection: AsyncConnection, ids: Collection[UUID]) -> None:
    row = await (await driver(connection)).fetchrow(
        "SELECT id FROM customers WHERE id = ANY($1) AND (erased_at IS NOT NULL OR EXISTS "
        "(SELECT 1 FROM erasures WHERE customer_id = customers.id AND done_at IS NULL "
        "AND withdrawn_at IS NULL))",
        list(ids),
    )
    if row is not None:
        raise Conflict(
            f"customer {row['id']} is being erased: have that withdrawn first, or leave them apart",
            name="being-erased",
        )


async def _fields(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
    rows = await (await driver(connection)).fetch(
        f"SELECT id, {', '.join(merge_fields.FIELDS)} FROM customers WHERE id = ANY($1)",  # noqa: S608 - our own names
        list(ids),
    )
    return {r["id"]: {name: r[name] for name in merge_fields.FIELDS} for r in rows}


async def _held(connection: AsyncConnection, ids: Collection[UUID]) -> list[Held]:
    rows = await (await driver(connection)).fetch(
        "SELECT scheme, value, customer_id, verified FROM identities WHERE customer_id = ANY($1) "
        "ORDER BY scheme, value",
        list(ids),
    )
    return [Held(*row) for row in rows]


async def _point(
    connection: AsyncConnection, merges: Sequence[Merge], rows: Mapping[UUID, Mapping[str, Any]]
) -> None:
    raw = await driver(connection)
    winners = sorted({m.winner for m in merges})
    await write_fields(connection, {id: rows[id] for id in winners})
    await raw.execute(
        "UPDATE customers SET merged_into = new.winner, version = version + 1 "
        "FROM unnest($1::uuid[], $2::uuid[]) AS new (loser, winner) WHERE id = new.loser",
        [m.loser for m in merges],
        [m.winner for m in merges],
    )


async def write_fields(connection: AsyncConnection, rows: Mapping[UUID, Mapping[str, Any]]) -> None:
    """The record changed, so its version does."""
    names = merge_fields.FIELDS
    await (await driver(connection)).execute(
        f"UPDATE customers SET {', '.join(f'{n} = new.{n}' for n in names)}, version = version + 1 "  # noqa: S608 - our own names
        "FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bool[]) "
        f"AS new (id, {', '.join(names)}) WHERE customers.id = new.id",
        list(rows),
        *([row[name] for row in rows.values()] for name in names),
    )


def _identity(held: Held) -> Identity:
    return Identity(scheme=held.scheme, value=held.value)  # type: ignore[arg-type]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
