"""A person corrects what a case is about: product, priority, tags. Pure."""

from __future__ import annotations

from services.router import clocks
from services.router.commands import ReviseCase
from services.router.turn import Turn
from shared import events as ev


def revise_case(turn: Turn, command: ReviseCase) -> None:
    """What it is about decides what is promised: its clocks may tighten, and never loosen
    (DESIGN 5.4)."""
    before = turn.case
    product = before.product if command.product is None else command.product
    tags = before.tags if command.tags is None else tuple(dict.fromkeys(command.tags))
    if (product, tags) != (before.product, before.tags):
        turn.record(ev.CaseRevised(product=product, tags=tags, by=command.agent))
    if command.priority not in (None, before.priority):
        assert command.priority is not None
        turn.record(ev.CasePriorityChanged(priority=command.priority, reason=command.agent))
    if turn.changes and turn.case.state != "closed":
        clocks.replan(turn)
        clocks.await_work(turn)
