"""How often somebody may ask: a bucket of tokens each, refilled evenly. Pure: time is handed in.

Each process counts for itself. A bucket that is full again is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.channels import Rate

_KEPT: Final = 50_000


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class Limiter:
    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()

    def take(self, key: tuple[str, ...], rate: Rate, now: float) -> float:
        """0.0 and one token less; or how many seconds until there is one.

        now  seconds of a clock that never goes back
        """
        most = float(rate.burst or rate.count)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(most, now)
        speed = rate.count / rate.seconds
        bucket.tokens = min(most, bucket.tokens + (now - bucket.at) * speed)
        bucket.at = now
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._kept:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / speed
        bucket.tokens -= 1.0
        return 0.0
