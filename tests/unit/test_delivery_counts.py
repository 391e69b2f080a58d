"""Calls are counted by account and answer, in labels that a stranger cannot multiply."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifier import metrics
from services.notifier.models import Delivery, Effect
from services.notifier.outcomes import Attempt, Outcome
from shared.ids import new_id
from shared.telemetry import METRICS
from tests.builders import NOON


def outcome(effect: Effect, target: str, code: str, *, called: bool = True) -> Outcome:
    delivery = Delivery(
        id=new_id(), case_id=new_id(), effect=effect, target=target, payload={}, version=1,
        at=NOON, attempts=1, attempts_before=0, expires_at=NOON + timedelta(hours=1),
    )  # fmt: skip
    attempt = Attempt(NOON, 0.1) if called else None
    return Outcome(delivery, "failed" if code else "sent", code, attempt=attempt)


def counted(target: str, account: str, answer: str) -> float:
    labels = {"target": target, "account": account, "answer": answer}
    return METRICS.get_sample_value("regie_delivery_tries_total", labels) or 0.0


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (outcome("reply", "account:desk-sms", ""), ("account", "desk-sms", "sent")),
        (outcome("reply", "account:desk-sms", "token"), ("account", "desk-sms", "token")),
        (outcome("breach", "webhook:https://a.example/x", "http_599"), ("webhook", "", "http_5xx")),
        (outcome("event", "subscription:1", "gone"), ("subscription", "", "gone")),
    ],
    ids=["sent", "token", "status", "subscription"],
)
def test_a_call_counts_once_by_its_answer(given: Outcome, labels: tuple[str, str, str]) -> None:
    before = counted(*labels)
    metrics.count(given)
    assert counted(*labels) == before + 1


def test_what_was_never_called_is_no_call() -> None:
    before = counted("account", "desk-sms", "expired")
    metrics.count(outcome("reply", "account:desk-sms", "expired", called=False))
    assert counted("account", "desk-sms", "expired") == before
