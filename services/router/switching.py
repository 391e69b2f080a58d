"""The matrix of channel switches: what it permits, and which row is missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.router.policy import Policy
from services.router.policy_model import SwitchRow


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


def invitation(to_channel: str, address: str, code: str, subject: str) -> str:
    """What the customer reads on the old channel. Using the code is consent."""
    about = f" about “{subject}”" if subject else ""
    where = (
        f"{_BY.get(to_channel, to_channel)}, {address}"
        if address
        else _BY.get(to_channel, to_channel)
    )
    return (
        f"Shall we go on{about} by {where}? Mention the code {code} there: then everything you "
        "told us is at hand, and you need not tell it again. The code works once."
    )


_BY = {"email": "e-mail", "whatsapp": "WhatsApp", "sms": "text message", "webchat": "chat"}


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
