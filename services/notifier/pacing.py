"""How fast messages may leave: one limit for an account, one for each person. Pure.

A limit is at most so many in any stretch of so long, counted exactly: of each limit the instants of
its last messages are kept. A token bucket would let nearly twice as many through in one stretch,
its burst and what drips in after it, and a provider that counts would refuse them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final
from uuid import UUID

MOST_KEPT: Final = 50  # instants of one limit
# Of two calls the later may be the quicker one: so much is left between them, as a part of the
# span and at most.
_MARGIN: Final = 0.1
_MOST_MARGIN: Final = timedelta(milliseconds=250)


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `count` in any `span`."""

    count: int
    span: timedelta

    @classmethod
    def of(cls, count: int, seconds: float, burst: int = 0) -> Pace:
        """`count` in `seconds`. With `burst` so many at once, paid for with as long a silence:
        of 1 in 6 s and a burst of 45, 45 in 270 s. A high count is cut into parts, which keep to
        it all the same: 300 in 1 s is 50 in a sixth."""
        parts = 1 if burst else ceil(count / MOST_KEPT)
        most = burst or ceil(count / parts)
        span = timedelta(seconds=seconds * most / count)
        return cls(most, span + min(span * _MARGIN, _MOST_MARGIN))


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is known of one limit.

    times         when its last messages left, oldest first
    paused_until  the provider itself asked for silence; None: it did not
    """

    times: tuple[datetime, ...] = ()
    paused_until: datetime | None = None

    def opens_at(self, pace: Pace, now: datetime) -> datetime:
        """When the next message may leave; `now` or earlier: at once."""
        full = len(self.times) >= pace.count
        at = self.times[-pace.count] + pace.span if full else now
        return at if self.paused_until is None else max(at, self.paused_until)

    def taken(self, pace: Pace, at: datetime) -> Bucket:
        """After one message at this instant."""
        return replace(self, times=(*self.times, at)[-pace.count :])


@dataclass(frozen=True, slots=True)
class Wish:
    """A delivery that wants to leave. `limits`: the names of all that it counts against."""

    id: UUID
    limits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """held   those that may not leave now, and when each may come again
    taken  how many leave now, by limit
    """

    held: Mapping[UUID, datetime]
    taken: Mapping[str, int]


def room(bucket: Bucket, pace: Pace | None, now: datetime) -> int | None:
    """How many may leave now by this limit; None: any number."""
    if bucket.paused_until is not None and bucket.paused_until > now:
        return 0
    if pace is None:
        return None
    return pace.count - sum(at > now - pace.span for at in bucket.times[-pace.count :])


def share_out(
    wishes: Sequence[Wish], paces: Mapping[str, Pace], buckets: Mapping[str, Bucket], now: datetime
) -> Shares:
    """In the order of the wishes. Who is held back by one limit uses nothing up of another, and
    gets a time of their own, so that those who wait do not all come again at once."""
    real, promised = dict(buckets), dict(buckets)
    held: dict[UUID, datetime] = {}
    taken: Counter[str] = Counter()
    for wish in wishes:
        closed = [name for name in wish.limits if real[name].opens_at(paces[name], now) > now]
        if closed:
            at = max(promised[name].opens_at(paces[name], now) for name in closed)
            held[wish.id] = at
        else:
            at = now
            taken.update(wish.limits)
            real |= {name: real[name].taken(paces[name], now) for name in wish.limits}
        for name in closed or wish.limits:
            promised[name] = promised[name].taken(paces[name], at)
    return Shares(held, taken)
