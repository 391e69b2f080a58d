"""Runs the `tests:` of a policy: examples that a service manager wrote as requirements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.router.calendars import NeverOpen
from services.router.deadlines import plan
from services.router.policy import Facts, Policy, ServiceLevel
from services.router.rules.model import METRICS, Expected, Given, PolicyTest
from services.router.trial.journeys import journey_differences
from services.router.trial.outcomes import differing

# An example without `at` must not depend on the day it is run.
_ANY_TIME: Final = datetime(2026, 1, 7, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TestResult:
    """`differences` is empty when it passed; each says what was expected and what came."""

    name: str
    line: int
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def run_tests(policy: Policy) -> list[TestResult]:
    """All of them, in the order of the file."""
    return [
        TestResult(
            test.name,
            policy.document.line(("tests", index)),
            _differences_or_why_none(policy, test, index),
        )
        for index, test in enumerate(policy.tests)
    ]


def _differences_or_why_none(policy: Policy, test: PolicyTest, index: int) -> tuple[str, ...]:
    try:
        return tuple(_differences(policy, test, index))
    except (ArithmeticError, NeverOpen) as error:  # a date that no calendar has
        return (f"cannot be counted: {error}",)


def _differences(policy: Policy, test: PolicyTest, index: int) -> Iterator[str]:
    if test.given is None or test.expect is None:
        return journey_differences(policy, test.journey, index)
    return _of_one_event(policy, test.given, test.expect, test.moment())


def _of_one_event(
    policy: Policy, given: Given, expect: Expected, moment: datetime | None
) -> Iterator[str]:
    start = policy.instant(moment or _ANY_TIME)
    routing, level = policy.assess(_facts(given), start)
    came = {
        "rule": routing.rule,
        "team": routing.team,
        "product": routing.product,
        "priority": routing.priority,
        "skills": routing.skills,
        "tags": routing.tags,
        "service_level": level.rule if level else "",
    }
    for field, value in came.items():
        expected = getattr(expect, field)
        if expected not in (None, value):
            yield differing(field, expected, value)
    yield from _late_or_early(policy, expect, level, start)


def _late_or_early(
    policy: Policy, expect: Expected, level: ServiceLevel | None, start: datetime
) -> Iterator[str]:
    for metric in METRICS:
        if (moment := getattr(expect, metric)) is None:
            continue
        planned = plan(policy, level, metric, start) if level else None
        if planned is None:
            yield f"{metric}: expected a deadline, came none"
        elif planned.due_at != policy.instant(moment):
            yield f"{metric}: expected {moment:%Y-%m-%d %H:%M}, came {planned.words}"


def _facts(given: Given) -> Facts:
    return Facts(
        channel=given.channel,
        account=given.account,
        kind=given.kind,
        subject=given.subject,
        text=given.text,
        product=given.product or "",
        priority=given.priority or "",
        tags=given.tags,
        attributes=given.attributes,
        customer_group=given.customer.group,
        customer_language=given.customer.language,
        customer_internal=given.customer.internal,
        customer_known=given.customer.known,
        authentication=given.message.authentication,
    )
