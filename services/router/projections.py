"""Events into rows: the case as the inbox lists it, its history, deadlines, messages, timers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from services.router import models, moved_rows, projections_journey
from services.router.case import PRIORITIES, Case, Deadline
from services.router.firing import next_fire
from services.router.models import MessageRow
from shared import events as ev
from shared.codes import masked
from shared.database import copy, driver, upsert
from shared.ids import new_id

if TYPE_CHECKING:
    from services.router.desk import Desk

_ENCODER: Final = msgspec.json.Encoder()
_RANKS: Final = {priority: rank for rank, priority in enumerate(PRIORITIES)}


async def save(desk: Desk, changed: Mapping[UUID, Case], stored: Mapping[UUID, Case]) -> None:
    """Writes all of a desk's work in a fixed number of statements."""
    connection = desk.connection
    new = [_case_row(case) for id, case in changed.items() if id not in stored]
    old = sorted(_case_row(case) for id, case in changed.items() if id in stored)
    await copy(connection, "cases", tuple(models.CASES), new)
    await upsert(connection, "cases", models.CASES, ("id",), old)
    await copy(connection, "case_events", models.CASE_EVENTS, [_event_row(c) for c in desk.changes])
    await copy(connection, "messages", MessageRow._fields, desk.messages + list(_outgoing(desk)))
    await _update_messages(desk)
    await moved_rows.save(desk)
    await projections_journey.save(desk, changed, stored)
    await _save_deadlines(desk, changed, stored)
    await _save_timers(desk, changed, stored)
    await copy(
        connection, "decisions", models.DECISIONS, [_decision_row(desk, *d) for d in desk.decisions]
    )


def _case_row(case: Case) -> tuple[Any, ...]:
    due_at, due_metric = case.effective_due()
    route = case.routes.get(case.channel)
    risk = next((d.at_risk for d in case.running if d.at_risk), "")
    return (
        case.id, case.customer_id, case.account, case.channel, case.subject, case.preview,
        case.team, case.agent, case.claim_until, case.state, _RANKS[case.priority], case.product,
        case.version, case.seq, case.opened_at, case.closed_at, case.touched_at,
        case.waiting_since, case.answered_at, due_at, due_metric, risk,
        route.window_closes_at if route else None, _json(case.skills), case.parent_id,
        case.frozen, case.hopped, _json(case.pruned()),
    )  # fmt: skip


def _event_row(change: ev.CaseChanged) -> tuple[Any, ...]:
    event = change.event
    if isinstance(event, ev.ReplyRequested) and event.secret:
        event = msgspec.structs.replace(event, text=masked(event.text))
    if isinstance(event, ev.HandoffOffered) and event.answer_url:
        event = msgspec.structs.replace(event, answer_url="")
    kind = ev.type_name(type(event).__name__)
    return (
        change.case_id, change.seq, change.version, kind, change.at, change.actor, _json(event)
    )  # fmt: skip


async def _save_deadlines(
    desk: Desk, changed: Mapping[UUID, Case], stored: Mapping[UUID, Case]
) -> None:
    new: list[tuple[Any, ...]] = []
    old: list[tuple[Any, ...]] = []
    for id, case in changed.items():
        was = stored.get(id)
        before = {d.number: d for d in was.deadlines} if was else {}
        moved = was is not None and (was.team, was.channel) != (case.team, case.channel)
        for deadline in case.deadlines:
            if deadline.number not in before:
                new.append(_deadline_row(case, deadline))
            elif before[deadline.number] != deadline or (moved and deadline.state != "breached"):
                old.append(_deadline_row(case, deadline))
    await copy(desk.connection, "deadlines", tuple(models.DEADLINES), new)
    await upsert(desk.connection, "deadlines", models.DEADLINES, ("case_id", "number"), old)


def _deadline_row(case: Case, d: Deadline) -> tuple[Any, ...]:
    warn_at = d.warn_at[d.step] if d.step < len(d.warn_at) else None
    return (
        case.id, d.number, d.metric, d.state, d.started_at, d.due_at, warn_at, d.at_risk,
        d.team or case.team, d.channel or case.channel, d.rule, d.policy_version, d.ended_at,
        d.words, d.late, _RANKS[d.priority], d.agent,
    )  # fmt: skip


