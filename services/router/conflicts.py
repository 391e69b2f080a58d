"""Two records that lay hold of one identity: kept in sight until a merge or a person ends it.

Rows are written while the customers are locked and no case is yet: one order for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.router.recognising import Claim, Conflict
from shared.database import driver
from shared.ids import new_id


async def note_claims(connection: AsyncConnection, claims: Sequence[Claim], now: datetime) -> None:
    """Keeps who asserted what, and notes where it is another's, or claimed by another too.

    A claim adds nothing to a customer: it is shown on the record, marked.
    """
    firsts = {(c.identity.scheme, c.identity.value, c.customer): c.message_id for c in claims}
    if not firsts:
        return
    rows = sorted((*place, message_id) for place, message_id in firsts.items())
    schemes, values, customers, messages = zip(*rows, strict=True)
    raw = await driver(connection)
    await raw.execute(
        "INSERT INTO identity_claims (scheme, value, customer_id, message_id, at) "
        "SELECT new.*, $5 FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[]) AS new "
        "ON CONFLICT DO NOTHING",
        schemes, values, customers, messages, now,
    )  # fmt: skip
    await raw.execute(_NOTE_CLAIMED, schemes, values, customers, messages, now)


_NOTE_CLAIMED = """
WITH claim (scheme, value, customer_id, message_id) AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[])
), found AS (
    SELECT scheme, value, claim.customer_id, identities.customer_id AS other_id, message_id,
        'claimed' AS why
    FROM claim JOIN identities USING (scheme, value)
    WHERE identities.customer_id <> claim.customer_id
    UNION ALL
    SELECT scheme, value, least(claim.customer_id, other.customer_id),
        greatest(claim.customer_id, other.customer_id), claim.message_id, 'claimed_twice'
    FROM claim JOIN identity_claims AS other USING (scheme, value)
        JOIN customers ON customers.id = other.customer_id AND merged_into IS NULL
    WHERE other.customer_id <> claim.customer_id
        AND NOT EXISTS (SELECT 1 FROM identities AS held
            WHERE (held.scheme, held.value) = (claim.scheme, claim.value))
)
INSERT INTO identity_conflicts (id, scheme, value, customer_id, other_id, message_id, why, at)
SELECT gen_random_uuid(), scheme, value, customer_id, other_id, message_id, why, $5 FROM found
ORDER BY scheme, value, customer_id, other_id, why ON CONFLICT DO NOTHING
"""


async def note(connection: AsyncConnection, conflicts: Sequence[Conflict], now: datetime) -> None:
    """Once each; one that a person dismissed stays dismissed."""
    firsts = {
        (c.identity.scheme, c.identity.value, c.customer, c.other, c.why): c.message_id
        for c in conflicts
    }
    if not firsts:
        return
    rows = sorted((*place, message_id) for place, message_id in firsts.items())
    await (await driver(connection)).execute(
        "INSERT INTO identity_conflicts "
        "(id, scheme, value, customer_id, other_id, why, message_id, at) "
        "SELECT new.*, $8 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], "
        "$6::text[], $7::uuid[]) AS new ON CONFLICT DO NOTHING",
        *zip(*((new_id(), *row) for row in rows), strict=True), now,
    )  # fmt: skip


async def end_between(
    connection: AsyncConnection, merges: Sequence[tuple[UUID, UUID, UUID]], by: str, now: datetime
) -> None:
    """(merge, winner, loser): the two are one now, so what stood between them is over."""
    await (await driver(connection)).execute(
        "UPDATE identity_conflicts SET ended_at = $5, ended_by = $4, ended_why = 'merged', "
        "merge_id = new.merge FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) "
        "AS new (merge, winner, loser) WHERE ended_at IS NULL "
        "AND customer_id IN (new.winner, new.loser) AND other_id IN (new.winner, new.loser)",
        *zip(*merges, strict=True), by, now,
    )  # fmt: skip


async def reopen(connection: AsyncConnection, merge_id: UUID) -> None:
    """The merge that ended them is undone."""
    await (await driver(connection)).execute(
        "UPDATE identity_conflicts SET ended_at = NULL, ended_by = '', ended_why = '', "
        "merge_id = NULL WHERE merge_id = $1",
        merge_id,
    )


async def dismiss(
    connection: AsyncConnection, conflict_id: UUID, by: str, reason: str, now: datetime
) -> None:
    """A person has looked at it: nothing is to be done."""
    await (await driver(connection)).execute(
        "UPDATE identity_conflicts SET ended_at = $4, ended_by = $2, ended_why = $3 "
        "WHERE id = $1 AND ended_at IS NULL",
        conflict_id, by, reason, now,
    )  # fmt: skip
