"""Rows of handoffs: offered with their pack and their code, and how each ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from services.router import models, packs, partners, redeeming
from shared import events as ev
from shared.database import driver, upsert

if TYPE_CHECKING:
    from services.router.desk import Desk

_ENCODER: Final = msgspec.json.Encoder()


async def save(desk: Desk) -> None:
    """Nothing is read or written for a batch without handoffs."""
    offered = [c for c in desk.changes if isinstance(c.event, ev.HandoffOffered)]
    if offered:
        ids = [change.case_id for change in offered]
        fresh = desk.messages
        said = await packs.conversations(desk.connection, ids, fresh)
        rows = [_row(desk, change, said.get(change.case_id, [])) for change in offered]
        await upsert(desk.connection, "handoffs", models.HANDOFFS, ("id",), rows)
        await redeeming.keep_codes(desk)
        await partners.keep_links(desk)
    await _end(desk)


def _row(desk: Desk, change: ev.CaseChanged, said: list[packs.Line]) -> tuple[Any, ...]:
    offer, case = change.event, desk.cases[change.case_id]
    assert isinstance(offer, ev.HandoffOffered)
    return (
        offer.handoff_id, case.id, "offered", offer.reason, offer.author, offer.from_team,
        offer.to_team, offer.from_channel, offer.to_channel, offer.address,
        None if offer.consent is None else _json(offer.consent),
        _json(packs.pack(desk.policy, case, offer, said)), change.at,
        offer.code_expires_at or offer.expires_at, _json(offer.cost),
    )  # fmt: skip


async def _end(desk: Desk) -> None:
    ends: dict[UUID, tuple[str, str, str, str | None]] = {}
    for change in desk.changes:
        match change.event:
            case ev.HandoffAccepted(handoff_id=id, by=by, how=how, consent=consent):
                ends[id] = ("accepted", by, how, _json(consent) if consent else None)
            case ev.HandoffDeclined(handoff_id=id, by=by, reason=reason):
                ends[id] = ("declined", by, reason, None)
            case ev.HandoffExpired(handoff_id=id):
                ends[id] = ("expired", "", "", None)
    if ends:
        raw = await driver(desk.connection)
        accepted = [id for id, (state, *_) in ends.items() if state == "accepted"]
        await raw.execute(
            "UPDATE resume_codes SET redeemed_at = $2 "
            "WHERE handoff_id = ANY($1) AND redeemed_at IS NULL",
            accepted, desk.now,
        )  # fmt: skip
        await raw.execute(
            "UPDATE handoffs SET state = new.state, ended_by = new.by, ended_why = new.why, "
            "consent = coalesce(new.consent, handoffs.consent), ended_at = $6 FROM "
            "unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[]) "
            "AS new (id, state, by, why, consent) WHERE handoffs.id = new.id",
            list(ends), *zip(*ends.values(), strict=True), desk.now,
        )  # fmt: skip


def _json(value: Any) -> str:
    return _ENCODER.encode(value).decode()
