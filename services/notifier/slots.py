"""How many calls are under way, and to whom: a slow target never holds up another.

A target starts with few calls at a time and gets more while it answers quickly; a slow answer, good
or bad, sets it back to one, or a provider of ours to four. Slow targets together have half of all
slots at most.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

TOTAL: Final = 32
EACH: Final = 16
START: Final = 2
SLOW: Final = 2.0  # seconds
PROVIDER: Final = 4  # a slow one of ours: customers wait behind it, and mail often is slow


class Slots:
    """The calls of one sender."""

    def __init__(self, total: int = TOTAL) -> None:
        self._total = total
        self._calls: Counter[str] = Counter()
        self._most: dict[str, int] = {}
        self._slow: dict[str, None] = {}  # the one called longest ago first

    @property
    def free(self) -> int:
        return self._total - self._calls.total()

    def rooms(self) -> dict[str, int]:
        """How many more calls each target may get now; one that is not named may get START."""
        rooms = {
            target: max(self._most.get(target, START) - self._calls[target], 0)
            for target in self._most.keys() | self._calls.keys()
        }
        left = self._total // 2 - sum(self._calls[target] for target in self._slow)
        for target in self._slow:
            rooms[target] = min(rooms[target], max(left, 0))
            left -= rooms[target]
        return rooms

    def take(self, target: str) -> None:
        self._calls[target] += 1
        if target in self._slow:
            del self._slow[target]
            self._slow[target] = None

    def give(self, target: str, seconds: float) -> None:
        """The call ended, after this long."""
        self._calls[target] -= 1
        if not self._calls[target]:
            del self._calls[target]
        if seconds > SLOW:
            self._most[target] = PROVIDER if target.startswith("account:") else 1
            self._slow[target] = None
        else:
            self._most[target] = min(self._most.get(target, START) + 1, EACH)
            self._slow.pop(target, None)
