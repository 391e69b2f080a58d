"""How replies, and what became of them, change a case. Pure; part of `evolve`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from services.router.case import ANSWERS, Answered, Case, Deadline, Pending, Unanswered
from services.router.evolve_clocks import Rule
from shared import events as ev
from shared.events import CaseChanged, Event, Metric

_KEPT_ANSWERS: Final = 8


def answer(
    case: Case,
    message_id: UUID,
    answers: int,
    at: datetime,
    author: str,
    promised: datetime | None = None,
) -> Case:
    """A person answered what was in the case at that version.

    One record a reply: what was on its way at the closing is answered then, and again when it is
    reported sent.
    """
    waiting = tuple(message for message in case.unanswered if message.version > answers)
    before = [a for a in case.answered if a.message_id == message_id]
    others = (a for a in case.answered if a.message_id != message_id)
    promises = [
        *(a.promised for a in before if a.promised is not None),
        *(d.due_at for d in case.running if d.metric in ANSWERS),
        *((promised,) if promised is not None else ()),
    ]
    answered = Answered(
        message_id=message_id,
        answers=answers,
        waiting=(
            *(message for a in before for message in a.waiting),
            *(message for message in case.unanswered if message.version <= answers),
        ),
        promised=min(promises, default=None),
        author=author,
    )
    return replace(
        case,
        unanswered=waiting,
        answered=(*others, answered)[-_KEPT_ANSWERS:],
        deadlines=breached_ended(
            case, at, *(ANSWERS if answered.waiting else ()), "update", agent=author
        ),
        answered_at=at,
        tried=0,
        state=case.state if waiting or case.state == "closed" else "waiting_customer",
        wakes_at=case.wakes_at if waiting else None,
    )


def breached_ended(
    case: Case, at: datetime, *metrics: Metric, agent: str = ""
) -> tuple[Deadline, ...]:
    """What was breached is over once it is answered, however late."""
    return tuple(
        replace(d, ended_at=at, agent=agent)
        if d.live and d.state == "breached" and d.metric in metrics
        else d
        for d in case.deadlines
    )


def _reply_sent(case: Case, event: ev.ReplySent, change: CaseChanged) -> Case:
    reply = next((p for p in case.pending if p.message_id == event.message_id), None)
    if reply is None:
        return case
    case = _without_pending(case, event.message_id)
    if not reply.human or case.state == "closed":
        return case
    return answer(case, event.message_id, reply.answers, change.at, reply.author)


def _without_pending(case: Case, message_id: UUID) -> Case:
    return replace(case, pending=tuple(p for p in case.pending if p.message_id != message_id))


def _reply_recorded(case: Case, event: ev.ReplyRecorded, change: CaseChanged) -> Case:
    case = replace(case, active_at=change.at, survey=None)
    if event.outcome in ("", "reached"):
        return answer(case, event.message_id, event.answers, change.at, event.author)
    return replace(case, tried=case.tried + 1)


def _reply_requested(case: Case, event: ev.ReplyRequested, change: CaseChanged) -> Case:
    reply = Pending(
        message_id=event.message_id,
        accepted_at=change.at,
        answers=event.answers,
        human=event.human,
        author=event.author,
    )
    case = replace(case, pending=(*case.pending, reply))
    return replace(case, active_at=change.at, survey=None) if event.human else case


def _reply_failed(case: Case, event: ev.ReplyFailed, change: CaseChanged) -> Case:
    """What it answered waits again, but for what another reply answered as well."""
    human = case.carries(event.message_id)
    case = _without_pending(case, event.message_id)
    lost = next((a for a in case.answered if a.message_id == event.message_id), None)
    if lost is not None:
        kept, waiting = _inherited(lost, [a for a in case.answered if a is not lost])
        case = replace(
            case,
            answered=kept,
            unanswered=(*waiting, *case.unanswered),
            answered_at=case.answered_at if kept else None,
            # it waits again only now, so whoever has it gets the time to answer anew
            given_at=change.at if case.agent and waiting else case.given_at,
        )
    waits = case.state == "waiting_customer" and human
    return replace(case, state="open", wakes_at=None) if waits else case


def _inherited(
    lost: Answered, kept: list[Answered]
) -> tuple[tuple[Answered, ...], tuple[Unanswered, ...]]:
    """What another reply answered as well is that one's now: should it fail too, it waits again."""
    waiting = []
    for message in lost.waiting:
        seer = next((i for i, a in enumerate(kept) if a.answers >= message.version), None)
        if seer is None:
            waiting.append(message)
            continue
        other = kept[seer]
        promises = [at for at in (other.promised, lost.promised) if at is not None]
        kept[seer] = replace(
            other, waiting=(*other.waiting, message), promised=min(promises, default=None)
        )
    return tuple(kept), tuple(waiting)


def _reply_doubtful(case: Case, event: ev.ReplyDoubtful, change: CaseChanged) -> Case:
    pending = (
        replace(p, doubtful=True) if p.message_id == event.message_id else p for p in case.pending
    )
    return replace(case, pending=tuple(pending))


RULES: Final[Mapping[type[Event], Rule]] = {
    ev.ReplyRequested: _reply_requested,
    ev.ReplySent: _reply_sent,
    ev.ReplyFailed: _reply_failed,
    ev.ReplyDoubtful: _reply_doubtful,
    ev.ReplyRecorded: _reply_recorded,
}
