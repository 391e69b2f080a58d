"""Customers in tests: who wrote, whose everything is, and the two ways to change that."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.router import merging, unmerging
from services.router.merging import Merge
from services.router.unmerging import Undone
from shared.database import transaction
from shared.events import Authentication, Identity, Sender
from tests.rooms import Room


def identity(written: str) -> Identity:
    """`e164:+31612345678`."""
    scheme, _, value = written.partition(":")
    return Identity(scheme=scheme, value=value)  # type: ignore[arg-type]


def who(*written: str, proven: bool = True, name: str = "", **more: Any) -> Sender:
    """A sender with these identities: `who("email:ada@example.org", "customer_no:1001")`."""
    authentication: Authentication = "proven" if proven else "asserted"
    return Sender(
        identities=tuple(map(identity, written)), authentication=authentication, name=name, **more
    )


async def owner(room: Room, written: str) -> UUID:
    rows = await room.rows(
        "SELECT customer_id FROM identities WHERE scheme || ':' || value = :it", it=written
    )
    found: UUID = rows[0][0]
    return found


async def owners(room: Room) -> dict[str, UUID]:
    rows = await room.rows("SELECT scheme || ':' || value, customer_id FROM identities")
    return {row[0]: row[1] for row in rows}


async def conflicts(room: Room) -> list[tuple[str, str]]:
    """(identity, why) of the open ones."""
    rows = await room.rows(
        "SELECT scheme || ':' || value, why FROM identity_conflicts WHERE ended_at IS NULL "
        "ORDER BY 1, 2"
    )
    return [(row[0], row[1]) for row in rows]


async def merge(room: Room, winner: UUID, other: UUID, reason: str = "the same person") -> Merge:
    async with transaction(room.engine) as connection:
        desk = await room.handlers.desk(connection)
        done = await merging.merge(desk, winner, other, reason, "jo")
        await desk.save()
    return done


async def unmerge(room: Room, merge_id: UUID) -> Undone:
    async with transaction(room.engine) as connection:
        desk = await room.handlers.desk(connection)
        done = await unmerging.unmerge(desk, merge_id, "kim")
        await desk.save()
    return done


# What a merge changes; versions and history go on, and are left out.
HELD = {
    "customers": "SELECT id, name, language, grp, internal, opted_out, merged_into FROM customers",
    "identities": "SELECT scheme, value, customer_id, verified, created_at FROM identities",
    "cases": "SELECT id, customer_id, doc ->> 'customer_id' FROM cases",
    "messages": "SELECT id, case_id, customer_id FROM messages",
    "promises": "SELECT id, customer_id FROM promises",
    "surveys": "SELECT case_id, customer_id FROM surveys",
    "resume_codes": "SELECT hash, customer_id FROM resume_codes",
    "identity_conflicts": "SELECT id, customer_id, other_id, ended_at FROM identity_conflicts",
    "identity_claims": "SELECT scheme, value, customer_id FROM identity_claims",
}


async def held(room: Room) -> dict[str, list[tuple[Any, ...]]]:
    """Whose everything is."""
    return {
        table: [tuple(row) for row in await room.rows(f"{query} ORDER BY 1, 2")]
        for table, query in HELD.items()
    }
