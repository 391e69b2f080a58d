"""What the notifier counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.notifier.outcomes import Outcome
from shared.telemetry import METRICS

_DELIVERIES: Final = Counter(
    "regie_deliveries_total",
    "Deliveries by effect and outcome: sent, retried, digested, failed, unknown or dropped.",
    ("effect", "outcome"),
    registry=METRICS,
)
_CALL_SECONDS: Final = Histogram(
    "regie_delivery_call_duration_seconds",
    "Time a provider or target took, by effect.",
    ("effect",),
    registry=METRICS,
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0),
)
_TRIES: Final = Counter(
    "regie_delivery_tries_total",
    "Calls by kind of target, account (of replies) and answer: sent, or the code of an error.",
    ("target", "account", "answer"),
    registry=METRICS,
)
_HELD: Final = Counter(
    "regie_deliveries_held_total",
    "Deliveries that waited though they were due: for a digest, or for a rate.",
    ("reason",),
    registry=METRICS,
)


def held(by_digest: int, by_rate: int) -> None:
    """Those that one claim put off."""
    _HELD.labels("digest").inc(by_digest)
    _HELD.labels("rate").inc(by_rate)


DISABLED: Final = Gauge(
    "regie_subscriptions_disabled",
    "Subscriptions that get nothing: by 410, after days of failures, or by their owner.",
    registry=METRICS,
)


def count(outcome: Outcome) -> None:
    """Once it is committed."""
    effect = outcome.delivery.effect
    word = "retried" if outcome.state == "pending" else outcome.state
    _DELIVERIES.labels(effect, word).inc()
    if outcome.attempt is not None:
        _CALL_SECONDS.labels(effect).observe(outcome.attempt.took)
        _TRIES.labels(*_answered(outcome)).inc()


def _answered(outcome: Outcome) -> tuple[str, str, str]:
    """Bounded: a target's address is no label, and its status only as its class."""
    kind, code = outcome.delivery.kind, outcome.code or "sent"
    account = outcome.delivery.address if kind == "account" else ""
    return kind, account, f"{code[:6]}xx" if code.startswith("http_") else code
