"""How one partition of one group fares: OK, WARN, STALL, STOP or NO_OFFSET, and why.

Pure: from samples taken over time to a word with its evidence. Windows are times, never a number
of commits, so that a group that commits seldom is not called dead, and one quick catch-up does not
hide an hour of growing lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Status = Literal["OK", "WARN", "STALL", "STOP", "NO_OFFSET"]

STUCK_AFTER: Final = timedelta(seconds=30)
WARN_AFTER: Final = timedelta(minutes=5)
WARN_AGE: Final = timedelta(seconds=60)
WINDOW: Final = timedelta(minutes=15)
_BAD: Final[tuple[Status, ...]] = ("OK", "WARN", "NO_OFFSET", "STALL", "STOP")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a partition.

    committed  the database's position; None when the group has none
    moved_at   when that position last moved; None with it
    oldest_at  the log's timestamp of the oldest waiting record, where one waits
    alive      the group has an owner that shows signs of life; None: nobody knows
    stopped    why the consumer gave up, in its own words; empty while it did not
    """

    at: datetime
    start: int
    end: int
    committed: int | None
    moved_at: datetime | None = None
    oldest_at: datetime | None = None
    alive: bool | None = None
    stopped: str = ""

    @property
    def lag(self) -> int | None:
        """Records that wait and are still kept. Null without a position: it is not zero."""
        if self.committed is None:
            return None
        return max(self.end - max(self.committed, self.start), 0)

    @property
    def lag_seconds(self) -> float | None:
        """The age of the oldest waiting record; 0 when none waits."""
        if self.lag is None:
            return None
        if self.lag == 0 or self.oldest_at is None:
            return 0.0
        return max((self.at - self.oldest_at).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """`since` is when it began, as far as the samples reach back."""

    status: Status
    reason: str
    since: datetime | None = None


def judge(samples: Sequence[Sample]) -> Judgement:
    """The last sample's status; earlier ones, oldest first, are its evidence."""
    now = samples[-1]
    if now.committed is None:
        return Judgement("NO_OFFSET", "the group has no position here yet")
    if (outside := _outside(now)) is not None:
        return outside
    if not now.lag:
        return Judgement("OK", "nothing waits")
    waiting_since = _waiting_since(samples)
    still = _unmoved_since(samples, waiting_since)
    if now.at - still >= STUCK_AFTER:
        return _stuck(now, still)
    return _growing(samples, waiting_since) or Judgement("OK", f"{now.lag} on their way")


def worst(statuses: Sequence[Status]) -> Status:
    """A group is as its worst partition; a partition without a position outweighs a warning."""
    return max(statuses, key=_BAD.index, default="OK")


def _outside(now: Sample) -> Judgement | None:
    assert now.committed is not None
    if now.stopped:
        return Judgement("STOP", now.stopped, now.moved_at)
    if now.committed > now.end:
        words = f"the position {now.committed} is above the log's end {now.end}"
    elif now.committed < now.start:
        words = f"the position {now.committed} is below the log's first kept offset {now.start}"
    else:
        return None
    return Judgement("STOP", f"{words}: look, then `regie positions set`", now.moved_at)


def _stuck(now: Sample, still: datetime) -> Judgement:
    seconds = int((now.at - still).total_seconds())
    words = f"{now.lag} wait and the position {now.committed} has not moved for {seconds} s"
    if now.alive:
        return Judgement("STALL", f"{words}, though its consumer is alive", still)
    return Judgement("STOP", f"{words}; no consumer is at work", still)


def _waiting_since(samples: Sequence[Sample]) -> datetime:
    """Since when something has been waiting without a break."""
    now = samples[-1]
    since = now.at
    for sample in reversed(samples):
        if not sample.lag:
            break
        since = sample.at
    # The record's own timestamp knows more than our samples, which may have begun just now.
    return min(since, now.oldest_at) if now.oldest_at else since


def _unmoved_since(samples: Sequence[Sample], waiting_since: datetime) -> datetime:
    """Since when the position stood still while something waited."""
    now = samples[-1]
    if now.moved_at is not None:
        return max(now.moved_at, waiting_since)
    since = now.at
    for sample in reversed(samples):
        if sample.committed != now.committed:
            break
        since = sample.at
    return max(since, waiting_since)


def _growing(samples: Sequence[Sample], waiting_since: datetime) -> Judgement | None:
    now = samples[-1]
    age = now.lag_seconds or 0.0
    if age < WARN_AGE.total_seconds():
        return None
    reach = now.at - WARN_AFTER
    window = [sample for sample in samples if sample.at >= reach]
    if window[0].at > reach + STUCK_AFTER:
        return Judgement("WARN", f"the oldest waits for {int(age)} s", waiting_since)
    least = min(sample.lag or 0 for sample in window[:-1] or window)
    if (now.lag or 0) >= least and age >= (window[0].lag_seconds or 0.0):
        minutes = int(WARN_AFTER.total_seconds() // 60)
        words = f"the oldest waits for {int(age)} s, and it did not get better in {minutes} min"
        return Judgement("WARN", words, window[0].at)
    return None
