"""A case whose words are about to go; of an erased person, its matter is over, too. Pure."""

from __future__ import annotations

from services.router.commands import Forget
from services.router.turn import Turn
from shared import events as ev


def forget(turn: Turn, command: Forget) -> None:
    """An open case is closed: what was owed to the person is owed no longer, neither kept nor
    broken, met nor missed."""
    if command.reason == "erasure" and turn.case.state != "closed":
        for deadline in turn.case.running:
            if deadline.state in ("running", "paused"):
                turn.record(ev.DeadlineSuperseded(number=deadline.number, reason=command.reason))
        for offer in turn.case.offers:
            turn.record(ev.HandoffExpired(handoff_id=offer.handoff_id))
        turn.record(ev.CaseClosed(author=command.agent, reason=command.reason))
    turn.record(ev.CaseForgotten(reason=command.reason))
