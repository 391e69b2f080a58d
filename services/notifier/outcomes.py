"""What a try, a stale delivery or a lost lease comes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.notifier import retries
from services.notifier.answers import Answer, TargetError
from services.notifier.models import TEST, Delivery, State
from services.notifier.retries import LONGEST_PAUSE, Doubtful, GiveUp, Next, Rule
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

    closes        its target gets nothing more
    paused_until  its target wants nothing more until then; of a provider, for the whole account or
                  for this reader alone
    """

    delivery: Delivery
    state: State
    code: str = ""
    reason: str = ""
    provider_id: str = ""
    next_at: datetime | None = None
    attempt: Attempt | None = None
    closes: bool = False
    paused_until: datetime | None = None
    one_reader: bool = False

    @property
    def error(self) -> str:
        return f"{self.code}: {self.reason}" if self.code else ""


def sent(delivery: Delivery, answer: Answer, at: datetime, took: float) -> Outcome:
    attempt = Attempt(at, took, answer.status or None, response=answer.body)
    return Outcome(delivery, "sent", provider_id=storable(answer.provider_id), attempt=attempt)


def failed(
    delivery: Delivery, error: SendError, at: datetime, took: float, now: datetime, chance: float
) -> Outcome:
    """After a call at `at` that came to nothing, or to nothing we know of."""
    answer = error.answer if isinstance(error, TargetError) and error.answer else Answer()
    attempt = Attempt(at, took, answer.status or None, storable(str(error)), answer.body)
    rule = _rule(delivery)
    decision = retries.after(
        error, rule, tries=delivery.tries, now=now, until=delivery.expires_at, chance=chance
    )
    until, one = _silence(delivery, error, now), error.one_reader
    match decision:
        case Next(next_at):
            return Outcome(
                delivery, "pending", error.code, storable(error.reason), next_at=next_at,
                attempt=attempt, paused_until=until, one_reader=one,
            )  # fmt: skip
        case GiveUp(code, reason, gone):
            return Outcome(
                delivery, "failed", code, storable(reason), attempt=attempt,
                closes=gone and delivery.effect != TEST,
                paused_until=until, one_reader=one,
            )  # fmt: skip
        case Doubtful(code, reason):
            return Outcome(delivery, "unknown", code, storable(reason), attempt=attempt)


def storable(text: str) -> str:
    """Without what JSON can write and no row can hold: what others say must not end a sender."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _rule(delivery: Delivery) -> Rule:
    if delivery.effect == TEST:
        return retries.ONCE
    return retries.REPLIES if delivery.to_customer else retries.WEBHOOKS


def _silence(delivery: Delivery, error: SendError, now: datetime) -> datetime | None:
    """What `Retry-After` asks of all that is for a provider's account, or for a target; with
    another status it is about that one try."""
    busy = ("throttled",) if delivery.to_customer else ("http_429", "http_503")
    if error.code not in busy or not error.retry_after:
        return None
    return now + min(timedelta(seconds=error.retry_after), LONGEST_PAUSE)


def dropped(delivery: Delivery, stale: Stale) -> Outcome:
    """Stale before a try. One that was tried, in vain, until its time was over has failed."""
    in_vain = stale.code in ("expired", "window_closed") and delivery.tries > 0
    return Outcome(delivery, "failed" if in_vain else "dropped", stale.code, stale.reason)


def digested(delivery: Delivery, into: UUID) -> Outcome:
    """It is told with others, by that delivery."""
    return Outcome(delivery, "digested", "digested", f"told in delivery {into}")


def refused(delivery: Delivery) -> Outcome:
    """Its target is closed; the delivery is kept, to be replayed."""
    return Outcome(delivery, "failed", "disabled", delivery.disabled)
