"""A merge is undone: what was each one's before is theirs again (DESIGN 5.9).

What came since stays with the winner, and the answer lists it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.router import conflicts, customers, merge_fields, queries
from services.router.commands import MoveCase
from services.router.desk import Desk
from services.router.merging import Held, Preimage, follow, write_fields
from services.router.recognising import Conflict as Contested
from shared.database import driver
from shared.errors import Conflict, NotFound
from shared.events import Identity

_LIVE: Final = (
    "SELECT id, preimage::text FROM merges WHERE winner = $1 AND undone_at IS NULL AND id <> $2 "
    "ORDER BY at, id"
)


@dataclass(frozen=True, slots=True)
class Undone:
    """What went back, and what did not.

    left  identities that are no longer the winner's; cases opened since by who goes back
    """

    merge: UUID
    winner: UUID
    loser: UUID
    identities: tuple[str, ...]
    cases: tuple[UUID, ...]
    left_identities: tuple[str, ...]
    left_cases: tuple[UUID, ...]


async def unmerge(desk: Desk, merge_id: UUID, by: str, of: UUID | None = None) -> Undone:
    """Raises NotFound (also where it is no merge `of` that customer) or Conflict (undone already,
    or the winner was merged further since). Does not save the desk."""
    connection = desk.connection
    row = await _find(connection, merge_id, of)
    await _lock(connection, row["winner"], row["loser"])
    row = await _find(connection, merge_id, of)  # again: now nobody else undoes it
    await _refuse_untimely(connection, row)
    image = msgspec.json.decode(row["preimage"], type=Preimage)
    winner, loser = row["winner"], row["loser"]

    back = await _give_identities(connection, image, winner, loser)
    await _give_fields(connection, merge_id, image, winner)
    await _stand_alone(connection, merge_id, loser, by, desk.now)
    await _contest(connection, merge_id, image, winner, loser, desk.now)

    mine = [id for id, of_customer in image.cases.items() if of_customer == loser]
    desk.seat(await queries.lock_cases(connection, mine))
    cases = tuple(sorted(id for id, case in desk.cases.items() if case.customer_id == winner))
    for id in cases:
        desk.decide(id, MoveCase(loser, merge_id, "merge undone", by))
    await _give_messages(connection, merge_id, cases, back, winner, loser)
    await follow(connection, dict.fromkeys(cases, loser))
    was = {_name(h) for h in image.identities if h.customer == loser}
    return Undone(
        merge=merge_id,
        winner=winner,
        loser=loser,
        identities=tuple(sorted(back)),
        cases=cases,
        left_identities=tuple(sorted(was - back)),
        left_cases=await _left(connection, image, winner, back),
    )


async def _find(connection: AsyncConnection, merge_id: UUID, of: UUID | None) -> Any:
    row = await (await driver(connection)).fetchrow(
        "SELECT winner, loser, undone_at, preimage::text, EXISTS (SELECT FROM customers "
        "WHERE id IN (winner, loser) AND erased_at IS NOT NULL) AS erased "
        "FROM merges WHERE id = $1",
        merge_id,
    )
    parties = set() if row is None else {row["winner"], row["loser"]}
    if of is not None and of not in parties:  # perhaps it is the record that stands for one of them
        standing = await customers.roots(connection, parties)
        parties = set(standing.values())
    if row is None or (of is not None and of not in parties):
        raise NotFound(
            f"there is no merge {merge_id} of this customer: GET /v1/customers/{{id}}/merges "
            "lists them"
        )
    return row


async def _lock(connection: AsyncConnection, *ids: UUID) -> None:
    await (await driver(connection)).fetch(
        "SELECT id FROM customers WHERE id = ANY($1) ORDER BY id FOR UPDATE", list(ids)
    )


async def _refuse_untimely(connection: AsyncConnection, row: Any) -> None:
    if row["undone_at"] is not None:
        raise Conflict("this merge is undone already", name="already-undone")
    if row["erased"]:
        raise Conflict("this customer was erased: there is nothing to give back", name="erased")
    later = await (await driver(connection)).fetchval(
        "SELECT id FROM merges WHERE loser = $1 AND undone_at IS NULL", row["winner"]
    )
    if later is not None:
        raise Conflict(
            f"the record was merged further since: undo merge {later} first",
            name="merged-since",
            merge=later,
        )


async def _give_identities(
    connection: AsyncConnection, image: Preimage, winner: UUID, loser: UUID
) -> set[str]:
    """Those still with the winner go back. Only what the merge's own message proved is unproven
    again: later proofs stand."""
    raw = await driver(connection)
    if image.proved:
        await raw.execute(
            "UPDATE identities SET verified = false FROM unnest($1::text[], $2::text[]) "
            "AS proved (scheme, value) WHERE identities.scheme = proved.scheme "
            "AND identities.value = proved.value AND customer_id = $3",
            [i.scheme for i in image.proved], [i.value for i in image.proved], winner,
        )  # fmt: skip
    theirs = [h for h in image.identities if h.customer == loser]
    rows = await raw.fetch(
        "UPDATE identities SET customer_id = $4 FROM unnest($1::text[], $2::text[]) "
        "AS back (scheme, value) WHERE identities.scheme = back.scheme "
        "AND identities.value = back.value AND customer_id = $3 "
        "RETURNING identities.scheme || ':' || identities.value AS name",
        [h.scheme for h in theirs], [h.value for h in theirs], winner, loser,
    )  # fmt: skip
    return {row["name"] for row in rows}


async def _give_fields(
    connection: AsyncConnection, merge_id: UUID, image: Preimage, winner: UUID
) -> None:
    """Another record merged into the same winner may give now what this one gave."""
    raw = await driver(connection)
    others = await raw.fetch(_LIVE, winner, merge_id)
    images = [msgspec.json.decode(row["preimage"], type=Preimage) for row in others]
    now = await raw.fetchrow(
        f"SELECT {', '.join(merge_fields.FIELDS)} FROM customers WHERE id = $1",  # noqa: S608 - our own names
        winner,
    )
    fields, instead = merge_fields.given_back(dict(now), image.took, [i.loser for i in images])
    await write_fields(connection, {winner: fields})
    for row, other, gives in zip(others, images, instead, strict=True):
        if gives:
            await raw.execute(
                "UPDATE merges SET preimage = jsonb_set(preimage, '{took}', $2::jsonb) "
                "WHERE id = $1",
                row["id"], msgspec.json.encode(other.took | gives).decode(),
            )  # fmt: skip


async def _stand_alone(
    connection: AsyncConnection, merge_id: UUID, loser: UUID, by: str, now: datetime
) -> None:
    raw = await driver(connection)
    await raw.execute(
        "UPDATE customers SET merged_into = NULL, version = version + 1 WHERE id = $1", loser
    )
    await raw.execute(
        "UPDATE merges SET undone_at = $2, undone_by = $3 WHERE id = $1", merge_id, now, by
    )


async def _contest(
    connection: AsyncConnection,
    merge_id: UUID,
    image: Preimage,
    winner: UUID,
    loser: UUID,
    now: datetime,
) -> None:
    """What led to an automatic merge stays contested: the next such message must not repeat it."""
    await conflicts.reopen(connection, merge_id)
    theirs = {_name(h) for h in image.identities if h.customer == loser}
    met = [i for i in image.met if str(i) in theirs]
    if image.message is not None:
        await conflicts.note(
            connection, [Contested(i, winner, loser, "unmerged", image.message) for i in met], now
        )


async def _give_messages(
    connection: AsyncConnection,
    merge_id: UUID,
    cases: Collection[UUID],
    back: Collection[str],
    winner: UUID,
    loser: UUID,
) -> None:
    """Those that went over; and, of the cases that go back, our own words since, and theirs."""
    await (await driver(connection)).execute(
        "UPDATE messages SET customer_id = $3 WHERE customer_id = $2 AND (id = ANY("
        "SELECT unnest(messages) FROM merges WHERE merges.id = $1) "
        "OR case_id = ANY($4) AND (direction = 'out' OR data -> 'sender' ->> 0 = ANY($5)))",
        merge_id, winner, loser, list(cases), list(back),
    )  # fmt: skip


async def _left(
    connection: AsyncConnection, image: Preimage, winner: UUID, back: Collection[str]
) -> tuple[UUID, ...]:
    rows = await (await driver(connection)).fetch(
        "SELECT DISTINCT cases.id FROM cases JOIN messages ON messages.case_id = cases.id "
        "WHERE cases.customer_id = $1 AND cases.id <> ALL($2) AND direction = 'in' "
        "AND data -> 'sender' ->> 0 = ANY($3) ORDER BY cases.id",
        winner, list(image.cases), list(back),
    )  # fmt: skip
    return tuple(row["id"] for row in rows)


def _name(held: Held) -> str:
    return str(Identity(scheme=held.scheme, value=held.value))  # type: ignore[arg-type]
