"""Calls we owe: asked for by the customer, or agreed to instead of the channel they are on. Pure.

    ask     a promise, for when an answer is due, with the number to dial; once
    follow  the answer became due earlier, and so does the call
    met     it turned out that somebody spoke to them in the very call
    leave, carry  its message goes to another case, and the promise with it
    reached       the call to which they had agreed was made: they are on the telephone now

No reminders of its own: the clock of the answer, which is due with it, has them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid5

from services.router import deadlines
from services.router.case import ANSWERS, Case, Promise
from services.router.policy import Facts
from services.router.turn import Turn
from shared import events as ev

REACHED = "reached by telephone"


def ask(
    turn: Turn, asked_in: UUID, by: str, address: str, what: str = "", preferred: str = ""
) -> None:
    """Promised, unless a call is owed already or no time can be named."""
    if any(p.kind == "call_back" and p.state == "open" for p in turn.case.promises):
        return
    due_at = _due(turn)
    if due_at is None or due_at <= turn.now:
        return
    asked = Promise(
        id=asked_in, kind="call_back", what=what[:500], due_at=due_at, by=by, address=address,
        preferred=preferred[:500], asked_in=asked_in,
    )  # fmt: skip
    _make(turn, asked, due_at, most=turn.policy.promises.attempts)


def follow(turn: Turn, asked_in: UUID) -> None:
    """An earlier time is ours to give."""
    clock, owed = turn.case.clock(*ANSWERS), _owed(turn.case, asked_in)
    if clock is not None and owed is not None and turn.now < clock.due_at < owed.due_at:
        turn.record(ev.PromiseRenegotiated(promise_id=owed.id, by="regie"))
        _make(turn, owed, clock.due_at, most=owed.most, replaces=owed.id)


def met(turn: Turn, asked_in: UUID) -> None:
    owed = _owed(turn.case, asked_in)
    if owed is not None:
        turn.record(ev.PromiseKept(promise_id=owed.id, how="in the same call", message_id=asked_in))


def leave(turn: Turn, message_ids: Collection[UUID], by: str) -> None:
    for message_id in message_ids:
        owed = _owed(turn.case, message_id)
        if owed is not None:
            turn.record(ev.PromiseRenegotiated(promise_id=owed.id, by=by))


def carry(turn: Turn, promise: Promise) -> None:
    """Due when it was, where it went."""
    _make(turn, promise, promise.due_at, most=promise.most, replaces=promise.id)


def reached(turn: Turn, promises: Collection[Promise], by: str) -> None:
    """`promises`: those before the call, of which it kept the ones that are gone."""
    left = {promise.id for promise in turn.case.promises}
    kept = {promise.asked_in for promise in promises if promise.id not in left}
    for offer in turn.case.offers:
        if offer.to_channel == "phone" and offer.handoff_id in kept:
            turn.record(ev.HandoffAccepted(handoff_id=offer.handoff_id, by=by, how=REACHED))


def _owed(case: Case, asked_in: UUID) -> Promise | None:
    return next((p for p in case.promises if p.asked_in == asked_in), None)


def _due(turn: Turn) -> datetime | None:
    """With the answer that is due; else as a call asked for just now would be promised."""
    case, clock = turn.case, turn.case.clock(*ANSWERS)
    if clock is not None and clock.state == "running":
        return clock.due_at
    facts = Facts(
        channel="phone", kind="callback_requested", account=case.account, product=case.product,
        priority=case.priority, tags=case.tags, customer_group=case.group,
        customer_internal=case.internal, customer_known=case.known,
        customer_language=case.language,
    )  # fmt: skip
    level = turn.policy.service_level(facts, case.team, turn.now)
    if level is None:
        return None
    plan = deadlines.plan(turn.policy, level, "first_response", turn.now)
    return None if plan is None else plan.due_at


def _make(
    turn: Turn, promise: Promise, due_at: datetime, *, most: int, replaces: UUID | None = None
) -> None:
    assert promise.asked_in is not None
    words = f"a call to {promise.address or 'them'}, asked for: due {due_at:%Y-%m-%d %H:%M} UTC"
    turn.record(
        ev.PromiseMade(
            promise_id=uuid5(promise.asked_in, f"{turn.case.id} {due_at.isoformat()}"),
            kind="call_back",
            what=promise.what,
            due_at=due_at,
            by=promise.by,
            attempts=most,
            replaces=replaces,
            address=promise.address,
            preferred=promise.preferred,
            asked_in=promise.asked_in,
            words=f"due {due_at:%Y-%m-%d %H:%M} UTC",
        )
    )
    turn.explain("promise", "promises", words)
