"""What a try, a stale delivery or a lost lease comes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.notifier import retries
from services.notifier.answers import Answer, TargetError
from services.notifier.models import Delivery, State
from services.notifier.retries import Doubtful, GiveUp, Next
from services.notifier.staleness import Stale
from shared.errors import SendError

LOST: Final = SendError(
    "lost",
    "the notifier stopped between the call and its record",
    again=True,
    doubtful=True,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call, for the record. `status` None: no HTTP answer; `took` in seconds."""

    at: datetime
    took: float
    status: int | None = None
    error: str = ""
    response: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A delivery's new state. `pending` means another try at `next_at`.

    closes  its target gets nothing more
    """

    delivery: Delivery
    state: State
    code: str = ""
    reason: str = ""
    provider_id: str = ""
    next_at: datetime | None = None
    attempt: Attempt | None = None
    closes: bool = False

    @property
    def error(self) -> str:
        return f"{self.code}: {self.reason}" if self.code else ""


def sent(delivery: Delivery, answer: Answer, at: datetime, took: float) -> Outcome:
    attempt = Attempt(at, took, answer.status or None, response=answer.body)
    return Outcome(delivery, "sent", provider_id=answer.provider_id, attempt=attempt)


def failed(
    delivery: Delivery, error: SendError, at: datetime, took: float, now: datetime, chance: float
) -> Outcome:
    """After a call at `at` that came to nothing, or to nothing we know of."""
    answer = error.answer if isinstance(error, TargetError) and error.answer else Answer()
    attempt = Attempt(at, took, answer.status or None, str(error), answer.body)
    rule = retries.REPLIES if delivery.is_reply else retries.WEBHOOKS
    decision = retries.after(
        error, rule, tries=delivery.tries, now=now, until=delivery.expires_at, chance=chance
    )
    match decision:
        case Next(next_at):
            return Outcome(
                delivery, "pending", error.code, error.reason, next_at=next_at, attempt=attempt
            )
        case GiveUp(code, reason, gone):
            return Outcome(delivery, "failed", code, reason, attempt=attempt, closes=gone)
        case Doubtful(code, reason):
            return Outcome(delivery, "unknown", code, reason, attempt=attempt)


def dropped(delivery: Delivery, stale: Stale) -> Outcome:
    """Stale before a try. One that was tried, in vain, until its time was over has failed."""
    in_vain = stale.code == "expired" and delivery.tries > 0
    return Outcome(delivery, "failed" if in_vain else "dropped", stale.code, stale.reason)


def refused(delivery: Delivery) -> Outcome:
    """Its target is closed; the delivery is kept, to be replayed."""
    return Outcome(delivery, "failed", "disabled", delivery.disabled)
