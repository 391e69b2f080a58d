"""What becomes of a promise: kept by a reply or a call, tried in vain, reminded of, broken. Pure.

    hear, sent   a call's outcome, a reply typed elsewhere; one of ours that left
    lost         the reply that had kept it bounced: it is owed again
    pass_time    reminders, and the end (called by `firing`)

One deed keeps one promise of its kind, the one due first, and only one made before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.router import apologies, assignment
from services.router.case import ANSWERS, Case, Promise
from services.router.rules.people import Notify
from services.router.turn import Turn
from shared import events as ev

# A case that waits for the customer is not in the inbox; with a promise it is back so early.
LEAD: Final = timedelta(minutes=15)
_OTHERWISE: Final = ("team", "supervisors")


def hear(turn: Turn, said: ev.ReplyRecorded, senders: frozenset[str] | None = None) -> None:
    """An answer given outside Regie; of a call in vain, that somebody tried.

    senders  the accounts that can send; None: all
    """
    if said.outcome in ("no_answer", "voicemail"):
        _try(turn, said, senders)
        return
    for kind in ("call_back", "answer") if said.outcome == "reached" else ("answer",):
        promise = _first(turn.case.promises, kind, said.occurred_at)
        if promise is not None:
            how = said.outcome or "a reply in the provider's app"
            keep(turn, promise, said.occurred_at, how, said.message_id)


def sent(turn: Turn, before: Case, message_id: UUID) -> None:
    """What counts is when it was accepted: how long sending took is not the agent's doing."""
    for reply in before.pending:
        if reply.message_id == message_id and reply.human:
            promise = _first(turn.case.promises, "answer", reply.accepted_at)
            if promise is not None:
                keep(turn, promise, reply.accepted_at, "a reply", message_id)


def lost(turn: Turn, message_id: UUID) -> None:
    if turn.case.state == "closed":
        return
    for kept in turn.case.kept:
        if kept.message_id == message_id:
            revived = ev.PromiseRevived(promise_id=kept.promise.id, reason="the reply failed")
            turn.record(revived)


def keep(
    turn: Turn, promise: Promise, at: datetime, how: str, message_id: UUID | None = None
) -> None:
    """By a deed at that time; after its due time it is broken first, whether or not the clock has
    come round, and kept late."""
    late = promise.state == "broken" or at > promise.due_at
    if late and promise.state == "open":
        _break(turn, promise)
    turn.record(ev.PromiseKept(promise_id=promise.id, how=how, late=late, message_id=message_id))


def pass_time(turn: Turn, watermark: datetime | None, own: Sequence[Notify] = ()) -> bool:
    """Whether somebody must see the case now: a promise was called to mind, or is nearly due."""
    called = False
    for promise in turn.case.promises:
        if promise.state == "open":
            called |= _remind(turn, promise, own)
            if promise.due_at <= turn.now and not _excused(turn.case, promise, watermark):
                _break(turn, promise, told=_told(turn.case, promise))
    return called or any(p.due_at - LEAD <= turn.now for p in turn.case.promises)


def _told(case: Case, promise: Promise) -> tuple[str, ...]:
    """Nobody, where the answer was due with the call that was asked for: that was told."""
    clock = case.clock(*ANSWERS)
    same = clock is not None and clock.state == "breached" and clock.due_at <= promise.due_at
    return () if same and promise.asked_in is not None else _OTHERWISE


def looks(case: Case, now: datetime, recheck: timedelta) -> Iterator[datetime]:
    """When time changes something about its promises."""
    for promise in case.promises:
        if case.state == "waiting_customer":
            yield promise.due_at - LEAD
        if promise.state == "broken":
            continue
        if promise.due_at <= now:
            yield now + recheck  # perhaps kept, in what we have not handled yet
        else:
            yield min((*promise.remind_at[promise.step :], promise.due_at))


def _first(promises: Iterable[Promise], kind: str, at: datetime) -> Promise | None:
    """The one that a deed at this time is for."""
    fitting = (p for p in promises if p.kind == kind and _before(p, at))
    return min(fitting, key=lambda promise: promise.due_at, default=None)


def _before(promise: Promise, at: datetime) -> bool:
    return promise.made_at is None or promise.made_at <= at


def _excused(case: Case, promise: Promise, watermark: datetime | None) -> bool:
    """The deed may be in what we have not handled yet, or on its way (DESIGN 5.5)."""
    if watermark is None or watermark < promise.due_at:
        return True
    return promise.kind == "answer" and any(
        p.human
        and not p.doubtful
        and p.accepted_at <= promise.due_at
        and _before(promise, p.accepted_at)
        for p in case.pending
    )


def _remind(turn: Turn, promise: Promise, own: Sequence[Notify]) -> bool:
    """The latest step that is due, alone: whoever slept through two is reminded once."""
    due = [step for step in promise.remind_at[promise.step :] if step <= turn.now]
    if not due or promise.due_at <= turn.now:
        return False
    number = promise.step + len(due)
    later = promise.remind_at[number:]
    turn.record(
        ev.PromiseReminded(
            promise_id=promise.id,
            step=number,
            due_at=promise.due_at,
            expires_at=later[0] if later else promise.due_at,
            by=promise.by,
            notify=assignment.reminded(turn, own, "promise"),
        )
    )
    return True


def _break(
    turn: Turn, promise: Promise, reason: str = "late", told: tuple[str, ...] = _OTHERWISE
) -> None:
    case = turn.case
    due = f"{promise.due_at:%Y-%m-%d %H:%M} UTC"
    words = "was not kept by then" if reason == "late" else "was tried often enough, in vain"
    turn.explain("promise", "promises", f"{promise.kind} promised for {due} {words}")
    turn.record(
        ev.PromiseBroken(
            promise_id=promise.id,
            due_at=promise.due_at,
            reason=reason,
            by=promise.by,
            notify=turn.policy.notify_named(
                told, case.team, turn.now, case.priority, "promise_broken"
            ),
        )
    )


# --- tries -----------------------------------------------------------------------------------


def _try(turn: Turn, said: ev.ReplyRecorded, senders: frozenset[str] | None) -> None:
    """Counted; after the last one we say so: to the team, and to the customer in writing."""
    tried = (p for p in turn.case.promises if p.attempts < p.most)
    promise = _first(tried, "call_back", said.occurred_at)
    if promise is None:
        return
    case, count = turn.case, promise.attempts + 1
    last = count >= promise.most
    policy = turn.policy
    told = policy.notify_team(case.team, turn.now, case.priority, "unreached") if last else ()
    turn.record(
        ev.PromiseAttempted(
            promise_id=promise.id,
            count=count,
            most=promise.most,
            outcome=said.outcome,
            notify=told,
        )
    )
    if last:
        if promise.state == "open":
            _break(turn, promise, "unreached", ("supervisors",))
        apologies.say_so(turn, promise, senders)
