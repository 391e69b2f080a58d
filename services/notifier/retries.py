"""Whether what failed is tried again, and when. Pure: chance and time are handed in.

Source of the waits: Standard Webhooks 1.0, "Deliverability and reliability".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.errors import SendError

JITTER: Final = 0.2
LONGEST_PAUSE: Final = timedelta(hours=24)  # of what a receiver asks for


@dataclass(frozen=True, slots=True)
class Next:
    """Try again at this time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It was not delivered and will not be. `gone`: the target wants nothing any more (410)."""

    code: str
    reason: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Doubtful:
    """It may have been delivered: a person must look."""

    code: str
    reason: str


Decision = Next | GiveUp | Doubtful


@dataclass(frozen=True, slots=True)
class Rule:
    """How long one sort of delivery is tried.

    waits    before the second try, the third …
    endless  the last wait is repeated until the delivery expires
    repeats  what may have been delivered is sent again: its receiver knows it by its id
    """

    waits: Sequence[timedelta]
    endless: bool
    repeats: bool


WEBHOOKS: Final = Rule(
    waits=(
        timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2),
        timedelta(hours=5), timedelta(hours=10), timedelta(hours=14), timedelta(hours=20),
        timedelta(hours=24),
    ),
    endless=False,
    repeats=True,
)  # fmt: skip

# Somebody waits for the answer.
ONCE: Final = Rule(waits=(), endless=False, repeats=True)

# Quicker than a webhook: a customer waits, and a deadline may be an hour.
REPLIES: Final = Rule(
    waits=(
        timedelta(seconds=5), timedelta(seconds=20), timedelta(minutes=1), timedelta(minutes=5),
        timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1),
    ),
    endless=True,
    repeats=False,
)  # fmt: skip


def after(
    error: SendError, rule: Rule, *, tries: int, now: datetime, until: datetime, chance: float
) -> Decision:
    """What follows the failure of try number `tries` (from 1).

    until   from then on the delivery is worth nothing
    chance  in [0, 1): where in its ±20 % the wait falls, so that those who failed together do not
            come back together
    """
    if error.doubtful and not rule.repeats:
        return Doubtful(error.code, error.reason)
    if not (error.again or error.doubtful):
        return GiveUp(error.code, error.reason, gone=error.code == "gone")
    if tries > len(rule.waits) and not rule.endless:
        times = f"; tried {tries} times" if tries > 1 else ""
        return GiveUp(error.code, f"{error.reason}{times}")
    at = now + _wait(error, rule, tries, chance)
    if at >= until:
        return GiveUp(error.code, f"{error.reason}; no time is left to try again")
    return Next(at)


def _wait(error: SendError, rule: Rule, tries: int, chance: float) -> timedelta:
    """Never shorter than the receiver asked for, except that nobody puts us off for days."""
    wait = rule.waits[min(tries, len(rule.waits)) - 1] * (1 - JITTER + 2 * JITTER * chance)
    asked = min(max(error.retry_after or 0.0, 0.0), LONGEST_PAUSE.total_seconds())
    return max(wait, timedelta(seconds=asked))
