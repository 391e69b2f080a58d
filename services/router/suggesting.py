"""Switches that the policy starts by itself (DESIGN 8): it is suggested here, and offered by the
router in the same transaction (`offers`). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.router import switching
from services.router.case import SPOKEN, Case
from services.router.policy import Policy
from services.router.rules.switches import SwitchReason, SwitchRow
from services.router.turn import Turn
from shared import events as ev
from shared.events import Kind

_BY_KIND: Final[dict[Kind, SwitchReason]] = {
    "call_missed": "call_missed",
    "voicemail": "call_missed",
    "form_abandoned": "form_abandoned",
}


def on_message(turn: Turn, kind: Kind, opened: bool) -> None:
    """A missed call or an abandoned form; and, once a case, a channel that costs less."""
    if kind in _BY_KIND:
        suggest(turn, _BY_KIND[kind])
    elif opened:
        suggest(turn, "cheaper_channel")


def on_time(turn: Turn) -> None:
    """The reply window is about to close on somebody who waits."""
    at = window_closing_at(turn.case, turn.policy)
    if at is not None and at <= turn.now:
        suggest(turn, "window_closing")


def window_closing_at(case: Case, policy: Policy) -> datetime | None:
    """When to offer another channel; None where no row of the matrix does so, or it was done."""
    route = case.routes.get(case.channel)
    if not case.unanswered or route is None or "window_closing" in case.suggested:
        return None
    rows = switching.permitted(policy, case.product, case.channel)
    return route.answer_by if any("window_closing" in row.reasons for row in rows) else None


def suggest(turn: Turn, reason: SwitchReason) -> None:
    """By the first row that permits it now; once a case and reason, and one offer at a time."""
    case = turn.case
    if case.state == "closed" or reason in case.suggested or any(o.to_channel for o in case.offers):
        return
    rows = switching.permitted(turn.policy, case.product, case.channel, turn.now)
    row = next((row for row in rows if reason in row.reasons and _offers(case, row, reason)), None)
    if row is None:
        return
    turn.record(ev.SwitchSuggested(reason=reason, to_channel=row.to_channel))
    turn.explain("switch", f"{row.from_channel} to {row.to_channel}", f"offered: {reason}")


def _offers(case: Case, row: SwitchRow, reason: SwitchReason) -> bool:
    """Whether Regie may start it: the customer can be asked where they are, or need not be."""
    if row.consent == "recorded":
        return False
    if row.consent == "ask" and case.channel in SPOKEN:
        return False
    costs = row.cost
    return reason != "cheaper_channel" or (
        costs.get(row.to_channel, 0) < costs.get(row.from_channel, 0)
    )
