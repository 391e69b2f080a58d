"""Undoing a join: messages leave a case that is not theirs, and open or join another. Pure.

What was answered stays answered. What waits goes on waiting where it goes, since when it waited,
and by no later a promise (DESIGN 5.4).

A reply that is still on its way when its message leaves counts for the case it was written in: the
message waits on where it went, until somebody answers it there.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from services.router import call_backs, clocks, opening
from services.router.case import ANSWERS, Case
from services.router.commands import LeaveCase, Moved, ReceiveMessages
from services.router.policy import ServiceLevel
from services.router.turn import Turn
from shared import events as ev


def promised(case: Case, leaving: Collection[UUID]) -> datetime | None:
    """By when an answer to the oldest of these was promised; None where another waits longer, for
    then the promise was that one's."""
    clock = case.clock(*ANSWERS)
    waiting = [message.at for message in case.unanswered if message.message_id in leaving]
    if clock is None or not waiting:
        return None
    return clock.due_at if min(waiting) == case.waiting_since else None


def following(case: Case, leaving: Collection[UUID]) -> tuple[UUID, ...]:
    """The replies that answered these messages and nothing else: they go with them, so that what
    answers them does too."""
    return tuple(
        answered.message_id
        for answered in case.answered
        if answered.waiting and all(m.message_id in leaving for m in answered.waiting)
    )


def leave_case(turn: Turn, command: LeaveCase) -> None:
    """The clock of what left is over; what stays keeps its own."""
    before = turn.case
    oldest = before.waiting_since
    for message_id in command.message_ids:
        turn.record(
            ev.MessageSplit(message_id=message_id, to_case=command.to_case, by=command.agent)
        )
    call_backs.leave(turn, command.message_ids, command.agent)
    turn.explain(
        "split", "", f"{command.agent} moved {len(command.message_ids)} to case {command.to_case}"
    )
    if turn.case.waiting_since == oldest:
        return
    clock = turn.case.clock(*ANSWERS)
    if clock is not None and clock.state == "running":
        turn.record(ev.DeadlineSuperseded(number=clock.number, reason="split"))
    clocks.await_rest(turn)
    clocks.replan(turn)
    _rest(turn, command)


def _rest(turn: Turn, command: LeaveCase) -> None:
    """Back to waiting for the customer, where only what left had opened it again."""
    case = turn.case
    if case.state == "open" and not case.unanswered and case.answered_at is not None:
        reason = f"what it was open for went to case {command.to_case}"
        turn.record(ev.CasePaused(state="waiting_customer", author=command.agent, reason=reason))
        clocks.pause(turn)
        clocks.wait_for_children(turn)


def receive_messages(turn: Turn, command: ReceiveMessages) -> None:
    """Opens the case by the first of them, or joins it; then all of them, oldest first."""
    first = command.messages[0]
    if turn.is_new:
        _open(turn, command, first)
    elif turn.case.state == "closed" and any(moved.waits for moved in command.messages):
        turn.record(ev.CaseReopened(reason="split"))
    for moved in command.messages:
        _add(turn, moved)
    clocks.keep_promise(turn, command.promised)
    for promise in command.call_backs:
        call_backs.carry(turn, promise)
    clocks.answer_first(turn)
    turn.explain(
        "split", "", f"{command.agent} moved {len(command.messages)} from case {command.from_case}"
    )


def _open(turn: Turn, command: ReceiveMessages, first: Moved) -> None:
    routing, _ = opening.assess(turn.policy, first.facts, "", turn.now)
    turn.record(
        ev.CaseOpened(
            customer_id=command.customer.id,
            account=first.event.account,
            channel=first.event.channel,
            subject=command.subject or first.event.subject or first.event.preview,
            team=routing.team,
            product=routing.product,
            priority=routing.priority,
            rule=routing.rule,
            policy_version=turn.policy_version,
            tags=routing.tags,
            skills=routing.skills,
            relax_at=None if routing.wait is None else routing.wait.after(turn.now),
            group=command.customer.group,
            internal=command.customer.internal,
            split_from=command.from_case,
            opened_by=command.agent,
        )
    )
    turn.explain(
        "routing", routing.rule, f"split off for {routing.team}: {opening.why(routing)}",
        inputs=dict(routing.inputs),
    )  # fmt: skip


def _add(turn: Turn, moved: Moved) -> None:
    level = _level(turn, moved)
    event = msgspec.structs.replace(
        moved.event,
        joined="split",
        unanswered=moved.waits,
        rule=level.rule if level is not None else "",
    )
    turn.record(event)
    if level is None or turn.case.state in ("closed", "waiting_customer"):
        return
    arrived_at = event.arrived_at or event.received_at
    words = [f"service level `{level.rule}` matched first"]
    if moved.waits:
        words.append(clocks.await_answer(turn, level, event.occurred_at))
    words.append(clocks.await_resolution(turn, level, event.occurred_at, arrived_at))
    words.append(clocks.await_news(turn, level, event.occurred_at, arrived_at))
    turn.explain("service_level", level.rule, "; ".join(filter(None, words)))


def _level(turn: Turn, moved: Moved) -> ServiceLevel | None:
    """Of the team, product and priority of the case it is in now."""
    case = turn.case
    facts = replace(moved.facts, product=case.product, priority=case.priority, tags=case.tags)
    return turn.policy.service_level(facts, case.team, turn.now)
