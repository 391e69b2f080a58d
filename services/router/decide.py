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

from services.router import answering, assignment, clocks, firing, handing, taking
from services.router import commands as cmd
from services.router.case import Case
from services.router.evolve import evolve
from services.router.policy import Policy
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict, NotFound

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
    if case is None and not isinstance(command, cmd.TakeMessage):
        raise NotFound(f"there is no case {case_id}")
    turn = Turn(case, case_id, policy, now, _actor(command))
    _DECIDERS[type(command)](turn, command)
    return Decided(turn.case, turn.changes, turn.decisions)


def _actor(command: cmd.Command) -> str:
    if isinstance(command, cmd.TakeMessage):
        return "customer"
    if isinstance(command, cmd.PassTime):
        return "clock"
    return getattr(command, "agent", "regie")


def _note(turn: Turn, command: cmd.TakeNote) -> None:
    turn.record(ev.NoteAdded(note_id=command.note_id, author=command.agent, text=command.text))


def _close(turn: Turn, command: cmd.Close) -> None:
    case = turn.case
    if case.state == "closed":
        return
    resolution = case.clock("resolution")
    if resolution is not None and resolution.state in ("running", "paused"):
        turn.record(ev.DeadlineMet(number=resolution.number, metric="resolution"))
    for deadline in turn.case.running:
        if deadline.state in ("running", "paused"):
            turn.record(ev.DeadlineSuperseded(number=deadline.number, reason="closed"))
    for offer in turn.case.offers:
        turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))
    turn.record(ev.CaseClosed(author=command.agent, reason=command.reason))


def _reopen(turn: Turn, command: cmd.Reopen) -> None:
    if turn.case.state != "closed":
        raise Conflict("the case is not closed", name="not-closed")
    turn.record(ev.CaseReopened(reason=command.reason or f"by {command.agent}"))
    clocks.await_work(turn)


def _change_priority(turn: Turn, command: cmd.ChangePriority) -> None:
    if turn.case.priority != command.priority:
        turn.record(ev.CasePriorityChanged(priority=command.priority, reason=command.agent))
        clocks.replan(turn)


_DECIDERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    cmd.TakeMessage: taking.take_message,
    cmd.ReviseMessage: taking.revise_message,
    cmd.PassTime: firing.pass_time,
    cmd.Claim: assignment.claim,
    cmd.Release: assignment.release,
    cmd.Reply: answering.reply,
    cmd.ReportDelivery: answering.report_delivery,
    cmd.TakeNote: _note,
    cmd.Close: _close,
    cmd.Reopen: _reopen,
    cmd.ChangePriority: _change_priority,
    cmd.OfferHandoff: handing.offer_handoff,
    cmd.AcceptHandoff: handing.accept_handoff,
    cmd.DeclineHandoff: handing.decline_handoff,
}
