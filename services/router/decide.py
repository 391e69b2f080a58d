"""The one place where the router decides: (case, command, policy, now) -> events. Pure.

    decide(case, command, policy, now) -> Decided(case, changes, decisions)
    evolve(case, change)               -> case            (services.router.evolve)

No clock, no database, no network: the same call gives the same events, which is what lets a policy
be tried on real history. What each command does stands in the module named for it: taking (a
message), firing (time), answering (replies), handing (handoffs); the short ones are below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.router import (
    answering,
    assignment,
    calling,
    children,
    clocks,
    firing,
    handing,
    moving,
    opening,
    pingpong,
    promising,
    results,
    revising,
    splitting,
    taking,
)
from services.router import commands as cmd
from services.router.case import ANSWERS, Case
from services.router.evolve import evolve
from services.router.policy import Policy
from services.router.rights import ending
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, Invalid, NotFound

__all__ = ["Decided", "decide", "evolve"]


@dataclass(frozen=True, slots=True)
class Decided:
    """The case afterwards, what happened to it, and why."""

    case: Case
    changes: Sequence[ev.CaseChanged]
    decisions: Sequence[cmd.Decision]


def decide(
    case: Case | None, case_id: UUID, command: cmd.Command, policy: Policy, now: datetime
) -> Decided:
    """Raises Refused (with what to do instead) when the command does not fit the case."""
    if case is None and not isinstance(command, _OPENING):
        raise NotFound(f"there is no case {case_id}")
    if case is not None and case.erased:
        return _after_erasure(case, command)
    turn = Turn(case, case_id, policy, now, _actor(command))
    _DECIDERS[type(command)](turn, command)
    return Decided(turn.case, turn.changes, turn.decisions)


def _after_erasure(case: Case, command: cmd.Command) -> Decided:
    """What still comes in of itself changes nothing; what somebody asks for is refused."""
    if isinstance(command, _BY_ITSELF):
        return Decided(case, (), ())
    raise gone()


def gone() -> Conflict:
    """What is asked of an erased case is refused so."""
    return Conflict(
        "the customer of this case was erased: what they write now is a case of its own",
        name="erased",
    )


def _actor(command: cmd.Command) -> str:
    if isinstance(command, cmd.TakeMessage):
        return command.opening.by if command.opening else "customer"
    if isinstance(command, cmd.PassTime):
        return "clock"
    return getattr(command, "agent", "regie")


def _note(turn: Turn, command: cmd.TakeNote) -> None:
    turn.record(ev.NoteAdded(note_id=command.note_id, author=command.agent, text=command.text))


def _close(turn: Turn, command: cmd.Close) -> None:
    case = turn.case
    if case.state == "closed":
        return
    promising.settle(turn)
    resolution, promised = case.clock("resolution"), case.clock(*ANSWERS)
    if resolution is not None and resolution.state in ("running", "paused"):
        turn.record(ev.DeadlineMet(number=resolution.number, metric="resolution"))
    for deadline in turn.case.running:
        if deadline.state in ("running", "paused"):
            turn.record(ev.DeadlineSuperseded(number=deadline.number, reason="closed"))
    for offer in turn.case.offers:
        turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))
    turn.record(
        ev.CaseClosed(
            author=command.agent,
            reason=command.reason,
            empty=command.empty,
            promised=promised.due_at if promised is not None else None,
        )
    )


def _pause(turn: Turn, command: cmd.Pause) -> None:
    case = turn.case
    if case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if command.until is not None and command.until <= turn.now:
        raise Invalid("`until` has passed: name a time to come, or leave it out", name="past")
    if command.state == "waiting_customer" and case.unanswered:
        raise Conflict(
            "the customer waits for an answer, so the case cannot wait for the customer: reply, "
            "or pause it as waiting_internal",
            name="unanswered",
        )
    turn.record(
        ev.CasePaused(
            state=command.state, author=command.agent, reason=command.reason, until=command.until
        )
    )
    clocks.pause(turn)
    clocks.await_work(turn)


def _reopen(turn: Turn, command: cmd.Reopen) -> None:
    """From closed, or from waiting."""
    reason = command.reason or f"by {command.agent}"
    if turn.case.state == "open":
        raise Conflict("the case is open", name="not-closed")
    waited = turn.case.state != "closed"
    turn.record(ev.CaseResumed(reason=reason) if waited else ev.CaseReopened(reason=reason))
    clocks.await_work(turn)


def _change_priority(turn: Turn, command: cmd.ChangePriority) -> None:
    if turn.case.priority != command.priority:
        turn.record(ev.CasePriorityChanged(priority=command.priority, reason=command.agent))
        clocks.replan(turn)


_OPENING: Final = (cmd.TakeMessage, cmd.OpenCase, cmd.ReceiveMessages)
_BY_ITSELF: Final = (
    cmd.ReviseMessage, cmd.HearMore, cmd.PassTime, cmd.ReportDelivery, cmd.MoveCase, cmd.NoteChild,
    cmd.InheritResult, cmd.Forget,
)  # fmt: skip
_DECIDERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    cmd.TakeMessage: taking.take_message,
    cmd.ReviseMessage: taking.revise_message,
    cmd.HearMore: calling.hear_more,
    cmd.PassTime: firing.pass_time,
    cmd.Claim: assignment.claim,
    cmd.Release: assignment.release,
    cmd.Give: assignment.give,
    cmd.Reply: answering.reply,
    cmd.ReportDelivery: answering.report_delivery,
    cmd.TakeNote: _note,
    cmd.Pause: _pause,
    cmd.Close: _close,
    cmd.Reopen: _reopen,
    cmd.ChangePriority: _change_priority,
    cmd.ReviseCase: revising.revise_case,
    cmd.OpenCase: opening.open_case,
    cmd.LeaveCase: splitting.leave_case,
    cmd.MoveCase: moving.move_case,
    cmd.ReceiveMessages: splitting.receive_messages,
    cmd.NoteChild: children.note_child,
    cmd.InheritResult: children.inherit,
    cmd.OfferHandoff: handing.offer_handoff,
    cmd.AcceptHandoff: handing.accept_handoff,
    cmd.DeclineHandoff: handing.decline_handoff,
    cmd.GiveBack: handing.give_back,
    cmd.RecordResult: results.record_result,
    cmd.MakePromise: promising.make_promise,
    cmd.KeepPromise: promising.keep_promise,
    cmd.RenegotiatePromise: promising.renegotiate_promise,
    cmd.Thaw: pingpong.thaw,
    cmd.Forget: ending.forget,
}
