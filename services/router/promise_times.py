"""By when a promise is due, and when to remind of it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from services.router.calendars import Calendar, NeverOpen
from services.router.openings import DAYS
from services.router.policy import Policy
from shared.durations import Duration
from shared.errors import Invalid

FARTHEST: Final = timedelta(days=2 * 366)  # nobody agrees on a call further away than that


class Agreed(NamedTuple):
    """What `PromiseMade` will say of time. Instants are UTC; `words` is the arithmetic."""

    due_at: datetime
    remind_at: tuple[datetime, ...]
    words: str


def agree(
    policy: Policy, now: datetime, due_at: datetime | None, within: Duration | None
) -> Agreed:
    """A time that was named, or one so long from now in `promises.calendar`.

    Without that calendar it is wall clock. Raises Invalid: for a time that has passed, lies too
    far ahead, or in closed time (`closed-then`, with `next_opening`).
    """
    name = policy.promises.calendar
    calendar = None if name is None else policy.calendar(name)
    if (due_at is None) == (within is None):
        raise Invalid("say by when: give either `due_at` or `within`", name="due-missing")
    try:
        if within is not None:
            due, words = _counted(calendar, now, within)
        else:
            assert due_at is not None
            due, words = _named(calendar, now, due_at.astimezone(UTC))
    except NeverOpen as error:
        raise Invalid(f"{error}: name a `due_at` before then", name="never-open") from error
    return Agreed(due, _reminders(policy, calendar, now, due), words)


def _counted(calendar: Calendar | None, now: datetime, within: Duration) -> tuple[datetime, str]:
    if not within:
        raise Invalid("`within` is no time at all: write 2h, or 1bd", name="past")
    days = within.amount if within.unit == "bd" else (within.after(now) - now).days
    if days > FARTHEST.days:
        raise _too_far()
    if calendar is not None:
        due = calendar.add(now, within)
        return _near(due.at, now), due.words
    if within.unit == "bd":
        raise Invalid(
            "business days need a calendar, and the policy's `promises` names none: "
            f"write {within.amount}d, or give `due_at`",
            name="calendar-missing",
        )
    return within.after(now), f"{within} from {now:%Y-%m-%d %H:%M} UTC"


def _named(calendar: Calendar | None, now: datetime, due: datetime) -> tuple[datetime, str]:
    if due <= now:
        raise Invalid("`due_at` has passed: name a time to come", name="past")
    _near(due, now)
    if calendar is not None and not _works(calendar, due):
        raise _closed(calendar, due)
    return due, f"agreed for {due:%Y-%m-%d %H:%M} UTC"


def _works(calendar: Calendar, due: datetime) -> bool:
    """Open then, or just closing: “by half past five” is a time people agree on."""
    return calendar.is_open(due) or calendar.end_of_last_open_span_before(due) == due


def _closed(calendar: Calendar, due: datetime) -> Invalid:
    opening = calendar.next_opening(due)
    local = opening.astimezone(calendar.openings.zone)
    words = f"{DAYS[local.weekday()].capitalize()} {local:%Y-%m-%d %H:%M}"
    return Invalid(
        f"`{calendar.name}` is closed then: it opens {words} ({calendar.openings.zone.key}); "
        "agree on a time from then on, or an earlier one",
        name="closed-then",
        next_opening=opening,
    )


def _near(due: datetime, now: datetime) -> datetime:
    if due - now > FARTHEST:
        raise _too_far()
    return due


def _too_far() -> Invalid:
    return Invalid("that is more than two years ahead: agree on an earlier time", name="too-far")


def _reminders(
    policy: Policy, calendar: Calendar | None, now: datetime, due: datetime
) -> tuple[datetime, ...]:
    """Counted back in the same calendar; a step that lies at or before now is left out."""
    steps = policy.promises.remind_before
    if calendar is None:
        back = [step.before(due) for step in steps]
    else:
        back = [at for step in steps if (at := calendar.subtract(due, step)) is not None]
    return tuple(sorted({at for at in back if at > now}))