def _decision_row(desk: Desk, case_id: UUID, version: int, decision: Any) -> tuple[Any, ...]:
    data = {"words": decision.words, "inputs": decision.inputs, "trail": decision.trail}
    return (
        new_id(), case_id, version, desk.now, decision.kind, decision.rule,
        decision.policy_version, _json(data),
    )  # fmt: skip


async def _save_timers(
    desk: Desk, changed: Mapping[UUID, Case], stored: Mapping[UUID, Case]
) -> None:
    fires = {id: next_fire(case, desk.policy, desk.now) for id, case in changed.items()}
    rows = [(id, at) for id, at in fires.items() if at is not None]
    await copy(
        desk.connection, "timers", tuple(models.TIMERS), [r for r in rows if r[0] not in stored]
    )
    await upsert(
        desk.connection, "timers", models.TIMERS, ("case_id",),
        sorted(row for row in rows if row[0] in stored),
    )  # fmt: skip
    idle = [id for id, at in fires.items() if at is None and id in stored]
    if idle:
        raw = await driver(desk.connection)
        await raw.execute("DELETE FROM timers WHERE case_id = ANY($1)", idle)


def _outgoing(desk: Desk) -> Iterable[MessageRow]:
    """The rows of what we send, or record as said elsewhere."""
    for change in desk.changes:
        event, case = change.event, desk.cases[change.case_id]
        if isinstance(event, ev.ReplyRequested):
            text = masked(event.text) if event.secret else event.text
            data = {
                "recipient": str(event.recipient), "template": event.template,
                "attachments": event.attachments, "human": event.human, "answers": event.answers,
            }  # fmt: skip
            row = _out(case, change, event, data)
            yield row._replace(account=event.account, text=text)
        elif isinstance(event, ev.ReplyRecorded):
            row = _out(case, change, event, {"outcome": event.outcome, "answers": event.answers})
            yield row._replace(
                account=event.account or case.account,
                provider_id=event.provider_id,
                state="recorded",
                occurred_at=event.occurred_at,
            )


def _out(
    case: Case,
    change: ev.CaseChanged,
    event: ev.ReplyRequested | ev.ReplyRecorded,
    data: Mapping[str, Any],
) -> MessageRow:
    return MessageRow(
        id=event.message_id, case_id=case.id, customer_id=case.customer_id, account=case.account,
        channel=event.channel, direction="out", kind="message", state="pending",
        authentication="proven", author=event.author, provider_id="", subject=case.subject,
        text=event.text, marked="", occurred_at=change.at, received_at=change.at,
        processed_at=change.at, data=_json(data),
    )  # fmt: skip


async def _update_messages(desk: Desk) -> None:
    """What became of our messages, in the order it was reported."""
    rows: dict[UUID, tuple[str, str, str]] = {}
    for change in desk.changes:
        match change.event:
            case ev.ReplySent(message_id=id, provider_id=provider_id):
                rows[id] = ("sent", provider_id, "")
            case ev.ReplyFailed(message_id=id) as failed:
                rows[id] = ("failed", rows.get(id, ("", "", ""))[1], _why(failed))
            case ev.ReplyDoubtful(message_id=id, reason=reason):
                rows[id] = ("unknown", "", reason)
            case ev.DeliveryStatusChanged(message_id=id, status=status):
                rows[id] = (status, *rows.get(id, ("", "", ""))[1:])
    if rows:
        raw = await driver(desk.connection)
        await raw.execute(
            "UPDATE messages SET state = new.state, "
            "provider_id = CASE WHEN new.provider_id = '' THEN messages.provider_id "
            "ELSE new.provider_id END, "
            "data = CASE WHEN new.error = '' THEN data "
            "ELSE data || jsonb_build_object('error', new.error) END "
            "FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) "
            "AS new (id, state, provider_id, error) WHERE messages.id = new.id",
            list(rows), *zip(*rows.values(), strict=True),
        )  # fmt: skip


def _why(failed: ev.ReplyFailed) -> str:
    """What an agent reads beside a reply that did not arrive."""
    instead = [f"a switch to {', '.join(failed.permitted)}"] if failed.permitted else []
    if failed.code == "window_closed":
        instead.insert(0, "a template")
    permitted = f"; permitted: {', or '.join(instead)}" if instead else ""
    return f"{failed.code}: {failed.reason}{permitted}"


def _json(value: Any) -> str:
    return _ENCODER.encode(value).decode()
