"""What a notice to a person says, at the moment it leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from services.notifier.models import Delivery
from shared import notices
from shared.errors import SendError
from shared.notices import Put


class Words:
    """`base` is REGIE_PUBLIC_URL: without it links show their path and nothing is clickable."""

    def __init__(self, base: str, now: Callable[[], datetime]) -> None:
        self._base = base
        self._now = now

    def of(self, delivery: Delivery) -> Put:
        """Raises SendError for what nobody has words for."""
        try:
            return notices.worded(notices.read(delivery.payload, self._base), self._now())
        except (KeyError, ValueError, msgspec.ValidationError) as error:
            raise SendError("no_words", f"this notice cannot be put into words: {error}") from error
