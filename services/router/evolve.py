"""How each event changes a case: `evolve(case, change) -> case`. Pure, and total.

The same fold rebuilds a case from its stored history. What happens to its clocks stands in
`evolve_clocks`; handoffs, promises, results and the survey in `evolve_journey`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from msgspec.structs import replace

from services.router import evolve_clocks, evolve_journey, evolve_replies
from services.router.case import (
    ANSWERS,
    Answered,
    Case,
    Deadline,
    Route,
    Unanswered,
)
from shared import events as ev
from shared.events import CaseChanged, Event, Identity

_MOST_UNANSWERED: Final = 100


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
        known=event.known,
        stirred=event.stirred,
        parent_id=event.parent_id,
        skills=event.skills,
        relax_at=event.relax_at,
        split_from=event.split_from,
        matters=1 if event.opened_by or event.split_from else 0,
        routes=_first_route(event),
        opened_at=change.at,
        touched_at=change.at,
    )


def _first_route(event: ev.CaseOpened) -> dict[str, Route]:
    """Where an agent who begins writes to."""
    if event.reply_to is None:
        return {}
    closes_at = event.reply_window_closes_at
    route = Route(account=event.account, identity=event.reply_to, window_closes_at=closes_at)
    return {event.channel: route}


def _message_added(case: Case, event: ev.MessageAdded, change: CaseChanged) -> Case:
    routes = case.routes
    if event.reply_to is not None:
        routes = routes | {event.channel: _route(routes.get(event.channel), event, event.reply_to)}
    changes: dict[str, Any] = {"routes": routes, "touched_at": change.at}
    if event.language:
        changes["language"] = event.language
    if event.preview:
        changes["preview"] = event.preview
    if event.rule:
        changes["level"] = event.rule
    if event.unanswered or event.kind == "call_ended":
        changes["matters"] = case.matters + 1
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
            "returned_by": "",
            "state": "open" if case.state == "waiting_customer" else case.state,
            "wakes_at": None if case.state == "waiting_customer" else case.wakes_at,
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
    if event.occurred_at is not None:
        case = replace(
            case,
            unanswered=_since(case.unanswered, event.message_id, event.occurred_at),
            answered=tuple(
                replace(a, waiting=_since(a.waiting, event.message_id, event.occurred_at))
                for a in case.answered
            ),
        )
    return _settled(case, event, change) if event.settled else case


def _since(
    waiting: tuple[Unanswered, ...], message_id: UUID, at: datetime
) -> tuple[Unanswered, ...]:
    """A call: it waits since the earliest time that was named."""
    return tuple(replace(m, at=min(m.at, at)) if m.message_id == message_id else m for m in waiting)


def _routed(case: Case, event: ev.CaseRouted, change: CaseChanged) -> Case:
    return replace(
        case,
        team=event.team,
        product=event.product,
        priority=event.priority,
        subject=event.subject,
        rule=event.rule,
        tags=event.tags,
        skills=event.skills,
        step=0,
        relax_at=event.relax_at,
        stirred=True,
    )


def _settled(case: Case, event: ev.MessageRevised | ev.MessageSplit, change: CaseChanged) -> Case:
    """Nobody had to answer it, so it waits no more, nor again should its answer fail."""
    waiting = tuple(m for m in case.unanswered if m.message_id != event.message_id)
    return replace(
        case,
        unanswered=waiting,
        answered=tuple(_without(a, event.message_id) for a in case.answered),
        deadlines=case.deadlines
        if waiting
        else evolve_replies.breached_ended(case, change.at, *ANSWERS),
    )


def _without(answered: Answered, message_id: UUID) -> Answered:
    waiting = tuple(m for m in answered.waiting if m.message_id != message_id)
    return replace(answered, waiting=waiting) if waiting != answered.waiting else answered


def _claimed(case: Case, event: ev.CaseClaimed, change: CaseChanged) -> Case:
    return replace(
        case,
        agent=event.agent,
        claim_until=event.until,
        active_at=change.at,
        given_at=_given_at(case, event.agent, change),
        returned_by=_returned_by(case, event.agent),
    )


def _given_at(case: Case, agent: str, change: CaseChanged) -> datetime | None:
    """Since when this agent has it: whoever keeps it, keeps the time too."""
    if not agent:
        return None
    return case.given_at if case.agent == agent else change.at


def _returned_by(case: Case, agent: str) -> str:
    """Forgotten once somebody else has it."""
    return case.returned_by if agent in ("", case.returned_by) else ""


def _assigned(case: Case, event: ev.CaseAssigned, change: CaseChanged) -> Case:
    return replace(
        case,
        team=event.team,
        agent=event.agent,
        claim_until=event.until,
        given_at=_given_at(case, event.agent, change),
        returned_by=_returned_by(case, event.agent),
        skills=event.skills,
        step=event.step,
        relax_at=event.relax_at,
    )


def _released(case: Case, event: ev.CaseReleased, change: CaseChanged) -> Case:
    """While an agent had it, the time of its target did not count."""
    relax_at = case.relax_at
    if relax_at is not None and case.given_at is not None:
        relax_at += change.at - case.given_at
    return replace(
        case,
        agent="",
        claim_until=None,
        given_at=None,
        returned_by=event.agent,
        relax_at=relax_at,
    )


def _paused(case: Case, event: ev.CasePaused, change: CaseChanged) -> Case:
    return replace(case, state=event.state, wakes_at=event.until)


def _resumed(case: Case, event: ev.CaseResumed, change: CaseChanged) -> Case:
    return replace(case, state="open", wakes_at=None)


def _closed(case: Case, event: ev.CaseClosed, change: CaseChanged) -> Case:
    """What a reply still on its way answers is remembered: should it fail, it waits again."""
    for reply in case.pending:
        if reply.human:
            case = evolve_replies.answer(
                case, reply.message_id, reply.answers, change.at, reply.author, event.promised
            )
            case = replace(case, state="open")
    deadlines = tuple(_over(d, event, change) if d.live else d for d in case.deadlines)
    return replace(
        case,
        state="closed",
        closed_at=change.at,
        closed_by="" if event.empty else event.author,
        agent="",
        claim_until=None,
        given_at=None,
        returned_by="",
        skills=(),
        relax_at=None,
        wakes_at=None,
        unanswered=(),
        offers=(),
        promises=(),
        frozen="",
        deadlines=deadlines,
    )


def _over(deadline: Deadline, event: ev.CaseClosed, change: CaseChanged) -> Deadline:
    """Closing resolves, and answers nobody."""
    closer = event.author if deadline.metric == "resolution" else ""
    return replace(deadline, ended_at=change.at, agent=closer)


def _reopened(case: Case, event: ev.CaseReopened, change: CaseChanged) -> Case:
    return replace(
        case, state="open", closed_at=None, closed_by="", escalated=False, hops=(), suggested=()
    )


_RULES: Final[dict[type[Event], evolve_clocks.Rule]] = {
    ev.MessageAdded: _message_added,
    ev.MessageRevised: _revised,
    ev.CaseRouted: _routed,
    ev.CaseAssigned: _assigned,
    ev.CaseRevised: lambda case, e, _: replace(case, product=e.product, tags=e.tags),
    ev.CaseMoved: lambda case, e, _: replace(case, customer_id=e.customer_id),
    ev.MessageSplit: _settled,
    ev.CasePriorityChanged: lambda case, e, _: replace(case, priority=e.priority),
    ev.CaseClaimed: _claimed,
    ev.CaseReleased: _released,
    ev.CasePaused: _paused,
    ev.CaseResumed: _resumed,
    **evolve_clocks.RULES,
    **evolve_journey.RULES,
    **evolve_replies.RULES,
    ev.CaseClosed: _closed,
    ev.CaseReopened: _reopened,
}
