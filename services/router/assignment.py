"""Who has the case: claims and their lease, release, and the fallback team after a breach. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.router import commands as cmd
from services.router.case import PRIORITIES, Case
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict

_ACTIVE: Final = timedelta(minutes=10)  # an agent seen so lately is at work on the case


def claim(turn: Turn, command: cmd.Claim) -> None:
    case = turn.case
    if case.state == "closed":
        raise Conflict("the case is closed: reopen it first", name="case-closed")
    if case.agent and case.agent != command.agent:
        raise Conflict(
            f"{case.agent} has claimed this case: take the next one, or ask for its release",
            name="already-claimed",
            owner=case.agent,
        )
    turn.record(ev.CaseClaimed(agent=command.agent, until=turn.policy.claim_expires(turn.now)))


def release(turn: Turn, command: cmd.Release) -> None:
    case = turn.case
    if not case.agent:
        return
    if case.agent != command.agent and not command.may_release_others:
        raise Conflict(
            f"{case.agent} holds this case: only they or a supervisor may release it",
            name="already-claimed",
            owner=case.agent,
        )
    turn.record(ev.CaseReleased(agent=case.agent, reason=f"released by {command.agent}"))


def escalate(turn: Turn) -> None:
    """Once a case: raised, and given to the fallback team unless somebody is at work on it."""
    rule = turn.policy.on_breach
    if rule.raises_priority and turn.case.priority != PRIORITIES[0]:
        higher = PRIORITIES[PRIORITIES.index(turn.case.priority) - 1]
        turn.record(ev.CasePriorityChanged(priority=higher, reason="breach"))
    fallback = turn.policy.fallback_of(turn.case.team)
    if rule.reassigns and fallback and not _at_work(turn.case, turn.now):
        turn.explain(
            "escalation", "on_breach", f"breached: from {turn.case.team} to its fallback {fallback}"
        )
        turn.record(ev.CaseAssigned(team=fallback, reason="breach", automatic=True))


def _at_work(case: Case, now: datetime) -> bool:
    return bool(case.agent and case.active_at and now - case.active_at < _ACTIVE)


def end_claim(turn: Turn) -> None:
    case = turn.case
    if case.agent and case.claim_until is not None and case.claim_until <= turn.now:
        turn.record(ev.CaseReleased(agent=case.agent, reason="lease ran out"))
