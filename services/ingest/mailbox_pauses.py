"""How the mailbox reader goes on after something went wrong: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 60.0  # seconds
_LONGEST_OWN: Final = 10.0  # seconds, where the fault is ours
_AFTER_REFUSAL: Final = 60.0  # seconds: many wrong logins in a row lock an account
_LONGEST_AFTER_REFUSAL: Final = 600.0

# A fault of the mail (an answer that cannot be understood) shows sooner than one of the line.
_WEIGHTS: Final = {"protocol": 4}
_HOPELESS: Final = 12

Key = tuple[int, int]  # UIDVALIDITY, UID


def pause_after(code: str, failures: int) -> float:
    """Seconds until the next attempt, after so many in a row that failed."""
    if code in ("credentials", "folder", "certificate"):
        return float(min(_AFTER_REFUSAL * failures, _LONGEST_AFTER_REFUSAL))
    longest = _LONGEST_OWN if code == "delayed" else _LONGEST
    return float(min(0.5 * 2 ** min(failures, 10), longest))


class Attempts:
    """Mails that were in hand when something went wrong: fetched alone, and given up at last."""

    def __init__(self) -> None:
        self._weights: Counter[Key] = Counter()

    def failed(self, keys: Iterable[Key], code: str) -> None:
        for key in keys:
            self._weights[key] += _WEIGHTS.get(code, 1)

    def done(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._weights.pop(key, None)

    def suspect(self, key: Key) -> bool:
        return self._weights[key] > 0

    def hopeless(self, key: Key) -> bool:
        return self._weights[key] >= _HOPELESS
