"""When a file that could not be had is asked for again. Pure."""

from __future__ import annotations

from typing import Final

from shared.errors import FetchError

# s after the first try, the second …: close together at first, because some addresses live for
# ten minutes only, and over half a day in all.
_WAITS: Final = (5.0, 20.0, 60.0, 180.0, 600.0, 3600.0, 14_400.0, 28_800.0)
# What seldom mends by itself: a person is told within the hour, and may ask again.
_SOON: Final = frozenset(("gone", "token", "empty", "changed", "internal"))
_SOONEST: Final = 5
_LONGEST: Final = 43_200.0


def wait(error: FetchError, tries: int, chance: float) -> float | None:
    """Seconds until the next try after `tries` of them; None: it is lost.

    chance  in [0, 1): up to a fifth is added, so that what failed together comes back apart
    """
    most = _SOONEST if error.code in _SOON else len(_WAITS)
    if not error.again or tries > most:
        return None
    waited = _WAITS[tries - 1] * (1 + chance / 5)
    return min(max(waited, error.retry_after or 0.0), _LONGEST)
