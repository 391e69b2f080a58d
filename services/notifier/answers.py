"""What a target said."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import SendError


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: taken, by a protocol that has none. `body`: its first 16 kB.

    provider_id  what the provider's statuses will name
    retry_after  seconds the target asked us to wait
    """

    status: int = 0
    body: str = ""
    provider_id: str = ""
    retry_after: float | None = None


class TargetError(SendError):
    """A target did not take a delivery; `answer` is what it said, where it said anything."""

    def __init__(
        self,
        code: str,
        reason: str,
        answer: Answer | None = None,
        *,
        again: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, reason, again=again, retry_after=retry_after)
        self.answer = answer
