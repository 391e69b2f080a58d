"""A case that people send to and fro without a result stays where it is (DESIGN 8). Pure.

Only what people do counts: a transfer a team accepted, a channel a customer went along to. What the
clock or a rule moves is no hop. While a case is frozen its clocks run on.
"""

from __future__ import annotations

from services.router import clocks
from services.router.case import Case
from services.router.commands import OfferHandoff, Thaw
from services.router.policy import Policy
from services.router.rules.values import SUPERVISORS
from services.router.turn import Turn
from shared import events as ev
from shared.errors import Conflict


def judge(turn: Turn) -> None:
    """After a hop: freezes the case on the policy's owner, where it went to and fro."""
    if turn.case.frozen:
        return
    why = _back_and_forth(turn.case) or _too_often(turn.case, turn.policy)
    if why:
        _freeze(turn, why)


def check(turn: Turn, command: OfferHandoff) -> None:
    """Raises Conflict where the case is frozen; a supervisor may move it all the same."""
    owner = turn.case.frozen
    if owner and not (command.supervisor or command.automatic):
        raise Conflict(
            f"this case went to and fro and is frozen with {owner}: bring a result, or ask a "
            "supervisor to move or to thaw it",
            name="frozen",
            owner=owner,
        )


def thaw(turn: Turn, command: Thaw) -> None:
    """Its hops are counted anew from here."""
    if not turn.case.frozen:
        raise Conflict("the case is not frozen", name="not-frozen")
    turn.record(ev.CaseThawed(by=command.agent, reason=command.reason))


def _back_and_forth(case: Case) -> str:
    teams = [hop for hop in case.hops if hop.kind == "team"]
    if len(teams) < 2:
        return ""
    out, back = teams[-2:]
    if (out.left, out.to) != (back.to, back.left) or back.results > out.results:
        return ""
    return f"from {out.left} to {out.to} and back without a result in between"


def _too_often(case: Case, policy: Policy) -> str:
    most = policy.ping_pong.max_hops
    return f"{len(case.hops)} hops, and at most {most} are allowed" if len(case.hops) > most else ""


def _freeze(turn: Turn, why: str) -> None:
    case, policy, owner = turn.case, turn.policy, turn.policy.ping_pong.owner
    trail = tuple(f"{hop.left} → {hop.to}" for hop in case.hops)
    turn.record(
        ev.CaseFrozen(
            owner=owner,
            reason=why,
            trail=trail,
            notify=policy.notify_named((owner,), owner, turn.now, case.priority, "frozen"),
        )
    )
    turn.explain("ping_pong", "ping_pong", f"frozen with {owner}: {why}", inputs={"trail": trail})
    for offer in case.offers:
        if offer.to_team:
            turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))
    if owner not in (SUPERVISORS, case.team):
        turn.record(ev.CaseAssigned(team=owner, reason="frozen", automatic=True))
        clocks.replan(turn)
