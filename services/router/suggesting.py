"""Switches that the policy starts by itself (DESIGN 8): it is suggested here, and offered by the
router in the same transaction (`offers`). Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.router import switching
from services.router.calendars import NeverOpen
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
    at = window_closing_at(turn.case, turn.policy, turn.now)
    if at is not None and at <= turn.now:
        suggest(turn, "window_closing")


def window_closing_at(case: Case, policy: Policy, now: datetime) -> datetime | None:
    """When to offer another channel; None where no row of the matrix does so, or it was done."""
    rows = policy.closing_windows.get(case.channel)
    if not rows or not case.unanswered or "window_closing" in case.suggested or _asked(case):
        return None
    route = case.routes.get(case.channel)
    if route is None or route.answer_by is None:
        return None
    wanted = (r for r in rows if r.product in (None, case.product) and _offers(case, r))
    times = (_in_hours(policy, row, route.answer_by, now) for row in wanted)
    return min((at for at in times if at is not None), default=None)


def _in_hours(policy: Policy, row: SwitchRow, at: datetime, now: datetime) -> datetime | None:
    """Outside the hours of its row it waits for them, and not for ever."""
    if row.hours is None:
        return at
    try:
        return policy.calendar(row.hours).next_opening(max(at, now))
    except NeverOpen:
        return None


def _asked(case: Case) -> bool:
    """One offer at a time."""
    return any(offer.to_channel for offer in case.offers)


def suggest(turn: Turn, reason: SwitchReason) -> None:
    """By the first row that permits it now; once a case and reason, and one offer at a time."""
    case = turn.case
    if case.state == "closed" or reason in case.suggested or _asked(case):
        return
    rows = switching.permitted(turn.policy, case.product, case.channel, turn.now)
    fitting = (row for row in rows if reason in row.reasons and _offers(case, row))
    row = next((r for r in fitting if reason != "cheaper_channel" or _saves(r)), None)
    if row is None:
        return
    turn.record(ev.SwitchSuggested(reason=reason, to_channel=row.to_channel))
    turn.explain("switch", f"{row.from_channel} to {row.to_channel}", f"offered: {reason}")


def _offers(case: Case, row: SwitchRow) -> bool:
    """Whether Regie may start it: the customer can be asked where they are, or need not be."""
    return row.consent == "none" or (row.consent == "ask" and case.channel not in SPOKEN)


def _saves(row: SwitchRow) -> bool:
    return row.cost.get(row.to_channel, 0) < row.cost.get(row.from_channel, 0)
