"""What the notifier counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.notifier.outcomes import Outcome
from shared.telemetry import METRICS

_DELIVERIES: Final = Counter(
    "regie_deliveries_total",
    "Deliveries by effect and outcome: sent, retried, failed, unknown or dropped.",
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
