"""A case becomes another customer's: two records were merged, or a merge was undone. Pure."""

from __future__ import annotations

from services.router.commands import MoveCase
from services.router.turn import Turn
from shared import events as ev


def move_case(turn: Turn, command: MoveCase) -> None:
    """Team, clocks and routes stay: only whose matter it is changes."""
    before = turn.case.customer_id
    if before == command.customer_id:
        return
    turn.record(
        ev.CaseMoved(
            customer_id=command.customer_id,
            from_customer=before,
            merge_id=command.merge_id,
            reason=command.reason,
        )
    )
