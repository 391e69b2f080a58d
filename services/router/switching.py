"""The matrix of channel switches: what it permits, and which row is missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from services.router import phrases
from services.router.commands import Way
from services.router.phrases import say
from services.router.policy import Policy
from services.router.rules.model import SwitchRow
from shared import codes
from shared.notices.filling import fill


def find_row(
    policy: Policy, product: str, from_channel: str, to_channel: str, reason: str, now: datetime
) -> SwitchRow | None:
    """The first row that permits this switch now; None when it must be refused."""
    rows = permitted(policy, product, from_channel, now)
    fitting = (row for row in rows if row.to_channel == to_channel and reason in row.reasons)
    return next(fitting, None)


def permitted(
    policy: Policy, product: str, from_channel: str, now: datetime | None = None
) -> list[SwitchRow]:
    """Every row for a case of this product on this channel, in the order of the file.

    With `now`, only those whose `hours` are open.
    """
    return [
        row
        for row in policy.switches
        if row.from_channel == from_channel
        and row.product in (None, product)
        and (now is None or _in_hours(policy, row, now))
    ]


def missing_row(
    policy: Policy, product: str, from_channel: str, to_channel: str, reason: str, now: datetime
) -> str:
    """Says what keeps a switch from being permitted: the rows that are near, or that none is."""
    rows = [
        row
        for row in policy.switches
        if (row.from_channel, row.to_channel) == (from_channel, to_channel)
    ]
    way = f"from {from_channel} to {to_channel}"
    if not rows:
        return f"the policy has no row in `switches` {way}"
    only = "; or ".join(", ".join(_unmet(policy, row, product, reason, now)) for row in rows)
    return f"the policy permits a switch {way} only {only}"


def tried(
    policy: Policy, product: str, from_channel: str, to_channel: str, reason: str, now: datetime
) -> tuple[dict[str, Any], ...]:
    """The rows of this way in the order of the file, up to the one that permits it, and why the
    others do not: the trail of a decision."""
    trail: list[dict[str, Any]] = []
    for number, row in enumerate(policy.switches, 1):
        if (row.from_channel, row.to_channel) == (from_channel, to_channel):
            unmet = ", ".join(_unmet(policy, row, product, reason, now))
            why = f"only {unmet}" if unmet else f"permits it for reason `{reason}`"
            trail.append({"name": f"switches, row {number}", "matched": not unmet, "why": why})
            if not unmet:
                break
    return tuple(trail)


def invitation(
    to_channel: str, way: Way, code: str, subject: str, language: str, own: str = ""
) -> str:
    """What the customer reads on the old channel, in the policy's `own` words where it has some.
    Using the code is consent."""
    about = say("about", language, subject=subject) if subject else ""
    name = phrases.channel_name(to_channel, language)
    how = _how(to_channel, way, code, language)
    if own:
        return fill(own, {"about": about, "channel": name, "how": how})
    return say("invite", language, about=about, channel=name, how=how)


def _how(to_channel: str, way: Way, code: str, language: str) -> str:
    if to_channel == "phone" and way.address:
        return say("call", language, address=way.address, digits=codes.spoken(code))
    if to_channel == "whatsapp" and way.address:
        number = way.address.removeprefix("+")
        return say("link", language, link=f"https://wa.me/{number}?text={code}", code=code)
    if way.link:
        return say("link", language, link=f"{way.link.rstrip('/')}/{code}", code=code)
    phrase = "mention_at" if way.address else "mention"
    return say(phrase, language, address=way.address, code=code)


def _unmet(
    policy: Policy, row: SwitchRow, product: str, reason: str, now: datetime
) -> Iterator[str]:
    """What this row asks for and this switch does not have."""
    if row.product not in (None, product):
        yield f"for product {row.product}, not {product or 'none'}"
    if reason not in row.reasons:
        yield f"for reason {' or '.join(row.reasons)}, not {reason or 'none'}"
    if not _in_hours(policy, row, now):
        yield f"while `{row.hours}` is open"


def _in_hours(policy: Policy, row: SwitchRow, now: datetime) -> bool:
    return row.hours is None or policy.calendar(row.hours).is_open(now)
