"""Many notices for one target as one: which have to wait, and what is told of them. Pure.

A window opens with the first notice to a target. As many as its policy allows leave alone; what
comes after them waits for the window's end, and whatever is true then is told at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.notifier.models import Delivery

LINES: Final = 20  # of a digest; the others are counted
_MOST_TEAMS: Final = 20
_LONGEST: Final = 80
# What a line keeps of its notice: which case, what of it, by when. Nobody's words: a digest is of
# many cases, and stays as it is when one of them is forgotten.
_KEPT: Final = (
    "case_id", "team", "channel", "url", "metric", "due_at", "arrived_late", "promise_id", "owner",
)  # fmt: skip
_WORDS: Final[Mapping[str, str]] = {
    "deadline.breached": "overdue",
    "deadline.warned": "due soon",
    "deadline.escalated": "escalated",
    "promise.broken": "promises broken",
    "promise.reminded": "promises due soon",
    "promise.attempted": "tried in vain",
    "case.frozen": "frozen",
}


@dataclass(frozen=True, slots=True)
class Window:
    """An open one. `id` is its digest's; `alone` counts the notices that left alone."""

    id: UUID
    ends_at: datetime
    alone: int


@dataclass(frozen=True, slots=True)
class Sorted:
    """alone  those that leave now, each by itself
    held   the others, with the digest that will tell of them
    counts how many leave alone, by window
    sooner when a window has to end, for one that may not wait as long as it would stay open
    """

    alone: Sequence[Delivery]
    held: Mapping[UUID, UUID]
    counts: Mapping[UUID, int]
    sooner: Mapping[UUID, datetime]


def waits(delivery: Delivery) -> bool:
    """Whether it may have to: one that was tried has left alone already, and is counted."""
    return delivery.digest is not None and delivery.attempts == 0


def sort_out(
    deliveries: Sequence[Delivery], windows: Mapping[str, Window], now: datetime
) -> Sorted:
    """In their order. Those whose window is over do neither: a new one opens in a moment."""
    alone: list[Delivery] = []
    held: dict[UUID, UUID] = {}
    sooner: dict[UUID, datetime] = {}
    counts: Counter[UUID] = Counter()
    for each in deliveries:
        window = windows.get(each.target) if waits(each) else None
        if window is None or each.digest is None:
            alone.append(each)
        elif window.ends_at <= now:
            continue
        elif window.alone + counts[window.id] < each.digest.over:
            counts[window.id] += 1
            alone.append(each)
        else:
            held[each.id] = window.id
            if now + each.digest.every < sooner.get(window.id, window.ends_at):
                sooner[window.id] = now + each.digest.every
    return Sorted(alone, held, counts, sooner)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a digest has gathered so far.

    lines       of the most urgent notices, by due time
    only        the one notice there is, while there is but one
    expires_at  when the last of them is worth nothing
    manner      what else a notice's payload says of how it is put: that of any of them; quiet
                hours only where all have some
    """

    count: int = 0
    late: int = 0
    teams: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    lines: Sequence[Mapping[str, Any]] = ()
    only: UUID | None = None
    expires_at: datetime | None = None
    manner: Mapping[str, Any] = field(default_factory=dict)


def gathered(tally: Tally, notices: Iterable[Delivery]) -> Tally:
    """With these as well."""
    teams, kinds = Counter(tally.teams), Counter(tally.kinds)
    lines, count, late = list(tally.lines), tally.count, tally.late
    only, expires_at, manner = tally.only, tally.expires_at, tally.manner
    for each in notices:
        data, count = each.payload.get("data", {}), count + 1
        teams[str(data.get("team", ""))] += 1
        kinds[str(each.payload.get("type", ""))] += 1
        late += bool(data.get("arrived_late"))
        lines.append(_line(each))
        only = each.id
        expires_at = max(expires_at or each.expires_at, each.expires_at)
        kept = {k: v for k, v in each.payload.items() if k not in ("type", "timestamp", "data")}
        if count > 1 and "quiet" not in manner:
            kept.pop("quiet", None)  # one of them may wake people
        manner = kept
    return replace(
        tally, count=count, late=late, teams=teams, kinds=kinds,
        lines=sorted(lines, key=_urgency)[:LINES], only=only if count == 1 else None,
        expires_at=expires_at, manner=manner,
    )  # fmt: skip


def payload_of(tally: Tally, since: datetime, now: datetime) -> dict[str, Any]:
    """`{type, timestamp, data}` of a digest, and how it is put."""
    more = tally.count - len(tally.lines)
    data = {
        "count": tally.count,
        "arrived_late": tally.late,
        "since": since,
        "teams": dict(Counter(tally.teams).most_common(_MOST_TEAMS)),
        "kinds": dict(Counter(tally.kinds).most_common()),
        "summary": _summary(tally, more),
        "items": tally.lines,
        "more": more,
    }
    return {**tally.manner, "type": "digest", "timestamp": now, "data": data}


def _summary(tally: Tally, more: int) -> str:
    """`113 notices: 90 overdue, 23 due soon`, and how many are not listed."""
    kinds = Counter(tally.kinds).most_common()
    parts = ", ".join(f"{count} {_WORDS.get(kind, kind)}" for kind, count in kinds)
    rest = f"; the {len(tally.lines)} most urgent, and {more} more" if more else ""
    return f"{tally.count} notices: {parts}{rest}"


def _line(notice: Delivery) -> dict[str, Any]:
    data = notice.payload.get("data", {})
    kept = {name: _short(data[name]) for name in _KEPT if data.get(name)}
    return {"type": notice.payload.get("type", ""), "timestamp": notice.at.isoformat(), **kept}


def _short(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else value


def _urgency(line: Mapping[str, Any]) -> tuple[datetime, str]:
    """Due first stands first; what has no due time counts from when it happened."""
    at = datetime.fromisoformat(str(line.get("due_at") or line["timestamp"]))
    return at, str(line.get("case_id", ""))
