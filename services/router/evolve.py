"""How each event changes a case: `evolve(case, change) -> case`. Pure, and total.

The same fold rebuilds a case from its stored history.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from services.router.case import (
    ANSWERS,
    Answered,
    Case,
    Deadline,
    Offer,
    Pending,
    Route,
    Unanswered,
)
from shared import events as ev
from shared.events import CaseChanged, Event, Identity

_MOST_UNANSWERED: Final = 100
_KEPT_ANSWERS: Final = 3


def evolve(case: Case | None, change: CaseChanged) -> Case:
    """The case after one of its events. Total: every event of the history has its rule."""
    event = change.event
    if isinstance(event, ev.CaseOpened):
        case = _opened(change, event)
    elif case is None:
        raise ValueError(f"the history of case {change.case_id} does not begin with case.opened")
    else:
        rule = _RULES.get(type(event))
        case = case if rule is None else rule(case, event, change)
    return replace(case, seq=change.seq, version=change.version)


def _opened(change: CaseChanged, event: ev.CaseOpened) -> Case:
    return Case(
        id=change.case_id,
        customer_id=event.customer_id,
        account=event.account,
        channel=event.channel,
        subject=event.subject,
        team=event.team,
        priority=event.priority,
        product=event.product,
        rule=event.rule,
        tags=event.tags,
        group=event.group,
        internal=event.internal,
        stirred=event.stirred,
        parent_id=event.parent_id,
        opened_at=change.at,
        touched_at=change.at,
    )


def _message_added(case: Case, event: ev.MessageAdded, change: CaseChanged) -> Case:
    routes = case.routes
    if event.reply_to is not None:
        routes = routes | {event.channel: _route(routes.get(event.channel), event, event.reply_to)}
    changes: dict[str, Any] = {"routes": routes, "touched_at": change.at}
    if event.preview:
        changes["preview"] = event.preview
    if event.unanswered:
        waiting = (
            *case.unanswered,
            Unanswered(
                version=change.version,
                at=event.occurred_at,
                message_id=event.message_id,
                received_at=event.arrived_at or event.received_at,
                rule=event.rule,
                kind=event.kind,
            ),
        )
        changes |= {
            "unanswered": _bounded(waiting),
            "state": "open" if case.state == "waiting_customer" else case.state,
        }
        if event.reply_to is not None:  # a stranger in the thread moves nothing
            changes |= {"channel": event.channel, "account": event.account}
    return replace(case, **changes)


def _route(old: Route | None, event: ev.MessageAdded, identity: Identity) -> Route:
    """A late older message must not close a window that a newer one opened."""
    new = Route(
        account=event.account,
        identity=identity,
        references=event.references,
        window_closes_at=event.reply_window_closes_at,
        answer_by=event.answer_by,
    )
    if old is None or old.window_closes_at is None:
        return new
    if new.window_closes_at is None or new.window_closes_at < old.window_closes_at:
        return replace(new, window_closes_at=old.window_closes_at, answer_by=old.answer_by)
    return new


def _bounded(waiting: tuple[Unanswered, ...]) -> tuple[Unanswered, ...]:
    """A flood stays small: two neighbours become one, with the earlier time and later version.

    That errs to the customer's side: an answer to the first alone leaves both waiting.
    """
    if len(waiting) <= _MOST_UNANSWERED:
        return waiting
    middle = len(waiting) // 2
    one, two = waiting[middle], waiting[middle + 1]
    merged = replace(one if one.at <= two.at else two, version=two.version, message_id=None)
    return (*waiting[:middle], merged, *waiting[middle + 2 :])


def _revised(case: Case, event: ev.MessageRevised, change: CaseChanged) -> Case:
    case = replace(
        case,
        subject=case.subject if event.subject is None else event.subject,
        preview=case.preview if event.preview is None else event.preview,
    )
    return _settled(case, event, change) if event.settled else case


def _routed(case: Case, event: ev.CaseRouted, change: CaseChanged) -> Case:
    return replace(
        case,
        team=event.team,
        product=event.product,
        priority=event.priority,
        subject=event.subject,
        rule=event.rule,
        tags=event.tags,
        stirred=True,
    )


def _settled(case: Case, event: ev.MessageRevised, change: CaseChanged) -> Case:
    waiting = tuple(m for m in case.unanswered if m.message_id != event.message_id)
    return replace(
        case,
        unanswered=waiting,
        deadlines=case.deadlines if waiting else _breached_ended(case, change.at),
    )


def _answer(case: Case, message_id: UUID, answers: int, at: datetime) -> Case:
    """A person answered what was in the case at that version."""
    waiting = tuple(message for message in case.unanswered if message.version > answers)
    answered = Answered(
        message_id=message_id,
        answers=answers,
        waiting=tuple(message for message in case.unanswered if message.version <= answers),
        promised=min((d.due_at for d in case.running if d.metric in ANSWERS), default=None),
    )
    return replace(
        case,
        unanswered=waiting,
        answered=(*case.answered, answered)[-_KEPT_ANSWERS:],
        deadlines=_breached_ended(case, at) if answered.waiting else case.deadlines,
        answered_at=at,
        state=case.state if waiting or case.state == "closed" else "waiting_customer",
    )


def _breached_ended(case: Case, at: datetime) -> tuple[Deadline, ...]:
    """What was breached is over once it is answered, however late."""
    return tuple(
        replace(d, ended_at=at) if d.live and d.state == "breached" and d.metric in ANSWERS else d
        for d in case.deadlines
    )


def _reply_sent(case: Case, event: ev.ReplySent, change: CaseChanged) -> Case:
    reply = next((p for p in case.pending if p.message_id == event.message_id), None)
    if reply is None:
        return case
    case = _without_pending(case, event.message_id)
    if not reply.human or case.state == "closed":
        return case
    return _answer(case, event.message_id, reply.answers, change.at)


def _without_pending(case: Case, message_id: UUID) -> Case:
    return replace(case, pending=tuple(p for p in case.pending if p.message_id != message_id))


def _reply_recorded(case: Case, event: ev.ReplyRecorded, change: CaseChanged) -> Case:
    case = replace(case, active_at=change.at)
    if event.outcome in ("", "reached"):
        return _answer(case, event.message_id, event.answers, change.at)
    return case


def _reply_requested(case: Case, event: ev.ReplyRequested, change: CaseChanged) -> Case:
    reply = Pending(
        message_id=event.message_id,
        accepted_at=change.at,
        answers=event.answers,
        human=event.human,
    )
    active = change.at if event.human else case.active_at
    return replace(case, pending=(*case.pending, reply), active_at=active)


def _reply_failed(case: Case, event: ev.ReplyFailed, change: CaseChanged) -> Case:
    """What it answered waits again, but for what another reply answered as well."""
    human = case.carries(event.message_id)
    case = _without_pending(case, event.message_id)
    lost = next((a for a in case.answered if a.message_id == event.message_id), None)
    if lost is not None:
        kept = tuple(a for a in case.answered if a is not lost)
        seen = max((a.answers for a in kept), default=0)
        case = replace(
            case,
            answered=kept,
            unanswered=(*(m for m in lost.waiting if m.version > seen), *case.unanswered),
            answered_at=case.answered_at if kept else None,
        )
    waits = case.state == "waiting_customer" and human
    return replace(case, state="open") if waits else case


def _reply_doubtful(case: Case, event: ev.ReplyDoubtful, change: CaseChanged) -> Case:
    pending = (
        replace(p, doubtful=True) if p.message_id == event.message_id else p for p in case.pending
    )
    return replace(case, pending=tuple(pending))


def _deadline_started(case: Case, event: ev.DeadlineStarted, change: CaseChanged) -> Case:
    started = Deadline(
        number=event.number,
        metric=event.metric,
        state="running",
        started_at=event.started_at,
        due_at=event.due_at,
        warn_at=event.warn_at,
        rule=event.rule,
        policy_version=event.policy_version,
        calendar=event.calendar,
        words=event.words,
        late=event.late,
    )
    return replace(case, deadlines=(*case.deadlines, started))


def _on_deadline(case: Case, number: int, **changes: Any) -> Case:
    return replace(
        case,
        deadlines=tuple(replace(d, **changes) if d.number == number else d for d in case.deadlines),
    )


def _claimed(case: Case, event: ev.CaseClaimed, change: CaseChanged) -> Case:
    return replace(case, agent=event.agent, claim_until=event.until, active_at=change.at)


def _assigned(case: Case, event: ev.CaseAssigned, change: CaseChanged) -> Case:
    return replace(case, team=event.team, agent=event.agent, claim_until=None)


def _closed(case: Case, event: ev.CaseClosed, change: CaseChanged) -> Case:
    """What a reply still on its way answers is remembered: should it fail, it waits again."""
    for reply in case.pending:
        if reply.human:
            case = replace(_answer(case, reply.message_id, reply.answers, change.at), state="open")
    deadlines = tuple(replace(d, ended_at=change.at) if d.live else d for d in case.deadlines)
    return replace(
        case,
        state="closed",
        closed_at=change.at,
        agent="",
        claim_until=None,
        unanswered=(),
        offers=(),
        deadlines=deadlines,
    )


def _reopened(case: Case, event: ev.CaseReopened, change: CaseChanged) -> Case:
    return replace(case, state="open", closed_at=None, escalated=False)


def _offered(case: Case, event: ev.HandoffOffered, change: CaseChanged) -> Case:
    offer = Offer(
        handoff_id=event.handoff_id,
        expires_at=event.code_expires_at or event.expires_at,
        to_team=event.to_team,
        to_channel=event.to_channel,
        address=event.address,
    )
    return replace(case, offers=(*case.offers, offer))


def _without_offer(case: Case, event: Any, change: CaseChanged) -> Case:
    return replace(case, offers=tuple(o for o in case.offers if o.handoff_id != event.handoff_id))


Rule = Callable[[Case, Any, CaseChanged], Case]

_RULES: Final[dict[type[Event], Rule]] = {
    ev.MessageAdded: _message_added,
    ev.MessageRevised: _revised,
    ev.CaseRouted: _routed,
    ev.CaseAssigned: _assigned,
    ev.CasePriorityChanged: lambda case, e, _: replace(case, priority=e.priority),
    ev.CaseClaimed: _claimed,
    ev.CaseReleased: lambda case, e, _: replace(case, agent="", claim_until=None),
    ev.DeadlineStarted: _deadline_started,
    ev.DeadlineSuperseded: lambda case, e, c: _on_deadline(
        case, e.number, state="superseded", ended_at=c.at
    ),
    ev.DeadlineMet: lambda case, e, c: _on_deadline(case, e.number, state="met", ended_at=c.at),
    ev.DeadlinePaused: lambda case, e, c: _on_deadline(
        case, e.number, state="paused", paused_at=c.at
    ),
    ev.DeadlineResumed: lambda case, e, _: _on_deadline(
        case,
        e.number,
        state="running",
        paused_at=None,
        due_at=e.due_at,
        warn_at=e.warn_at,
        step=0,
    ),
    ev.DeadlineWarned: lambda case, e, _: _on_deadline(case, e.number, step=e.step),
    ev.DeadlineAtRisk: lambda case, e, _: _on_deadline(case, e.number, at_risk=e.reason),
    ev.DeadlineBreached: lambda case, e, _: replace(
        _on_deadline(case, e.number, state="breached", at_risk="", team=case.team),
        escalated=case.escalated or (e.metric in ANSWERS and not e.arrived_late),
    ),
    ev.ReplyRequested: _reply_requested,
    ev.ReplySent: _reply_sent,
    ev.ReplyFailed: _reply_failed,
    ev.ReplyDoubtful: _reply_doubtful,
    ev.ReplyRecorded: _reply_recorded,
    ev.CaseClosed: _closed,
    ev.CaseReopened: _reopened,
    ev.HandoffOffered: _offered,
    ev.HandoffAccepted: _without_offer,
    ev.HandoffDeclined: _without_offer,
    ev.HandoffExpired: _without_offer,
}
