"""What the notifier and the providers report of our messages.

A provider's status may come before the send that it is about is committed: it is kept, and
matched when the notifier's report names the provider's id (DESIGN 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid5

import msgspec

from services.router import queries, watermarks
from services.router.commands import ReportDelivery
from services.router.desk import Desk
from services.router.queries import Known
from services.router.rights import barring
from shared.database import copy, driver
from shared.events import RANK, DeliveryReported, DeliveryStatusReceived
from shared.ids import REPORTS

Report = DeliveryReported | DeliveryStatusReceived


async def take(desk: Desk, reports: Sequence[tuple[str, Report]]) -> None:
    keys = {uuid5(REPORTS, id): report for id, report in reports}
    fresh = await queries.unseen(desk.connection, list(keys), desk.now)
    batch = [report for key, report in keys.items() if key in fresh]
    told = [r for r in batch if isinstance(r, DeliveryReported)]
    statuses = [r for r in batch if isinstance(r, DeliveryStatusReceived)]
    statuses = await watermarks.spread(desk.connection, statuses)
    statuses += await _kept_for(desk, told)
    messages = await _find(desk, told, statuses)
    desk.seat(
        await queries.lock_cases(
            desk.connection,
            {known.case_id for known in messages.values()} | {r.case_id for r in told},
        )
    )
    ids = {known.id for known in messages.values()}
    # read again: only now, with the cases locked, nobody else can change them
    locked = await queries.messages_by_id(desk.connection, ids)
    states = {id: known.state for id, known in locked.items()}
    for report in told:
        _take_report(desk, report, states)
    unmatched = [s for s in statuses if not _take_status(desk, s, messages, states)]
    await _keep(desk, unmatched)


def _take_report(desk: Desk, report: DeliveryReported, states: dict[UUID, str]) -> None:
    if report.message_id is None or report.case_id not in desk.cases:
        return
    status = "failed" if report.status == "dropped" else report.status
    if RANK[status] <= RANK.get(states.get(report.message_id, ""), 0):
        return  # the provider's own word came first, and says more
    desk.decide(
        report.case_id,
        ReportDelivery(
            message_id=report.message_id,
            status=status,
            at=report.at,
            provider_id=report.provider_id,
            code=report.code,
            reason=report.reason,
        ),
    )
    states[report.message_id] = status


def _take_status(
    desk: Desk,
    status: DeliveryStatusReceived,
    messages: dict[str, Known],
    states: dict[UUID, str],
) -> bool:
    """False when no message of ours is known by this id yet."""
    known = messages.get(status.correlation) or messages.get(status.provider_id)
    if known is None or known.case_id not in desk.cases:
        return False
    if (known.account, known.direction) != (status.account, "out"):
        return True  # it names what it has no say in
    if RANK[status.status] > RANK.get(states.get(known.id, ""), 0):
        states[known.id] = status.status
        desk.decide(
            known.case_id,
            ReportDelivery(
                message_id=known.id,
                status=status.status,
                at=status.at,
                provider_id=status.provider_id,
                code=status.code,
                reason=status.reason,
            ),
        )
    return True


async def _find(
    desk: Desk, told: Sequence[DeliveryReported], statuses: Sequence[DeliveryStatusReceived]
) -> dict[str, Known]:
    """Our messages by every name a status may use for them: our id, or the provider's."""
    found: dict[str, Known] = {}
    ids = {report.message_id for report in told if report.message_id}
    ids |= {id for status in statuses if (id := _uuid(status.correlation))}
    by_id = await queries.messages_by_id(desk.connection, ids)
    found |= {str(id): known for id, known in by_id.items()}
    refs = [(s.account, s.provider_id) for s in statuses]
    for (_, provider_id), known in (await queries.messages_by_ref(desk.connection, refs)).items():
        if known.direction == "out":
            found[provider_id] = known
    for report in told:
        if report.message_id in by_id and report.provider_id:
            found[report.provider_id] = by_id[report.message_id]
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


async def _kept_for(desk: Desk, told: Sequence[DeliveryReported]) -> list[DeliveryStatusReceived]:
    """Statuses that came before the report that makes them matchable."""
    named = [(r.account, r.provider_id) for r in told if r.provider_id]
    if not named:
        return []
    rows = await (await driver(desk.connection)).fetch(
        "DELETE FROM pending_statuses USING unnest($1::text[], $2::text[]) "
        "AS sent (account, provider_id) WHERE pending_statuses.account = sent.account "
        "AND pending_statuses.provider_id = sent.provider_id RETURNING data::text",
        *zip(*named, strict=True),
    )
    kept = [msgspec.json.decode(row["data"], type=DeliveryStatusReceived) for row in rows]
    return sorted(kept, key=lambda status: RANK[status.status])


async def _keep(desk: Desk, statuses: Sequence[DeliveryStatusReceived]) -> None:
    statuses = await barring.unbarred(desk.connection, statuses)
    rows = [(s.account, s.provider_id, s.id, msgspec.json.encode(s).decode()) for s in statuses]
    await copy(desk.connection, "pending_statuses", ("account", "provider_id", "id", "data"), rows)
